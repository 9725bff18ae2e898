/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dead_letters.c - look at dead letters, send them again, give them up.
 *
 * The rules are functions of the schema; this module asks them. A change goes
 * page by page, so that it blocks the relay's own writes for milliseconds only,
 * and all pages belong to one audit row.
 *
 * Not here: what a filter may hold (schema/005_operators.sql).
 */
#include "outbox/dead_letters.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>

#define PAGE 1000

static const char check_sql[] = "SELECT outbox.check_dead_filter($1::jsonb, false)";

static const char list_sql[] =
    "SELECT x.event_id AS \"eventId\", x.destination, x.part, x.subscription,"
    " x.subscription_id AS \"subscriptionId\", x.host, x.type,"
    " x.version, x.aggregate_type AS \"aggregateType\","
    " x.aggregate_id AS \"aggregateId\", x.occurred_at AS \"occurredAt\","
    " x.dead_at AS \"deadAt\", x.attempts, x.cause, x.last_error AS \"lastError\","
    " format('%s.%s.%s', x.seq, x.lane, x.subscription) AS position "
    "FROM outbox.dead_letters($1::jsonb) x "
    "WHERE $2 = '' OR (x.seq, x.lane, x.subscription) >"
    " (split_part($2, '.', 1)::bigint, split_part($2, '.', 2)::int,"
    "  split_part($2, '.', 3)::bigint) "
    "ORDER BY x.seq, x.lane, x.subscription LIMIT $3::bigint";

static const char count_sql[] =
    "SELECT x.destination, COALESCE(x.cause, 'unknown') AS cause, count(*) AS count,"
    " min(x.dead_at) AS oldest, max(x.dead_at) AS newest "
    "FROM outbox.dead_letters($1::jsonb) x GROUP BY 1, 2 ORDER BY 1, 2";

static const char replay_sql[] =
    "SELECT operation, affected FROM outbox.dead_replay($1::jsonb, $2, $3::int,"
    " $4::int, $5::bigint)";

static const char discard_sql[] =
    "SELECT operation, affected FROM outbox.dead_discard($1::jsonb, $2, $4::int,"
    " $5::bigint) WHERE $3::int IS NULL";

static int open_checked(const char *dsn, const char *filter, PGconn **ret,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *ignored = NULL;
    int rc = query_conn_read(dsn, "postrider dead", &conn, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, check_sql, 1, &filter, &ignored, err);
    }
    if (rc == 0) {
        *ret = RIDER_STEAL(conn);
    }
    return rc;
}

int dead_letters_list(const char *dsn, const char *filter, const char *after,
                      int64_t limit, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char rows[24];
    const char *const values[] = {filter, after, rows};
    int rc = open_checked(dsn, filter, &conn, err);

    (void)snprintf(rows, sizeof(rows), "%" PRId64, limit);
    return rc == 0 ? query_conn_rows(conn, list_sql, 3, values, ret, err) : rc;
}

int dead_letters_count(const char *dsn, const char *filter, struct row_set **ret,
                       struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = open_checked(dsn, filter, &conn, err);

    return rc == 0 ? query_conn_rows(conn, count_sql, 1, &filter, ret, err) : rc;
}

/* One page; adds to *total. */
static int apply_page(PGconn *conn, const struct dead_order *order, int64_t page,
                      struct dead_result *total, int64_t *ret_affected,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char rate[24];
    char size[24];
    char operation[24];
    const char *const values[] = {order->filter, order->actor,
                                  order->per_second == 0 ? NULL : rate, size,
                                  total->operation == 0 ? NULL : operation};

    (void)snprintf(rate, sizeof(rate), "%" PRId64, order->per_second);
    (void)snprintf(size, sizeof(size), "%" PRId64, page);
    (void)snprintf(operation, sizeof(operation), "%" PRId64, total->operation);
    int rc = query_conn_write(conn, order->discard ? discard_sql : replay_sql, 5,
                              values, &rows, err);
    if (rc != 0) {
        return rc;
    }
    if (row_set_count(rows) != 1) {
        return rider_fail(err, RIDER_E_CONFIG, "a rate applies to a replay only");
    }
    total->operation = row_set_int(rows, 0, "operation");
    *ret_affected = row_set_int(rows, 0, "affected");
    total->affected += *ret_affected;
    return 0;
}

int dead_letters_apply(const struct dead_order *order, dead_progress_fn *progress,
                       void *arg, struct dead_result *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_open(order->dsn, "postrider dead", &conn, err);
    bool more = true;

    *ret = (struct dead_result){0, 0};
    while (rc == 0 && more) {
        int64_t affected = 0;
        int64_t page = PAGE;

        if (order->max > 0 && order->max - ret->affected < page) {
            page = order->max - ret->affected;
        }
        rc = apply_page(conn, order, page, ret, &affected, err);
        more = affected == page && (order->max == 0 || ret->affected < order->max);
        if (rc == 0 && progress != NULL && !progress(arg, ret->affected)) {
            more = false;
        }
    }
    return rc;
}
