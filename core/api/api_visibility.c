/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_visibility.c - the API's routes about status, stuck events and single events.
 *
 * The answers are the JSON of the commands. Not here: the questions (core/outbox).
 */
#include "api/api_visibility.h"

#include "api/api_request.h"
#include "base/parse.h"
#include "outbox/status_json.h"
#include "outbox/stuck_query.h"
#include "outbox/trace_query.h"

#define STUCK_LIMIT 1000

int api_show_status(struct api_call *call, struct buf *out, struct rider_error *err)
{
    struct outbox_status *status = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = outbox_status_read(call->dsn, &status, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        outbox_status_write(status, &w);
    }
    outbox_status_destroy(status);
    return rc;
}

enum { P_DESTINATION, P_CAUSE, P_OLDER, P_EVENTS, N_STUCK };

static int answer_stuck(struct api_call *call, const struct api_parameter *p,
                        struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct stuck_filter filter = {.destination = buf_text(&p[P_DESTINATION].value),
                                  .cause = buf_text(&p[P_CAUSE].value)};
    uint64_t older = 0;
    int64_t limit = 0;

    if (p[P_OLDER].value.len > 0 &&
        parse_duration_ms(buf_text(&p[P_OLDER].value), &older, NULL) != 0) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "\"olderThan\" is a duration such as 30s or 10m");
    }
    filter.older_ms = (int64_t)older;
    if (p[P_EVENTS].value.len > 0 &&
        (parse_int(buf_text(&p[P_EVENTS].value), &limit, NULL) != 0 || limit < 1 ||
         limit > STUCK_LIMIT)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"events\" is a number from 1 to %d",
                          STUCK_LIMIT);
    }
    int rc = limit > 0 ? stuck_events(call->dsn, &filter, limit, &rows, err)
                       : stuck_groups(call->dsn, &filter, &rows, err);
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        jw_object(&w, NULL);
        row_set_write(rows, &w, limit > 0 ? "events" : "groups");
        jw_object_end(&w);
    }
    return rc;
}

int api_show_stuck(struct api_call *call, struct buf *out, struct rider_error *err)
{
    struct api_parameter p[N_STUCK] = {{"destination", buf_make(256)},
                                       {"cause", buf_make(256)},
                                       {"olderThan", buf_make(64)},
                                       {"events", buf_make(64)}};
    int rc = api_request_parameters(call->req, p, N_STUCK, err);

    if (rc == 0) {
        rc = answer_stuck(call, p, out, err);
    }
    for (size_t i = 0; i < N_STUCK; i++) {
        buf_done(&p[i].value);
    }
    return rc;
}

int api_show_event(struct api_call *call, struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *event = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *places = NULL;
    int rc = api_request_parameters(call->req, NULL, 0, err);

    if (rc == 0) {
        rc = trace_query_read(call->dsn, call->values[0], &event, &places, err);
    }
    if (rc == 0) {
        struct json_writer w = jw_begin(out);
        jw_object(&w, NULL);
        row_set_write_row(event, 0, &w, "event");
        row_set_write(places, &w, "destinations");
        jw_object_end(&w);
    }
    return rc;
}
