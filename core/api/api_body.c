/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_body.c - the body of a request and its members.
 *
 * Not here: the grammar (base/json_tree.h), what members mean.
 */
#include "api/api_body.h"

#include "api/api_request.h"
#include "base/parse.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "type" alone or with "; charset=utf-8" (RFC 9110 section 8.3.1). */
static bool is_media_type(const char *given, const char *type)
{
    static const char charset[] = "charset=";
    size_t len = strlen(type);

    if (given == NULL || strncasecmp(given, type, len) != 0) {
        return false;
    }
    given += len;
    given += strspn(given, " \t");
    if (*given == '\0') {
        return true;
    }
    if (*given++ != ';') {
        return false;
    }
    given += strspn(given, " \t");
    if (strncasecmp(given, charset, strlen(charset)) != 0) {
        return false;
    }
    given += strlen(charset);
    return strcasecmp(given, "utf-8") == 0 || strcasecmp(given, "\"utf-8\"") == 0;
}

static int refuse(struct api_call *call, const struct json_fault *fault)
{
    api_problem_fault(call->problem, fault->pointer, fault->code, "%s", fault->detail);
    return api_problem_check(call->problem);
}

int api_body_read(struct api_call *call, const char *media_type, bool may_be_empty,
                  struct json_tree **ret, struct rider_error *err)
{
    const struct http_request *req = call->req;
    bool empty = may_be_empty && req->body_len == 0;
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *tree = NULL;
    struct json_fault fault;
    /* A parameter that is passed over could have been meant to keep a change from being
     * made. */
    int rc = api_request_parameters(req, NULL, 0, err);

    if (rc != 0) {
        return rc;
    }
    if (!empty && http_request_header(req, "Content-Encoding") != NULL) {
        return api_problem_set(call->problem, "unsupported-media-type",
                               "a body with a Content-Encoding is not read");
    }
    if (!empty &&
        !is_media_type(http_request_header(req, "Content-Type"), media_type)) {
        return api_problem_set(call->problem, "unsupported-media-type",
                               "Content-Type is not %s", media_type);
    }
    rc = json_tree_parse(empty ? "{}" : req->body, empty ? 2 : req->body_len, &tree,
                         &fault);
    if (rc == RIDER_E_CONFIG) {
        return refuse(call, &fault);
    }
    if (rc != 0) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    if (json_tree_root(tree)->kind != JSON_NODE_OBJECT) {
        api_problem_fault(call->problem, "", "invalid-request",
                          "the body is not an object");
        return api_problem_check(call->problem);
    }
    *ret = RIDER_STEAL(tree);
    return 0;
}

int api_body_read_none(struct api_call *call, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    int rc = api_body_read(call, API_JSON, true, &body, err);

    if (rc != 0) {
        return rc;
    }
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);
    api_fields_finish(&f);
    return api_problem_check(call->problem);
}

/* ---- members --------------------------------------------------------------------- */

struct api_fields api_fields_of(struct json_node *object, struct api_problem *problem)
{
    return (struct api_fields){object, problem};
}

RIDER_PRINTF_LIKE(4, 0)
static void add_fault(const struct api_fields *f, const struct json_node *node,
                      const char *code, const char *fmt, va_list ap)
{
    char pointer[JSON_POINTER_SIZE];
    char text[200];

    json_node_pointer(node, pointer);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    api_problem_fault(f->problem, pointer, code, "%s", text);
}

void api_fields_fault(const struct api_fields *f, const struct json_node *node,
                      const char *code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_fault(f, node, code, fmt, ap);
    va_end(ap);
}

RIDER_PRINTF_LIKE(3, 4)
static void invalid(const struct api_fields *f, const struct json_node *node,
                    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_fault(f, node, "invalid-value", fmt, ap);
    va_end(ap);
}

/* NULL, too, for a member that is null. */
static struct json_node *find(const struct api_fields *f, const char *name)
{
    struct json_node *node = json_node_member(f->object, name);

    if (node == NULL) {
        return NULL;
    }
    node->marked = true;
    return node->kind == JSON_NODE_NULL ? NULL : node;
}

bool api_fields_text(const struct api_fields *f, const char *name, size_t min,
                     size_t max, const char **ret)
{
    const struct json_node *node = find(f, name);

    if (node == NULL) {
        return false;
    }
    if (node->kind != JSON_NODE_TEXT || node->len < min || node->len > max) {
        invalid(f, node, "a text of %zu to %zu bytes is expected", min, max);
        return false;
    }
    *ret = node->text;
    return true;
}

