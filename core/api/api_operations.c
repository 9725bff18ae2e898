/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_operations.c - the API's routes about recoveries and backfills.
 *
 * A recovery is only begun here; relays do it. Not here: dead letters
 * (api_webhook_dead.c), event types (api_event_types.c).
 */
#include "api/api_operations.h"

#include "api/api_body.h"
#include "api/api_idempotent.h"
#include "api/api_request.h"
#include "api/api_subscriptions.h"
#include "api/rfc3339.h"
#include "base/parse.h"
#include "outbox/webhook_operations.h"

#include <stdio.h>

#define MAX_RATE 100000.0

/* ---- recover --------------------------------------------------------------------- */

static void read_time(const struct api_fields *f, const char *name, const char **ret)
{
    if (api_fields_text(f, name, 1, 64, ret) && !rfc3339_is_time(*ret)) {
        api_fields_fault(f, api_fields_any(f, name), "invalid-value",
                         "a time as RFC 3339 writes it is expected");
        *ret = NULL;
    }
}

static void read_from(const struct api_fields *f, const char **ret)
{
    const struct json_node *from = api_fields_any(f, "from");
    int64_t seq = 0;

    if (from == NULL) {
        return;
    }
    if (!api_number_int(from, 1, INT64_MAX, &seq) &&
        (from->kind != JSON_NODE_TEXT || !parse_is_uuid(from->text))) {
        api_fields_fault(f, from, "invalid-value",
                         "the eventId or the number of an event is expected");
        return;
    }
    *ret = from->text;
}

static void read_types(const struct api_fields *f, struct buf *list, const char **ret)
{
    const struct json_node *types = api_fields_list(f, "event_types", 1, 100);

    if (types == NULL) {
        return;
    }
    for (const struct json_node *i = types->first; i != NULL; i = i->next) {
        if (i->kind != JSON_NODE_TEXT || i->len == 0 || i->len > 255) {
            api_fields_fault(f, i, "invalid-value",
                             "the name of an event type is expected");
        }
    }
    struct json_writer w = jw_begin(list);
    json_node_write(types, &w, NULL);
    *ret = buf_text(list);
}

static int read_recovery(struct api_call *call, struct json_tree *body,
                         struct buf *types, struct webhook_recovery *r)
{
    static const char *const includes[] = {"failed", "missed", "all", NULL};
    static const char *const limits[] = {"include", "since",       "until",
                                         "from",    "event_types", "rate_per_second",
                                         "dry_run"};
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);

    (void)api_fields_word(&f, "include", includes, &r->include);
    read_time(&f, "since", &r->since);
    read_time(&f, "until", &r->until);
    read_from(&f, &r->from);
    read_types(&f, types, &r->event_types);
    (void)api_fields_positive(&f, "rate_per_second", 0.001, MAX_RATE, &r->per_second);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        api_fields_not_null(&f, limits[i]);
    }
    (void)api_fields_bool(&f, "dry_run", &r->dry_run);
    api_fields_finish(&f);
    return api_problem_check(call->problem);
}

static int refuse(struct api_call *call, enum webhook_refusal refusal,
                  struct rider_error *err)
{
    switch (refusal) {
    case WEBHOOK_DISABLED:
        return api_problem_set(call->problem, "subscription-disabled",
                               "make the subscription active or paused first; paused "
                               "keeps the order of what is recovered and what comes");
    case WEBHOOK_NO_EVENT:
        api_problem_fault(call->problem, "/from", "window-too-large",
                          "there is no such event in the log (any more)");
        return api_problem_check(call->problem);
    case WEBHOOK_NO_TIME:
        api_problem_fault(call->problem, "/until", "invalid-value",
                          "it is not after since");
        return api_problem_check(call->problem);
    case WEBHOOK_UNREADY:
        return api_problem_set(call->problem, "conflict",
                               "no relay has run this destination yet");
    case WEBHOOK_DONE:
    case WEBHOOK_UNKNOWN:
    default:
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription");
    }
}

