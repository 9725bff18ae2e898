/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_deliveries.c - deliveries of subscriptions and the attempts at them.
 *
 * Not here: what changes them (webhook_operations.c).
 */
#include "outbox/webhook_deliveries.h"

#include "base/parse.h"
#include "outbox/attempt_columns.h"
#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DELIVERY_COLUMNS                                                           \
    "d.id, d.subscription_id, d.event_id, d.type AS event_type, d.aggregate_type," \
    " d.aggregate_id, d.occurred_at, lower(d.state) AS status, d.cause,"           \
    " d.last_error, d.attempts, d.setbacks, d.trigger, d.next_attempt_at,"         \
    " d.operation_id, d.created_at, d.updated_at, d.seq::text AS position "

/* $4 says whether what the receiver answered is shown. */
#define ATTEMPTS                                                       \
    "SELECT " ATTEMPT_COLUMNS                                          \
    ", CASE WHEN $4::boolean THEN a.response END AS response_excerpt," \
    " a.attempt::text AS position "                                    \
    "FROM outbox.attempt a "                                           \
    "JOIN outbox.subscription s ON s.subscription = a.subscription "   \
    "LEFT JOIN outbox.event e ON e.seq = a.seq "

static const char subscription_sql[] =
    "SELECT s.subscription FROM outbox.subscription s WHERE s.id = $1"
    " AND s.deleted_at IS NULL";

static const char deliveries_sql[] =
    "SELECT " DELIVERY_COLUMNS "FROM outbox.subscription_delivery d "
    "WHERE d.subscription = $1::bigint AND ($2 = '' OR d.state = upper($2))"
    " AND ($3 = '' OR d.type LIKE outbox.like_of($3))"
    " AND ($4 = '' OR d.event_id = NULLIF($4, '')::uuid)"
    " AND ($5 = '' OR d.occurred_at >= NULLIF($5, '')::timestamptz)"
    " AND ($6 = '' OR d.occurred_at < NULLIF($6, '')::timestamptz)"
    " AND ($7 = '' OR d.seq < NULLIF($7, '')::bigint) "
    "ORDER BY d.seq DESC LIMIT $8::bigint";

static const char delivery_sql[] =
    "SELECT " DELIVERY_COLUMNS "FROM outbox.subscription_delivery d "
    "JOIN outbox.subscription s ON s.subscription = d.subscription"
    " AND s.deleted_at IS NULL "
    "WHERE d.lane = $1::int AND d.seq = $2::bigint AND d.subscription = $3::bigint";

static const char delivery_attempts_sql[] =
    ATTEMPTS "WHERE a.lane = $1::int AND a.seq = $2::bigint"
             " AND a.subscription = $3::bigint ORDER BY a.attempt DESC LIMIT 25";

static const char attempts_sql[] =
    ATTEMPTS "WHERE a.subscription = $1::bigint AND ($2 = '' OR a.outcome = $2)"
             " AND ($3 = '' OR a.http_status::text LIKE replace($3, 'x', '_'))"
             " AND ($5 = '' OR a.category = $5) AND ($6 = '' OR a.trigger = $6)"
             " AND ($7 = '' OR a.attempt < NULLIF($7, '')::bigint)"
             " AND ($9 = '' OR e.event_id = NULLIF($9, '')::uuid) "
             "ORDER BY a.attempt DESC LIMIT $8::bigint";

static const char dead_sql[] =
    "SELECT format('dlv_%s_%s_%s', x.lane, x.seq, x.subscription) AS id,"
    " x.subscription_id, x.destination, x.event_id, x.type AS event_type,"
    " x.aggregate_type, x.aggregate_id, x.occurred_at, x.dead_at, x.attempts,"
    " x.cause, x.last_error,"
    " format('%s.%s.%s', x.seq, x.lane, x.subscription) AS position "
    "FROM outbox.dead_letters($1::jsonb) x "
    "WHERE $2 = '' OR (x.seq, x.lane, x.subscription) >"
    " (split_part($2, '.', 1)::bigint, split_part($2, '.', 2)::int,"
    "  split_part($2, '.', 3)::bigint) "
    "ORDER BY x.seq, x.lane, x.subscription LIMIT $3::bigint";

