/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held_query.c - held keys, and lanes that an operator stops and starts.
 *
 * Not here: what a release or a pause does (schema/005_operators.sql).
 */
#include "outbox/held_query.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>

static const char list_sql[] =
    "SELECT h.destination, h.part, h.subscription,"
    " h.subscription_id AS \"subscriptionId\", h.host,"
    " h.aggregate_type AS \"aggregateType\", h.aggregate_id AS \"aggregateId\","
    " h.waiting, h.waiting_since AS \"waitingSince\", h.held_by AS \"heldBy\","
    " h.holder_type AS \"holderType\", h.holder_state AS \"holderState\", h.cause,"
    " h.last_error AS \"lastError\", h.attempts, h.next_attempt_at AS \"nextAttempt\" "
    "FROM outbox.held_keys($1::jsonb) h ORDER BY h.waiting_since, h.destination "
    "LIMIT $2::bigint";

static const char count_sql[] =
    "SELECT h.destination, count(*) AS keys, sum(h.waiting)::bigint AS events "
    "FROM outbox.held_keys($1::jsonb) h GROUP BY 1 ORDER BY 1";

static const char release_sql[] =
    "SELECT operation, affected FROM outbox.held_release($1::jsonb, $2::boolean, $3)";

static const char pause_sql[] =
    "SELECT part, owner FROM outbox.lane_pause($1, $2, $3::boolean) ORDER BY part";
static const char resume_sql[] = "SELECT part, owner FROM outbox.lane_resume($1, $2) "
                                 "WHERE NOT $3::boolean ORDER BY part";
static const char owners_sql[] =
    "SELECT part, owner FROM outbox.lane WHERE destination = $1 AND owner IS NOT NULL "
    "AND lease_until > clock_timestamp() ORDER BY part";

static int read_rows(const char *dsn, const char *sql, int n, const char *const *values,
                     struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider held", &conn, err);

    return rc == 0 ? query_conn_rows(conn, sql, n, values, ret, err) : rc;
}

static int write_rows(const char *dsn, const char *sql, int n,
                      const char *const *values, struct row_set **ret,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_open(dsn, "postrider held", &conn, err);

    return rc == 0 ? query_conn_write(conn, sql, n, values, ret, err) : rc;
}

int held_query_list(const char *dsn, const char *filter, int64_t limit,
                    struct row_set **ret, struct rider_error *err)
{
    char rows[24];
    const char *const values[] = {filter, rows};

    (void)snprintf(rows, sizeof(rows), "%" PRId64, limit);
    return read_rows(dsn, list_sql, 2, values, ret, err);
}

int held_query_count(const char *dsn, const char *filter, struct row_set **ret,
                     struct rider_error *err)
{
    return read_rows(dsn, count_sql, 1, &filter, ret, err);
}

int held_query_release(const char *dsn, const char *filter, bool discard,
                       const char *actor, struct row_set **ret, struct rider_error *err)
{
    const char *const values[] = {filter, discard ? "true" : "false", actor};

    return write_rows(dsn, release_sql, 3, values, ret, err);
}

int lane_switch_set(const char *dsn, const char *destination, enum lane_switch to,
                    const char *actor, struct row_set **ret, struct rider_error *err)
{
    const char *const values[] = {destination, actor,
                                  to == LANE_SWITCH_FENCE ? "true" : "false"};
    int rc = write_rows(dsn, to == LANE_SWITCH_RESUME ? resume_sql : pause_sql, 3,
                        values, ret, err);

    if (rc == 0 && row_set_count(*ret) == 0) {
        row_set_destroy(*ret);
        *ret = NULL;
        return rider_fail(err, RIDER_E_NOT_FOUND,
                          "no lane of a destination \"%.80s\": `postrider status` "
                          "lists them",
                          destination);
    }
    return rc;
}

int lane_switch_owners(const char *dsn, const char *destination, struct row_set **ret,
                       struct rider_error *err)
{
    return read_rows(dsn, owners_sql, 1, &destination, ret, err);
}
