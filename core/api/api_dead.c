/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_dead.c - the API's routes about dead letters.
 *
 * Not here: who may call them (api_routes.c), what they do (outbox/dead_letters.h).
 */
#include "api/api_dead.h"

#include "api/api_page.h"
#include "api/api_subscriptions.h"
#include "api/dead_filter.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "outbox/dead_letters.h"

#include <stdint.h>

static const struct dead_filter_key keys[] = {
    {"eventId", "eventId", DEAD_FILTER_UUIDS},
    {"destination", "destination", DEAD_FILTER_TEXT},
    {"subscription", "subscription", DEAD_FILTER_TEXT},
    {"type", "type", DEAD_FILTER_TEXT},
    {"cause", "cause", DEAD_FILTER_TEXT},
    {"aggregateType", "aggregateType", DEAD_FILTER_TEXT},
    {"aggregateId", "aggregateId", DEAD_FILTER_TEXT},
    {"since", "since", DEAD_FILTER_TIME},
    {"until", "until", DEAD_FILTER_TIME},
};
enum { N_KEYS = 9, LIMIT = 9, AFTER = 10, N_NAMES = 11 };

static int parse_limit(const struct buf *text, int64_t *ret, struct rider_error *err)
{
    if (text->len > 0 && (parse_int(buf_text(text), ret, NULL) != 0 || *ret < 1 ||
                          *ret > DEAD_LIST_MAX)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"limit\" is a number from 1 to %d",
                          DEAD_LIST_MAX);
    }
    return 0;
}

static int list(struct api_call *call, const struct api_parameter *parameters,
                struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf filter = buf_make(65536);
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct json_writer w = jw_begin(&filter);
    int64_t limit = 100;

    jw_object(&w, NULL);
    int rc = dead_filter_parameters(call, parameters, keys, N_KEYS, &w);
    jw_object_end(&w);
    if (rc == 0) {
        rc = parse_limit(&parameters[LIMIT].value, &limit, err);
    }
    if (rc == 0 && parameters[AFTER].value.len > 0 &&
        !api_page_is_key(buf_text(&parameters[AFTER].value), "bib")) {
        rc = api_problem_set(call->problem, "invalid-parameter",
                             "\"after\" is not a \"next\" that this list has given");
    }
    if (rc == 0) {
        rc = dead_letters_list(call->dsn, buf_text(&filter),
                               buf_text(&parameters[AFTER].value), limit, &rows, err);
    }
    if (rc != 0) {
        return rc;
    }
    size_t n = row_set_count(rows);
    w = jw_begin(out);
    jw_object(&w, NULL);
    row_set_write(rows, &w, "deadLetters");
    jw_string_or_null(
        &w, "next",
        n > 0 && (int64_t)n == limit ? row_set_text(rows, n - 1, "position") : NULL);
    jw_object_end(&w);
    return 0;
}

int api_dead_list(struct api_call *call, struct buf *out, struct rider_error *err)
{
    struct api_parameter parameters[N_NAMES];

    for (size_t i = 0; i < N_NAMES; i++) {
        const char *name = i < N_KEYS ? keys[i].name : i == LIMIT ? "limit" : "after";
        parameters[i] = (struct api_parameter){name, buf_make(4096)};
    }
    int rc = api_request_parameters(call->req, parameters, N_NAMES, err);
    if (rc == 0) {
        rc = list(call, parameters, out, err);
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        buf_done(&parameters[i].value);
    }
    return rc;
}

static int64_t sum(const struct row_set *groups)
{
    int64_t matched = 0;

    for (size_t i = 0; i < row_set_count(groups); i++) {
        matched += row_set_int(groups, i, "count");
    }
    return matched;
}

/* A replay or discard as a body asks for it. */
struct change {
    struct buf filter;
    bool discard, dry_run;
    int64_t per_second; /* 0: all at once */
};

static int read_change(struct api_call *call, struct json_tree *body, struct change *c)
{
    struct api_fields f = api_fields_of(json_tree_root(body), call->problem);
    struct json_writer w = jw_begin(&c->filter);

    jw_object(&w, NULL);
    dead_filter_read(&f, keys, N_KEYS, &w);
    jw_object_end(&w);
    api_fields_not_null(&f, "dryRun");
    (void)api_fields_bool(&f, "dryRun", &c->dry_run);
    if (!c->discard) {
        api_fields_not_null(&f, "rate");
        (void)api_fields_int(&f, "rate", 1, INT32_MAX, &c->per_second);
    }
    api_fields_finish(&f);
    return api_problem_check(call->problem);
}

/* Counts, then, unless it is a dry run, changes. */
static int apply(const struct api_call *call, const struct change *c, struct buf *out,
                 struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *groups = NULL;
    struct dead_result result = {0, 0};
    char actor[API_ACTOR_SIZE];
    const struct dead_order order = {.dsn = call->dsn,
                                     .filter = buf_text(&c->filter),
                                     .actor = actor,
                                     .discard = c->discard,
                                     .per_second = c->per_second,
                                     .max = API_MAX_CHANGE};

    api_actor(call, actor);
    int rc = dead_letters_count(call->dsn, order.filter, &groups, err);
    int64_t matched = rc == 0 ? sum(groups) : 0;
    if (rc == 0 && !c->dry_run && matched > 0) {
        rc = dead_letters_apply(&order, NULL, NULL, &result, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    jw_string(&w, "action", c->discard ? "discard" : "replay");
    jw_bool(&w, "dryRun", c->dry_run);
    jw_int(&w, "matched", matched);
    row_set_write(groups, &w, "groups");
    jw_int(&w, "affected", result.affected);
    jw_bool(&w, "complete", !c->dry_run && result.affected < API_MAX_CHANGE);
    if (result.operation != 0) {
        jw_int(&w, "operation", result.operation);
    }
    jw_object_end(&w);
    return 0;
}

static int change(struct api_call *call, bool discard, struct buf *out,
                  struct rider_error *err)
{
    RIDER_CLEANUP_PTR(json_tree_destroy) struct json_tree *body = NULL;
    struct change c = {.filter = buf_make(API_MAX_BODY), .discard = discard};
    int rc = api_body_read(call, API_JSON, false, &body, err);

    if (rc == 0) {
        rc = read_change(call, body, &c);
    }
    if (rc == 0) {
        rc = apply(call, &c, out, err);
    }
    buf_done(&c.filter);
    return rc;
}

int api_dead_replay(struct api_call *call, struct buf *out, struct rider_error *err)
{
    return change(call, false, out, err);
}

int api_dead_discard(struct api_call *call, struct buf *out, struct rider_error *err)
{
    return change(call, true, out, err);
}