/* The digits up to `end`, which is then passed over. */
static bool take_number(const char **text, char end, int64_t max, int64_t *ret)
{
    char digits[20];
    size_t n = strspn(*text, "0123456789");

    if (n == 0 || n >= sizeof(digits) || (*text)[n] != end ||
        ((*text)[0] == '0' && n > 1)) {
        return false;
    }
    memcpy(digits, *text, n);
    digits[n] = '\0';
    *text += n + (end != '\0');
    return parse_int(digits, ret, NULL) == 0 && *ret <= max;
}

bool webhook_delivery_id_parse(const char *text, struct webhook_delivery_id *ret)
{
    if (strncmp(text, "dlv_", 4) != 0) {
        return false;
    }
    text += 4;
    return take_number(&text, '_', INT32_MAX, &ret->lane) &&
           take_number(&text, '_', INT64_MAX, &ret->seq) &&
           take_number(&text, '\0', INT64_MAX, &ret->subscription);
}

/* Its number; `out` has room for 24 bytes. */
static int find_subscription(PGconn *conn, const char *id, char *out,
                             struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = query_conn_rows(conn, subscription_sql, 1, &id, &rows, err);

    if (rc == 0 && row_set_count(rows) == 0) {
        rc = rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription");
    }
    if (rc == 0) {
        (void)snprintf(out, 24, "%s", row_set_text(rows, 0, "subscription"));
    }
    return rc;
}

/* values[0] becomes the subscription's number, values[7] the limit. */
static int list(const char *dsn, const char *sql, const char **values, int n,
                int64_t limit, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char number[24] = "";
    char most[24];
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    if (rc == 0) {
        rc = find_subscription(conn, values[0], number, err);
    }
    if (rc != 0) {
        return rc;
    }
    (void)snprintf(most, sizeof(most), "%" PRId64, limit);
    values[0] = number;
    values[7] = most;
    return query_conn_rows(conn, sql, n, values, ret, err);
}

int webhook_deliveries_list(const char *dsn,
                            const struct webhook_delivery_filter *filter,
                            const char *after, int64_t limit, struct row_set **ret,
                            struct rider_error *err)
{
    const char *values[] = {
        filter->subscription, filter->state, filter->type, filter->event_id,
        filter->since,        filter->until, after,        NULL};

    return list(dsn, deliveries_sql, values, 8, limit, ret, err);
}

int webhook_attempts_list(const char *dsn, const struct webhook_attempt_filter *filter,
                          const char *after, int64_t limit, struct row_set **ret,
                          struct rider_error *err)
{
    const char *values[] = {filter->subscription,
                            filter->outcome,
                            filter->http_status,
                            filter->responses ? "true" : "false",
                            filter->category,
                            filter->trigger,
                            after,
                            NULL,
                            filter->event_id};

    return list(dsn, attempts_sql, values, 9, limit, ret, err);
}

int webhook_delivery_read(const char *dsn, const struct webhook_delivery_id *id,
                          bool responses, struct row_set **ret,
                          struct row_set **ret_attempts, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char lane[24];
    char seq[24];
    char subscription[24];
    const char *const values[] = {lane, seq, subscription,
                                  responses ? "true" : "false"};

    (void)snprintf(lane, sizeof(lane), "%" PRId64, id->lane);
    (void)snprintf(seq, sizeof(seq), "%" PRId64, id->seq);
    (void)snprintf(subscription, sizeof(subscription), "%" PRId64, id->subscription);
    int rc = query_conn_read(dsn, "postrider api", &conn, err);
    if (rc == 0) {
        rc = query_conn_rows(conn, delivery_sql, 3, values, &rows, err);
    }
    if (rc == 0 && row_set_count(rows) == 0) {
        rc = rider_fail(err, RIDER_E_NOT_FOUND, "there is no such delivery");
    }
    if (rc == 0) {
        rc = query_conn_rows(conn, delivery_attempts_sql, 4, values, ret_attempts, err);
    }
    if (rc == 0) {
        *ret = RIDER_STEAL(rows);
    }
    return rc;
}

int webhook_dead_list(const char *dsn, const char *filter, const char *after,
                      int64_t limit, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char most[24];
    const char *const values[] = {filter, after, most};

    (void)snprintf(most, sizeof(most), "%" PRId64, limit);
    int rc = query_conn_read(dsn, "postrider api", &conn, err);
    return rc == 0 ? query_conn_rows(conn, dead_sql, 3, values, ret, err) : rc;
}
