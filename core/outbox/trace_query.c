/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_query.c - one event at every destination.
 *
 * Not here: how a state follows from cursor and row (view outbox.event_trace).
 */
#include "outbox/trace_query.h"

#include "base/parse.h"
#include "outbox/query_conn.h"

static const char event_sql[] =
    "SELECT e.event_id AS \"eventId\", e.seq, e.type, e.version,"
    " e.aggregate_type AS \"aggregateType\", e.aggregate_id AS \"aggregateId\","
    " e.occurred_at AS \"occurredAt\","
    " (extract(epoch FROM clock_timestamp() - e.occurred_at) * 1000)::bigint"
    " AS \"ageMs\" "
    "FROM outbox.event e WHERE e.event_id = $1::uuid";

static const char places_sql[] =
    "SELECT t.destination, t.part, t.subscription,"
    " t.subscription_id AS \"subscriptionId\", t.host, t.state, t.cause, t.attempts,"
    " t.since, CASE WHEN t.state = 'RETRY' THEN t.next_attempt_at END AS "
    "\"nextAttempt\", t.last_error AS \"lastError\","
    " NOT t.has_row AS \"byCursor\", t.lane_state AS \"laneState\","
    " t.lane_owner AS \"laneOwner\", t.lane_cause AS \"laneCause\","
    " t.lane_settled_seq AS \"laneSettledSeq\", t.lane_sent_seq AS \"laneSentSeq\" "
    "FROM outbox.event_trace t WHERE t.event_id = $1::uuid ORDER BY 1, 2, 3";

int trace_query_read(const char *dsn, const char *event_id, struct row_set **ret_event,
                     struct row_set **ret_places, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *event = NULL;

    if (!parse_is_uuid(event_id)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%.60s\" is not an event id (a UUID)",
                          event_id);
    }
    int rc = query_conn_read(dsn, "postrider trace", &conn, err);
    if (rc == 0) {
        rc = query_conn_rows(conn, event_sql, 1, &event_id, &event, err);
    }
    if (rc == 0 && row_set_count(event) == 0) {
        rc = rider_fail(err, RIDER_E_NOT_FOUND,
                        "no event %s in the outbox: not committed (yet), or retired",
                        event_id);
    }
    if (rc == 0) {
        rc = query_conn_rows(conn, places_sql, 1, &event_id, ret_places, err);
    }
    if (rc == 0) {
        *ret_event = RIDER_STEAL(event);
    }
    return rc;
}
