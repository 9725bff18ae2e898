/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_deliveries.c - the API's routes about deliveries of subscriptions and attempts.
 *
 * What a receiver answered is shown to principals of scope read only: to the owner of a
 * subscription it would make the relay a window into the network it runs in.
 *
 * Not here: recoveries (api_operations.c).
 */
#include "api/api_deliveries.h"

#include "api/api_body.h"
#include "api/api_idempotent.h"
#include "api/api_page.h"
#include "api/api_subscriptions.h"
#include "api/rfc3339.h"
#include "base/parse.h"
#include "outbox/webhook_deliveries.h"
#include "outbox/webhook_operations.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {"pending",   "in_flight", "retry",     "held",
                                     "delivered", "dead",      "discarded", NULL};
static const char *const outcomes[] = {"delivered",   "retry",      "rejected",
                                       "unavailable", "unroutable", NULL};
static const char *const triggers[] = {"schedule", "manual", "recover", "replay",
                                       "test",     "verify", NULL};

static int check_word(struct api_call *call, const struct api_parameter *p,
                      const char *const *words)
{
    if (p->value.len == 0) {
        return 0;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], buf_text(&p->value)) == 0) {
            return 0;
        }
    }
    RIDER_CLEANUP(buf_done) struct buf list = buf_make(256);
    for (size_t i = 0; words[i] != NULL; i++) {
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    return api_problem_set(call->problem, "invalid-parameter", "\"%s\" is one of %s",
                           p->name, buf_text(&list));
}

static int check_time(struct api_call *call, const struct api_parameter *p)
{
    return p->value.len == 0 || rfc3339_is_time(buf_text(&p->value))
               ? 0
               : api_problem_set(call->problem, "invalid-parameter",
                                 "\"%s\" is a time by RFC 3339", p->name);
}

static int check_uuid(struct api_call *call, const struct api_parameter *p)
{
    return p->value.len == 0 || parse_is_uuid(buf_text(&p->value))
               ? 0
               : api_problem_set(call->problem, "invalid-parameter", "\"%s\" is a UUID",
                                 p->name);
}

/* "503" or "5xx". */
static int check_http_status(struct api_call *call, const struct api_parameter *p)
{
    const char *text = buf_text(&p->value);
    bool fine = p->value.len == 3 && text[0] >= '1' && text[0] <= '5' &&
                (strcmp(text + 1, "xx") == 0 || strspn(text + 1, "0123456789") == 2);

    return p->value.len == 0 || fine
               ? 0
               : api_problem_set(call->problem, "invalid-parameter",
                                 "\"%s\" is a status such as 503, or 5xx", p->name);
}

#define MAX_PARAMETERS 7

/* Makes the parameters, has `answer` use them, ends them. */
typedef int parameters_fn(struct api_call *call, const struct api_parameter *p,
                          struct buf *out, struct rider_error *err);

static int with_parameters(struct api_call *call, const char *const *names, size_t n,
                           parameters_fn *answer, struct buf *out,
                           struct rider_error *err)
{
    struct api_parameter p[MAX_PARAMETERS];

    for (size_t i = 0; i < n; i++) {
        p[i] = (struct api_parameter){names[i], buf_make(4096)};
    }
    int rc = api_request_parameters(call->req, p, n, err);
    if (rc == 0) {
        rc = answer(call, p, out, err);
    }
    for (size_t i = 0; i < n; i++) {
        buf_done(&p[i].value);
    }
    return rc;
}

/* ---- deliveries ------------------------------------------------------------------ */

enum { D_STATUS, D_TYPE, D_EVENT, D_SINCE, D_UNTIL, D_LIMIT, D_CURSOR, N_DELIVERIES };

static const struct api_list deliveries_page = {"deliveries", "b"};

static int answer_deliveries(struct api_call *call, const struct api_parameter *p,
                             struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct api_page page;
    const struct webhook_delivery_filter filter = {
        .subscription = call->values[0],
        .state = buf_text(&p[D_STATUS].value),
        .type = buf_text(&p[D_TYPE].value),
        .event_id = buf_text(&p[D_EVENT].value),
        .since = buf_text(&p[D_SINCE].value),
        .until = buf_text(&p[D_UNTIL].value)};
    int rc = check_word(call, &p[D_STATUS], states);

    if (rc == 0) {
        rc = check_uuid(call, &p[D_EVENT]);
    }
    for (size_t i = D_SINCE; rc == 0 && i <= D_UNTIL; i++) {
        rc = check_time(call, &p[i]);
    }
    if (rc == 0) {
        rc = api_page_read(call, &deliveries_page, &p[D_LIMIT], &p[D_CURSOR], &page);
    }
    if (rc == 0) {
        rc = webhook_deliveries_list(call->dsn, &filter, page.after, page.limit + 1,
                                     &rows, err);
    }
    if (rc == 0) {
        api_page_write(call, &page, rows, "position", NULL, out);
    }
    return rc;
}

static int list_deliveries(struct api_call *call, struct buf *out,
                           struct rider_error *err)
{
    static const char *const names[] = {"status", "event_type", "event_id", "since",
                                        "until",  "limit",      "cursor"};

