/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_dead.c - the API's routes about dead letters.
 *
 * Not here: who may call them (api_routes.c), what they do (outbox/dead_letters.h).
 */
#include "admin/api_dead.h"

#include "admin/api_request.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "outbox/dead_letters.h"

#include <stdio.h>
#include <stdlib.h>

/* Query parameters of the list; those before LIMIT are keys of the filter. */
static const char *const names[] = {"eventId",       "destination", "type",  "cause",
                                    "aggregateType", "aggregateId", "since", "until",
                                    "limit",         "after"};
enum { N_KEYS = 8, LIMIT = 8, AFTER = 9, N_NAMES = 10 };

static int parse_limit(const struct buf *text, int64_t *ret, struct rider_error *err)
{
    if (text->len > 0 && (parse_int(buf_text(text), ret, NULL) != 0 || *ret < 1 ||
                          *ret > DEAD_LIST_MAX)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"limit\" is a number from 1 to %d",
                          DEAD_LIST_MAX);
    }
    return 0;
}

static int list(const struct api_call *call, const struct api_parameter *parameters,
                struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf filter = buf_make(65536);
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct json_writer w = jw_begin(&filter);
    int64_t limit = 100;

    jw_object(&w, NULL);
    for (size_t i = 0; i < N_KEYS; i++) {
        if (parameters[i].value.len > 0) {
            jw_string(&w, names[i], buf_text(&parameters[i].value));
        }
    }
    jw_object_end(&w);
    int rc = parse_limit(&parameters[LIMIT].value, &limit, err);
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
        parameters[i] = (struct api_parameter){names[i], buf_make(4096)};
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

/* Counts, then, unless it is a dry run, changes. */
static int apply(const struct api_call *call, bool discard,
                 const struct api_change *change, struct buf *out,
                 struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *groups = NULL;
    struct dead_result result = {0, 0};
    char actor[128];
    const struct dead_order order = {.dsn = call->dsn,
                                     .filter = change->filter,
                                     .actor = actor,
                                     .discard = discard,
                                     .per_second = change->rate,
                                     .max = API_MAX_CHANGE};

    (void)snprintf(actor, sizeof(actor), "api %s", call->who);
    int rc = dead_letters_count(call->dsn, change->filter, &groups, err);
    int64_t matched = rc == 0 ? sum(groups) : 0;
    if (rc == 0 && !change->dry_run && matched > 0) {
        rc = dead_letters_apply(&order, NULL, NULL, &result, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    jw_string(&w, "action", discard ? "discard" : "replay");
    jw_bool(&w, "dryRun", change->dry_run);
    jw_int(&w, "matched", matched);
    row_set_write(groups, &w, "groups");
    jw_int(&w, "affected", result.affected);
    jw_bool(&w, "complete", !change->dry_run && result.affected < API_MAX_CHANGE);
    if (result.operation != 0) {
        jw_int(&w, "operation", result.operation);
    }
    jw_object_end(&w);
    return 0;
}

static int change(const struct api_call *call, bool discard, struct buf *out,
                  struct rider_error *err)
{
    struct api_change wanted;
    int rc = api_request_change(call->req, !discard, &wanted, err);

    if (rc == 0) {
        rc = apply(call, discard, &wanted, out, err);
        free(wanted.filter);
    }
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
