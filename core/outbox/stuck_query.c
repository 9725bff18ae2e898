/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stuck_query.c - what is not delivered and why.
 *
 * The view is asked lane by lane, each up to a cap, so that one long backlog
 * neither hides the other lanes nor makes the question expensive.
 *
 * Not here: what counts as which cause (the view).
 */
#include "outbox/stuck_query.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>

/* $1 destination, $2 cause, $3 age in ms, $4 rows a lane. */
#define PICKED                                                                  \
    "FROM outbox.lane l CROSS JOIN LATERAL ("                                   \
    " SELECT x.* FROM outbox.stuck x"                                           \
    " WHERE x.destination = l.destination AND x.part = l.part"                  \
    " AND ($2 = '' OR split_part(x.cause, ':', 1) = $2 OR x.cause = $2)"        \
    " AND x.since <= clock_timestamp() - $3::bigint * interval '1 millisecond'" \
    " LIMIT $4::bigint) s WHERE ($1 = '' OR l.destination = $1) "

static const char groups_sql[] =
    "WITH s AS MATERIALIZED (SELECT s.*, count(*) OVER (PARTITION BY l.lane)"
    " >= $4::bigint AS full_page " PICKED ") "
    "SELECT s.destination, split_part(s.cause, ':', 1) AS cause, s.state,"
    " count(*) AS count, bool_or(s.full_page) AS capped, min(s.since) AS oldest,"
    " GREATEST((extract(epoch FROM clock_timestamp() - min(s.since)) * 1000)::bigint,"
    " 0) AS \"ageMs\", max(s.attempts) AS attempts,"
    " min(s.next_attempt) AS \"nextAttempt\","
    " (array_agg(s.event_id ORDER BY s.since, s.seq))[1] AS \"eventId\","
    " (array_agg(s.last_error ORDER BY s.since, s.seq))[1] AS \"lastError\" "
    "FROM s GROUP BY 1, 2, 3 ORDER BY min(s.since), 1, 2";

static const char events_sql[] =
    "SELECT s.destination, s.part, s.subscription,"
    " s.subscription_id AS \"subscriptionId\", s.host, s.event_id AS \"eventId\", "
    "s.type,"
    " s.key, s.state, s.cause, s.since, s.attempts,"
    " s.next_attempt AS \"nextAttempt\", s.last_error AS \"lastError\" " PICKED
    "ORDER BY s.since, s.seq, s.destination LIMIT $4::bigint";

static int ask(const char *dsn, const struct stuck_filter *filter, const char *sql,
               int64_t limit, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char older[24];
    char rows[24];
    const char *const values[] = {filter->destination, filter->cause, older, rows};
    int rc = query_conn_read(dsn, "postrider stuck", &conn, err);

    (void)snprintf(older, sizeof(older), "%" PRId64, filter->older_ms);
    (void)snprintf(rows, sizeof(rows), "%" PRId64, limit);
    return rc == 0 ? query_conn_rows(conn, sql, 4, values, ret, err) : rc;
}

int stuck_groups(const char *dsn, const struct stuck_filter *filter,
                 struct row_set **ret, struct rider_error *err)
{
    return ask(dsn, filter, groups_sql, STUCK_CAP, ret, err);
}

int stuck_events(const char *dsn, const struct stuck_filter *filter, int64_t limit,
                 struct row_set **ret, struct rider_error *err)
{
    return ask(dsn, filter, events_sql, limit, ret, err);
}