bool api_number_int(const struct json_node *node, int64_t min, int64_t max,
                    int64_t *ret)
{
    int64_t value = 0;

    if (node->kind != JSON_NODE_NUMBER || parse_int(node->text, &value, NULL) != 0 ||
        value < min || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool api_fields_int(const struct api_fields *f, const char *name, int64_t min,
                    int64_t max, int64_t *ret)
{
    const struct json_node *node = find(f, name);

    if (node == NULL) {
        return false;
    }
    if (!api_number_int(node, min, max, ret)) {
        invalid(f, node, "a whole number from %" PRId64 " to %" PRId64 " is expected",
                min, max);
        return false;
    }
    return true;
}

bool api_fields_positive(const struct api_fields *f, const char *name, double min,
                         double max, const char **ret)
{
    const struct json_node *node = find(f, name);

    if (node == NULL) {
        return false;
    }
    double value = node->kind == JSON_NODE_NUMBER ? strtod(node->text, NULL) : 0;
    if (!isfinite(value) || value < min || value > max) {
        invalid(f, node, "a number from %.9g to %.9g is expected", min, max);
        return false;
    }
    *ret = node->text;
    return true;
}

bool api_fields_bool(const struct api_fields *f, const char *name, bool *ret)
{
    const struct json_node *node = find(f, name);

    if (node == NULL) {
        return false;
    }
    if (node->kind != JSON_NODE_TRUE && node->kind != JSON_NODE_FALSE) {
        invalid(f, node, "true or false is expected");
        return false;
    }
    *ret = node->kind == JSON_NODE_TRUE;
    return true;
}

void api_fields_not_null(const struct api_fields *f, const char *name)
{
    const struct json_node *node = json_node_member(f->object, name);

    if (node != NULL && node->kind == JSON_NODE_NULL) {
        invalid(f, node, "a value is expected, or no such member");
    }
}

bool api_fields_word(const struct api_fields *f, const char *name,
                     const char *const *words, const char **ret)
{
    RIDER_CLEANUP(buf_done) struct buf list = buf_make(256);
    const struct json_node *node = find(f, name);

    if (node == NULL) {
        return false;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        if (node->kind == JSON_NODE_TEXT && strcmp(node->text, words[i]) == 0) {
            *ret = words[i];
            return true;
        }
        buf_printf(&list, "%s\"%s\"", i == 0 ? "" : ", ", words[i]);
    }
    invalid(f, node, "one of %s is expected", buf_text(&list));
    return false;
}

struct json_node *api_fields_any(const struct api_fields *f, const char *name)
{
    return find(f, name);
}

struct json_node *api_fields_list(const struct api_fields *f, const char *name,
                                  size_t min, size_t max)
{
    struct json_node *node = find(f, name);

    if (node == NULL) {
        return NULL;
    }
    if (node->kind != JSON_NODE_ARRAY || node->n < min || node->n > max) {
        invalid(f, node, "a list of %zu to %zu items is expected", min, max);
        return NULL;
    }
    return node;
}

struct api_fields api_fields_object(const struct api_fields *f, const char *name)
{
    struct json_node *node = find(f, name);

    if (node != NULL && node->kind != JSON_NODE_OBJECT) {
        invalid(f, node, "an object is expected");
        node = NULL;
    }
    return (struct api_fields){node, f->problem};
}

void api_fields_require(const struct api_fields *f, const char *name)
{
    RIDER_CLEANUP(buf_done) struct buf text = buf_make(512);
    char pointer[JSON_POINTER_SIZE];

    if (f->object == NULL || find(f, name) != NULL) {
        return;
    }
    json_node_pointer(f->object, pointer);
    buf_printf(&text, "%s/%s", pointer, name);
    api_problem_fault(f->problem, buf_text(&text), "missing-member",
                      "this member is needed");
}

void api_fields_finish(const struct api_fields *f)
{
    if (f->object == NULL) {
        return;
    }
    for (const struct json_node *m = f->object->first; m != NULL; m = m->next) {
        if (!m->marked) {
            api_fields_fault(f, m, "unknown-member", "there is no such member");
        }
    }
}
