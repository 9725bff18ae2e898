/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dead_filter.c - filters of dead letters as clients of the API write them.
 */
#include "api/dead_filter.h"

#include "api/rfc3339.h"
#include "base/parse.h"

#define MAX_TEXT  1024
#define MAX_UUIDS 1000

/* NULL: the value is fine. */
static const char *mistake(enum dead_filter_kind kind, const char *value, size_t len)
{
    if (len == 0 || len > MAX_TEXT) {
        return "a text of 1 to 1024 bytes is expected";
    }
    if ((kind == DEAD_FILTER_UUID || kind == DEAD_FILTER_UUIDS) &&
        !parse_is_uuid(value)) {
        return "a UUID is expected";
    }
    if (kind == DEAD_FILTER_TIME && !rfc3339_is_time(value)) {
        return "a time as RFC 3339 writes it is expected";
    }
    return NULL;
}

static void check_text(const struct api_fields *f, const struct json_node *node,
                       enum dead_filter_kind kind)
{
    const char *why = node->kind != JSON_NODE_TEXT
                          ? "a text is expected"
                          : mistake(kind, node->text, node->len);

    if (why != NULL) {
        api_fields_fault(f, node, "invalid-value", "%s", why);
    }
}

static void check_value(const struct api_fields *f, const struct json_node *node,
                        enum dead_filter_kind kind)
{
    if (kind != DEAD_FILTER_UUIDS || node->kind != JSON_NODE_ARRAY) {
        check_text(f, node, kind);
        return;
    }
    if (node->n == 0 || node->n > MAX_UUIDS) {
        api_fields_fault(f, node, "invalid-value", "1 to %d UUIDs are expected",
                         MAX_UUIDS);
    }
    for (const struct json_node *i = node->first; i != NULL; i = i->next) {
        check_text(f, i, kind);
    }
}

void dead_filter_read(const struct api_fields *body, const struct dead_filter_key *keys,
                      size_t n, struct json_writer *w)
{
    struct api_fields f = api_fields_object(body, "filter");

    api_fields_require(body, "filter");
    for (size_t i = 0; i < n; i++) {
        struct json_node *node = json_node_member(f.object, keys[i].name);

        if (node != NULL) {
            node->marked = true;
            check_value(&f, node, keys[i].kind);
            json_node_write(node, w, keys[i].key);
        }
    }
    if (f.object != NULL && f.object->n == 0) {
        api_fields_fault(&f, f.object, "invalid-value",
                         "name a destination, type, cause, event or time, or more");
    }
    api_fields_finish(&f);
}

int dead_filter_parameters(struct api_call *call, const struct api_parameter *p,
                           const struct dead_filter_key *keys, size_t n,
                           struct json_writer *w)
{
    for (size_t i = 0; i < n; i++) {
        const char *value = buf_text(&p[i].value);
        const char *why =
            p[i].value.len == 0 ? NULL : mistake(keys[i].kind, value, p[i].value.len);

        if (why != NULL) {
            return api_problem_set(call->problem, "invalid-parameter", "\"%s\": %s",
                                   p[i].name, why);
        }
        if (p[i].value.len > 0) {
            jw_string(w, keys[i].key, value);
        }
    }
    return 0;
}
