/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_event_types.c - the API's routes about the catalogue of event types.
 */
#include "api/api_operations.h"

#include "api/api_body.h"
#include "api/api_idempotent.h"
#include "api/api_request.h"
#include "api/api_subscriptions.h"
#include "outbox/event_types.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TYPES 2000

static void write_catalogue(const struct row_set *rows, struct buf *out)
{
    struct json_writer w = jw_begin(out);

    jw_object(&w, NULL);
    jw_bool(&w, "strict", row_set_count(rows) > 0 && row_set_bool(rows, 0, "strict"));
    jw_array(&w, "data");
    for (size_t i = 0; i < row_set_count(rows); i++) {
        if (!row_set_is_null(rows, i, "type")) {
            row_set_write_row_but(rows, i, &w, NULL, "strict");
        }
    }
    jw_array_end(&w);
    jw_object_end(&w);
}

int api_event_types_show(struct api_call *call, struct buf *out,
                         struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = event_types_list(call->dsn, &rows, err);
    }
    if (rc == 0) {
        write_catalogue(rows, out);
    }
    return rc;
}

/* Reads one type, for its faults; what it says is handed on as it was written. */
static void check_type(struct api_call *call, const struct api_fields *list,
                       struct json_node *node)
{
    static const char *const statuses[] = {"active", "retired", NULL};
    const char *text = NULL;
    int64_t version = 1;

    if (node->kind != JSON_NODE_OBJECT) {
        api_fields_fault(list, node, "invalid-value", "an object is expected");
        return;
    }
    struct api_fields f = api_fields_of(node, call->problem);
    (void)api_fields_text(&f, "type", 1, 255, &text);
    api_fields_require(&f, "type");
    (void)api_fields_int(&f, "version", 1, INT32_MAX, &version);
    (void)api_fields_word(&f, "status", statuses, &text);
    (void)api_fields_text(&f, "description", 0, 4096, &text);
    struct json_node *schema = api_fields_any(&f, "schema");
    if (schema != NULL && schema->kind != JSON_NODE_OBJECT) {
        api_fields_fault(&f, schema, "invalid-value", "a JSON Schema is an object");
    }
    api_fields_finish(&f);
}

static int compare(const void *a, const void *b)
{
    const struct json_node *const *x = a;
    const struct json_node *const *y = b;
    const struct json_node *tx = json_node_member(*x, "type");
    const struct json_node *ty = json_node_member(*y, "type");
    int order = strcmp(tx->text, ty->text);

    if (order != 0) {
        return order;
    }
    const struct json_node *vx = json_node_member(*x, "version");
    const struct json_node *vy = json_node_member(*y, "version");
    int64_t nx = 1;
    int64_t ny = 1;
    if (vx != NULL) {
        (void)api_number_int(vx, 1, INT32_MAX, &nx);
    }
    if (vy != NULL) {
        (void)api_number_int(vy, 1, INT32_MAX, &ny);
    }
    return (nx > ny) - (nx < ny);
}

static int check_twice(const struct api_fields *f, const struct json_node *list,
                       struct rider_error *err)
{
    const struct json_node **sorted = calloc(list->n + 1, sizeof(*sorted));
    size_t n = 0;

    if (sorted == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (const struct json_node *i = list->first; i != NULL; i = i->next) {
        sorted[n++] = i;
    }
    qsort(sorted, n, sizeof(*sorted), compare);
    for (size_t i = 1; i < n; i++) {
        if (compare(&sorted[i - 1], &sorted[i]) == 0) {
            api_fields_fault(f, sorted[i], "invalid-value",
                             "the type and version are there twice");
        }
    }
    free(sorted);
    return 0;
}

static int read_catalogue(struct api_call *call, struct json_tree *body,
                          struct buf *types, struct rider_error *err)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);
    struct json_node *list = api_fields_list(&f, "data", 0, MAX_TYPES);

    api_fields_require(&f, "data");
    for (struct json_node *i = list == NULL ? NULL : list->first; i != NULL;
         i = i->next) {
        check_type(call, &f, i);
    }
    api_fields_finish(&f);
    int rc = api_problem_check(call->problem);
    if (rc == 0 && list != NULL) {
        rc = check_twice(&f, list, err);
    }
    if (rc == 0) {
        rc = api_problem_check(call->problem);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(types);
        json_node_write(list, &w, NULL);
    }
    return rc;
}

static int put(struct api_call *call, struct outbox_tx *tx, void *arg, struct buf *out,
               struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const struct buf *types = arg;
    char actor[API_ACTOR_SIZE];

    api_actor(call, actor);
    int rc = event_types_put(tx, buf_text(types), actor, err);
    if (rc == 0) {
        rc = event_types_list_in(tx, &rows, err);
    }
    if (rc == 0) {
        write_catalogue(rows, out);
    }
    return rc;
}

int api_event_types_put(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    RIDER_CLEANUP(buf_done) struct buf types = buf_make(2 << 20);
    int rc = api_body_read(call, API_JSON, false, &body, err);

    if (rc == 0) {
        rc = read_catalogue(call, body, &types, err);
    }
    return rc == 0 ? api_idempotent_once(call, put, &types, out, err) : rc;
}