static void show_count(const struct row_set *rows, struct buf *out)
{
    struct json_writer w = jw_begin(out);
    int64_t failed = row_set_int(rows, 0, "failed");
    int64_t missed = row_set_int(rows, 0, "missed");

    jw_object(&w, NULL);
    jw_bool(&w, "dry_run", true);
    jw_int(&w, "failed", failed);
    jw_int(&w, "missed", missed);
    jw_int(&w, "matched", failed + missed);
    jw_object_end(&w);
}

static int show_begun(struct api_call *call, struct outbox_tx *tx, const char *id,
                      struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char location[96];
    int rc = webhook_operation_read_in(tx, id, &rows, err);

    if (rc != 0) {
        return rc;
    }
    (void)snprintf(location, sizeof(location), "/webhooks/operations/%s", id);
    http_response_header(call->res, "Location", location);
    call->res->status = 202;
    struct json_writer w = jw_begin(out);
    row_set_write_row(rows, 0, &w, NULL);
    return 0;
}

static int begin_recovery(struct api_call *call, struct outbox_tx *tx, void *arg,
                          struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const struct webhook_recovery *recovery = arg;
    enum webhook_refusal refusal = WEBHOOK_DONE;
    int rc = webhook_recover(tx, recovery, &refusal, &rows, err);

    if (rc == RIDER_E_TIMEOUT && recovery->dry_run) {
        return api_problem_set(call->problem, "unavailable",
                               "it could not be counted in time: ask for less, by "
                               "\"from\", \"since\" or \"event_types\", or begin "
                               "without \"dry_run\": then relays count as they go");
    }
    if (rc != 0) {
        return rc;
    }
    if (refusal != WEBHOOK_DONE) {
        return refuse(call, refusal, err);
    }
    if (recovery->dry_run) {
        show_count(rows, out);
        return 0;
    }
    return show_begun(call, tx, row_set_text(rows, 0, "operation"), out, err);
}

static int post_recover(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    RIDER_CLEANUP(buf_done) struct buf types = buf_make(65536);
    char actor[API_ACTOR_SIZE];
    struct webhook_recovery recovery = {
        .subscription = call->values[0], .include = "all", .actor = actor};
    int rc = api_body_read(call, API_JSON, true, &body, err);

    api_actor(call, actor);
    if (rc == 0) {
        rc = read_recovery(call, body, &types, &recovery);
    }
    return rc == 0 ? api_idempotent_once(call, begin_recovery, &recovery, out, err)
                   : rc;
}

/* ---- operations ------------------------------------------------------------------ */

static int show_operation(struct api_call *call, struct buf *out,
                          struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = webhook_operation_read(call->dsn, call->values[0], &rows, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        row_set_write_row(rows, 0, &w, NULL);
    }
    return rc;
}

static int cancel(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    char actor[API_ACTOR_SIZE];
    int rc = api_request_parameters(call->req, NULL, 0, err);

    api_actor(call, actor);
    if (rc == 0) {
        rc = outbox_tx_begin(call->dsn, &tx, err);
    }
    if (rc == 0) {
        rc = webhook_operation_cancel(tx, call->values[0], actor, err);
    }
    if (rc == 0) {
        rc = outbox_tx_commit(tx, err);
    }
    return rc == 0 ? show_operation(call, out, err) : rc;
}

static const struct api_route routes[] = {
    {"POST", "/webhooks/subscriptions/{id}/recover", API_WEBHOOKS_WRITE, post_recover},
    {"GET", "/webhooks/operations/{id}", API_WEBHOOKS_READ, show_operation},
    {"DELETE", "/webhooks/operations/{id}", API_WEBHOOKS_WRITE, cancel},
    {"GET", "/webhooks/dead-letters", API_WEBHOOKS_READ, api_webhook_dead_list},
    {"POST", "/webhooks/dead-letters/redrive", API_WEBHOOKS_WRITE,
     api_webhook_dead_redrive},
    {"GET", "/webhooks/event-types", API_WEBHOOKS_READ, api_event_types_show},
    {"PUT", "/webhooks/event-types", API_WRITE, api_event_types_put},
};

const struct api_route_table api_operation_routes = API_ROUTES(routes);