    return with_parameters(call, names, N_DELIVERIES, answer_deliveries, out, err);
}

static int parse_id(const struct api_call *call, struct webhook_delivery_id *ret,
                    struct rider_error *err)
{
    return webhook_delivery_id_parse(call->values[0], ret)
               ? 0
               : rider_fail(err, RIDER_E_NOT_FOUND, "there is no such delivery");
}

/* ---- attempts -------------------------------------------------------------------- */

static bool sees_responses(const struct api_call *call)
{
    return (call->scopes & API_READ) != 0;
}

enum { A_STATUS, A_HTTP, A_ERROR, A_TRIGGER, A_EVENT, A_LIMIT, A_CURSOR, N_ATTEMPTS };

static const struct api_list attempts_page = {"attempts", "b"};

static int answer_attempts(struct api_call *call, const struct api_parameter *p,
                           struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct api_page page;
    const struct webhook_attempt_filter filter = {
        .subscription = call->values[0],
        .outcome = buf_text(&p[A_STATUS].value),
        .http_status = buf_text(&p[A_HTTP].value),
        .category = buf_text(&p[A_ERROR].value),
        .trigger = buf_text(&p[A_TRIGGER].value),
        .event_id = buf_text(&p[A_EVENT].value),
        .responses = sees_responses(call)};
    int rc = check_word(call, &p[A_STATUS], outcomes);

    if (rc == 0) {
        rc = check_word(call, &p[A_TRIGGER], triggers);
    }
    if (rc == 0) {
        rc = check_http_status(call, &p[A_HTTP]);
    }
    if (rc == 0) {
        rc = check_uuid(call, &p[A_EVENT]);
    }
    if (rc == 0) {
        rc = api_page_read(call, &attempts_page, &p[A_LIMIT], &p[A_CURSOR], &page);
    }
    if (rc == 0) {
        rc = webhook_attempts_list(call->dsn, &filter, page.after, page.limit + 1,
                                   &rows, err);
    }
    if (rc == 0) {
        api_page_write(call, &page, rows, "position", NULL, out);
    }
    return rc;
}

static int list_attempts(struct api_call *call, struct buf *out,
                         struct rider_error *err)
{
    static const char *const names[] = {"status",   "http_status", "error", "trigger",
                                        "event_id", "limit",       "cursor"};

    return with_parameters(call, names, N_ATTEMPTS, answer_attempts, out, err);
}

/* ---- one ------------------------------------------------------------------------- */

static int show_delivery(struct api_call *call, struct buf *out,
                         struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *attempts = NULL;
    struct webhook_delivery_id id;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = parse_id(call, &id, err);
    }
    if (rc == 0) {
        rc = webhook_delivery_read(call->dsn, &id, sees_responses(call), &rows,
                                   &attempts, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    row_set_write_row_but(rows, 0, &w, "delivery", "position");
    jw_array(&w, "attempts");
    for (size_t i = 0; i < row_set_count(attempts); i++) {
        row_set_write_row_but(attempts, i, &w, NULL, "position");
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return 0;
}

static int redeliver(struct api_call *call, struct outbox_tx *tx, void *arg,
                     struct buf *out, struct rider_error *err)
{
    const struct webhook_delivery_id *id = arg;
    enum webhook_refusal refusal = WEBHOOK_DONE;
    char actor[API_ACTOR_SIZE];

    api_actor(call, actor);
    int rc = webhook_redeliver(tx, id, actor, &refusal, err);
    if (rc == 0 && refusal == WEBHOOK_DISABLED) {
        return api_problem_set(call->problem, "subscription-disabled",
                               "a disabled subscription is sent nothing: make it "
                               "active or paused first");
    }
    if (rc == 0 && refusal != WEBHOOK_DONE) {
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such delivery");
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        char location[API_VALUE_SIZE + 32];

        (void)snprintf(location, sizeof(location), "/webhooks/deliveries/%s",
                       call->values[0]);
        http_response_header(call->res, "Location", location);
        call->res->status = 202;
        jw_object(&w, NULL);
        jw_string(&w, "id", call->values[0]);
        jw_object_end(&w);
    }
    return rc;
}

static int post_redeliver(struct api_call *call, struct buf *out,
                          struct rider_error *err)
{
    struct webhook_delivery_id id;
    int rc = api_body_read_none(call, err);

    if (rc == 0) {
        rc = parse_id(call, &id, err);
    }
    return rc == 0 ? api_idempotent_once(call, redeliver, &id, out, err) : rc;
}

static const struct api_route routes[] = {
    {"GET", "/webhooks/subscriptions/{id}/deliveries", API_WEBHOOKS_READ,
     list_deliveries},
    {"GET", "/webhooks/subscriptions/{id}/attempts", API_WEBHOOKS_READ, list_attempts},
    {"GET", "/webhooks/deliveries/{id}", API_WEBHOOKS_READ, show_delivery},
    {"POST", "/webhooks/deliveries/{id}/redeliver", API_WEBHOOKS_WRITE, post_redeliver},
};

const struct api_route_table api_delivery_routes = API_ROUTES(routes);
