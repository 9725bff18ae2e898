/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_webhook_dead.c - the API's routes about dead letters of subscriptions.
 *
 * The filter of the functions in outbox/dead_letters.h, under the names of this part of
 * the API, and always narrowed to rows of subscriptions.
 */
#include "api/api_operations.h"

#include "api/api_page.h"
#include "api/api_subscriptions.h"
#include "api/dead_filter.h"
#include "outbox/dead_letters.h"
#include "outbox/webhook_deliveries.h"

#include <string.h>

#define MAX_AT_ONCE 10000 /* as many as one request may take */

static const struct dead_filter_key keys[] = {
    {"subscription", "subscription", DEAD_FILTER_TEXT},
    {"destination", "destination", DEAD_FILTER_TEXT},
    {"event_type", "type", DEAD_FILTER_TEXT},
    {"cause", "cause", DEAD_FILTER_TEXT},
    {"event_id", "eventId", DEAD_FILTER_UUID},
    {"since", "since", DEAD_FILTER_TIME},
    {"until", "until", DEAD_FILTER_TIME},
};
enum { SUBSCRIPTION, N_KEYS = 7, LIMIT = 7, CURSOR = 8, N_NAMES = 9 };

static const struct api_list dead_list = {"dead-letters", "bib"};

/* The filter would take a pattern, too. */
static int check_subscription(struct api_call *call, const struct buf *text)
{
    const char *id = buf_text(text);

    if (text->len == 0 || (text->len == 36 && strncmp(id, "sub_", 4) == 0 &&
                           strspn(id + 4, "0123456789abcdef") == 32)) {
        return 0;
    }
    return api_problem_set(call->problem, "invalid-parameter",
                           "\"%s\": the id of a subscription is expected",
                           keys[SUBSCRIPTION].name);
}

static int answer_list(struct api_call *call, const struct api_parameter *p,
                       struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf filter = buf_make(65536);
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct json_writer w = jw_begin(&filter);
    struct api_page page;

    jw_object(&w, NULL);
    if (p[SUBSCRIPTION].value.len == 0) {
        jw_string(&w, "subscription", "*");
    }
    int rc = check_subscription(call, &p[SUBSCRIPTION].value);
    if (rc == 0) {
        rc = dead_filter_parameters(call, p, keys, N_KEYS, &w);
    }
    jw_object_end(&w);
    if (rc == 0) {
        rc = api_page_read(call, &dead_list, &p[LIMIT], &p[CURSOR], &page);
    }
    if (rc == 0) {
        rc = webhook_dead_list(call->dsn, buf_text(&filter), page.after, page.limit + 1,
                               &rows, err);
    }
    if (rc == 0) {
        api_page_write(call, &page, rows, "position", NULL, out);
    }
    return rc;
}

int api_webhook_dead_list(struct api_call *call, struct buf *out,
                          struct rider_error *err)
{
    struct api_parameter p[N_NAMES];

    for (size_t i = 0; i < N_NAMES; i++) {
        const char *name = i < N_KEYS ? keys[i].name : i == LIMIT ? "limit" : "cursor";
        p[i] = (struct api_parameter){name, buf_make(4096)};
    }
    int rc = api_request_parameters(call->req, p, N_NAMES, err);
    if (rc == 0) {
        rc = answer_list(call, p, out, err);
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        buf_done(&p[i].value);
    }
    return rc;
}

/* ---- redrive --------------------------------------------------------------------- */

struct redrive {
    struct buf filter;
    bool dry_run;
    int64_t per_second;
};

static int read_redrive(struct api_call *call, struct json_tree *body,
                        struct redrive *r)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);
    struct json_writer w = jw_begin(&r->filter);

    jw_object(&w, NULL);
    dead_filter_read(&f, keys, N_KEYS, &w);
    if (json_node_member(json_node_member(f.object, "filter"),
                         keys[SUBSCRIPTION].name) == NULL) {
        jw_string(&w, "subscription", "*");
    }
    jw_object_end(&w);
    api_fields_not_null(&f, "dry_run");
    api_fields_not_null(&f, "rate_per_second");
    (void)api_fields_bool(&f, "dry_run", &r->dry_run);
    (void)api_fields_int(&f, "rate_per_second", 1, 100000, &r->per_second);
    api_fields_finish(&f);
    return api_problem_check(call->problem);
}

static int apply(struct api_call *call, const struct redrive *r, struct buf *out,
                 struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *groups = NULL;
    struct dead_result result = {0, 0};
    char actor[API_ACTOR_SIZE];
    const struct dead_order order = {.dsn = call->dsn,
                                     .filter = buf_text(&r->filter),
                                     .actor = actor,
                                     .per_second = r->per_second,
                                     .max = MAX_AT_ONCE};
    int64_t matched = 0;

    api_actor(call, actor);
    int rc = dead_letters_count(call->dsn, order.filter, &groups, err);
    for (size_t i = 0; rc == 0 && i < row_set_count(groups); i++) {
        matched += row_set_int(groups, i, "count");
    }
    if (rc == 0 && !r->dry_run && matched > 0) {
        rc = dead_letters_apply(&order, NULL, NULL, &result, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    jw_bool(&w, "dry_run", r->dry_run);
    jw_int(&w, "matched", matched);
    jw_int(&w, "affected", result.affected);
    jw_bool(&w, "complete", !r->dry_run && result.affected < MAX_AT_ONCE);
    row_set_write(groups, &w, "groups");
    jw_object_end(&w);
    return 0;
}

/* No transaction of its own to keep an answer in: a page of it is one. A second request
 * finds what the first has left, and that is nothing. */
int api_webhook_dead_redrive(struct api_call *call, struct buf *out,
                             struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    struct redrive r = {.filter = buf_make(65536)};
    int rc = api_body_read(call, API_JSON, false, &body, err);

    if (rc == 0) {
        rc = read_redrive(call, body, &r);
    }
    if (rc == 0) {
        rc = apply(call, &r, out, err);
    }
    buf_done(&r.filter);
    return rc;
}
