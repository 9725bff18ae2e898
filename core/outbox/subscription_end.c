/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription_end.c - the end of a subscription, and how its endpoint does.
 *
 * The lane's row is locked before any delivery, as everybody does who changes rows of
 * subscriptions; what is in flight then ends as the lane says, and a row that was given
 * up stays so.
 */
#include "outbox/query_conn.h"
#include "outbox/subscriptions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE 5000

static const char health_sql[] =
    "SELECT s.id AS subscription_id, s.status,"
    " CASE WHEN COALESCE(h.consecutive_failures, 0) < 5 THEN 'closed'"
    "  WHEN COALESCE(h.throttled_until, '-infinity') > clock_timestamp() THEN 'open'"
    "  ELSE 'half_open' END AS state,"
    " COALESCE(h.consecutive_failures, 0) AS consecutive_failures, h.failing_since,"
    " h.last_success_at, h.last_failure_at,"
    " CASE WHEN h.throttled_until > clock_timestamp() THEN h.throttled_until END"
    "  AS throttled_until, h.last_cause, h.last_error,"
    " to_json(a.rate) AS success_rate_5m, a.attempts AS attempts_5m,"
    " to_json(a.p95) AS p95_ms,"
    " json_build_object('pending', b.pending, 'in_flight', b.in_flight,"
    "  'retry', b.retry, 'held', b.held, 'dead', b.dead) AS backlog,"
    " CASE WHEN b.oldest IS NOT NULL THEN"
    "  GREATEST(extract(epoch FROM clock_timestamp() - b.oldest)::bigint, 0) END"
    "  AS oldest_undelivered_age_seconds "
    "FROM outbox.subscription s "
    "LEFT JOIN outbox.subscription_health h ON h.subscription = s.subscription "
    "CROSS JOIN LATERAL (SELECT count(*) AS attempts,"
    "  round(avg((x.outcome = 'delivered')::int), 4) AS rate,"
    "  round((percentile_cont(0.95) WITHIN GROUP (ORDER BY x.total_us)"
    "   / 1000)::numeric, 1) AS p95"
    " FROM (SELECT t.* FROM outbox.attempt t WHERE t.subscription = s.subscription"
    "  AND t.trigger NOT IN ('test', 'verify') ORDER BY t.attempt DESC LIMIT 10000) x"
    " WHERE x.started_at > clock_timestamp() - interval '5 minutes') a "
    "CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE d.state = 'PENDING') AS pending,"
    "  count(*) FILTER (WHERE d.state = 'IN_FLIGHT') AS in_flight,"
    "  count(*) FILTER (WHERE d.state = 'RETRY') AS retry,"
    "  count(*) FILTER (WHERE d.state = 'HELD') AS held,"
    "  count(*) FILTER (WHERE d.state = 'DEAD') AS dead,"
    "  min(d.created_at) FILTER (WHERE d.state <> 'DEAD') AS oldest"
    " FROM outbox.delivery d JOIN outbox.lane l ON l.lane = d.lane"
    " WHERE l.destination = s.destination AND d.subscription = s.subscription"
    "  AND d.state NOT IN ('DELIVERED', 'DISCARDED')) b "
    "WHERE s.id = $1 AND s.deleted_at IS NULL";

int subscription_health(const char *dsn, const char *id, struct row_set **ret,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, health_sql, 1, &id, ret, err);
    }
    if (rc == 0 && row_set_count(*ret) != 1) {
        row_set_destroy(*ret);
        *ret = NULL;
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription");
    }
    return rc;
}

/* ---- deleting -------------------------------------------------------------------- */

static const char lane_sql[] =
    "SELECT l.lane FROM outbox.lane l JOIN outbox.subscription s"
    " ON l.destination = s.destination WHERE s.id = $1 "
    "ORDER BY l.lane FOR NO KEY UPDATE OF l";

/* Its operations are not touched: who works on one holds it and waits for the lane. They
 * find the mark, and end. */
static const char mark_sql[] =
    "WITH gone AS (UPDATE outbox.subscription s SET deleted_at = clock_timestamp(),"
    "  updated_at = clock_timestamp(), version = s.version + 1"
    " WHERE s.id = $1 AND s.deleted_at IS NULL"
    "  AND ($2::bigint = 0 OR s.version = $2::bigint) RETURNING s.subscription) "
    "SELECT (SELECT count(*) FROM gone) AS gone,"
    " (SELECT count(*) FROM outbox.subscription s"
    "  WHERE s.id = $1 AND s.deleted_at IS NULL) AS was";

static const char discard_sql[] =
    "WITH page AS (SELECT d.lane, d.seq, d.subscription FROM outbox.delivery d"
    "  JOIN outbox.subscription s ON s.subscription = d.subscription"
    " WHERE s.id = $1 AND s.deleted_at IS NOT NULL"
    "  AND d.state NOT IN ('DELIVERED', 'DISCARDED') ORDER BY d.seq LIMIT $2::int) "
    "UPDATE outbox.delivery d SET state = 'DISCARDED', cause = 'cancelled',"
    " updated_at = clock_timestamp() FROM page p"
    " WHERE d.lane = p.lane AND d.seq = p.seq AND d.subscription = p.subscription "
    "RETURNING d.seq";

static int mark(const char *dsn, const char *id, const char *version, const char *actor,
                struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    const char *const values[] = {id, version};
    int rc = outbox_tx_begin(dsn, &tx, err);

    if (rc == 0) {
        rc = outbox_tx_rows(tx, lane_sql, 1, values, &lanes, err);
    }
    if (rc == 0) {
        rc = outbox_tx_rows(tx, mark_sql, 2, values, ret, err);
    }
    if (rc == 0 && row_set_int(*ret, 0, "gone") == 1) {
        rc = outbox_tx_audit(tx, actor, "subscription.delete", id, err);
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}

static int discard_page(const char *dsn, const char *id, size_t *ret_n,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char page[16];
    const char *const values[] = {id, page};

    (void)snprintf(page, sizeof(page), "%d", PAGE);
    int rc = outbox_tx_begin(dsn, &tx, err);
    if (rc == 0) {
        rc = outbox_tx_rows(tx, lane_sql, 1, values, &lanes, err);
    }
    if (rc == 0) {
        rc = outbox_tx_rows(tx, discard_sql, 2, values, &rows, err);
    }
    if (rc == 0) {
        *ret_n = row_set_count(rows);
        rc = outbox_tx_commit(tx, err);
    }
    return rc;
}

int subscription_delete(const char *dsn, const char *id, int64_t version,
                        const char *actor, bool *ret_stale, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char number[24];
    size_t n = PAGE;

    *ret_stale = false;
    (void)snprintf(number, sizeof(number), "%" PRId64, version);
    int rc = mark(dsn, id, number, actor, &rows, err);
    if (rc != 0) {
        return rc;
    }
    bool gone = row_set_int(rows, 0, "gone") == 1;
    if (!gone && row_set_int(rows, 0, "was") == 1) {
        *ret_stale = true;
        return rider_fail(err, RIDER_E_CONFIG, "the subscription has changed");
    }
    while (rc == 0 && n == PAGE) {
        rc = discard_page(dsn, id, &n, err);
    }
    return rc == 0 && !gone
               ? rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription")
               : rc;
}
