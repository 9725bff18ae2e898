/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_store.c - secrets of subscriptions as they lie in the database.
 *
 * A secret is in clear in one buffer of this process while it changes keys, and that
 * buffer is overwritten. The statements carry sealed bytes only.
 *
 * Invariant: a row changes key and bytes in one statement, and only from the key it was
 * read under.
 * Not here: reading secrets for delivery (the lanes) and making them (the API).
 */
#include "outbox/secret_store.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE      200
#define PLAIN_MAX (SECRET_SEALED_MAX - KEY_RING_OVERHEAD)

static const char keys_sql[] =
    "SELECT x.number, sum(x.secrets) AS secrets, sum(x.used) AS used,"
    " sum(x.answers) AS answers FROM ("
    "SELECT s.key_number AS number, 1 AS secrets, (u.deleted_at IS NULL AND"
    " (s.expires_at IS NULL OR s.expires_at > clock_timestamp()))::int AS used,"
    " 0 AS answers FROM outbox.subscription_secret s"
    " JOIN outbox.subscription u ON u.subscription = s.subscription "
    "UNION ALL SELECT i.key_number, 0, 0, 1 FROM outbox.idempotency i) x "
    "GROUP BY x.number ORDER BY x.number";

static const char page_sql[] =
    "SELECT s.secret::text, u.id, s.id, s.key_number::text, s.sealed "
    "FROM outbox.subscription_secret s"
    " JOIN outbox.subscription u ON u.subscription = s.subscription "
    "WHERE s.key_number <> $1::int AND s.secret > $2::bigint ORDER BY s.secret "
    "LIMIT $3::int";

static const char update_sql[] =
    "UPDATE outbox.subscription_secret SET key_number = $1::int, sealed = $2::bytea "
    "WHERE secret = $3::bigint AND key_number = $4::int";

static const char note_sql[] = "SELECT outbox.note_change('secrets.rewrap', $1,"
                               " jsonb_build_object('key', $2::int), $3::bigint)";

static const char answers_sql[] =
    "DELETE FROM outbox.idempotency WHERE key_number <> $1::int";

static const char begin_sql[] =
    "BEGIN; SET LOCAL jit = off; SET LOCAL synchronous_commit = on;"
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'";

struct rewrap {
    const struct secret_rewrap *order;
    struct secret_rewrap_result *result;
    PGconn *conn;
    char current[16];
    char after[24]; /* the last secret that was looked at */
};

void secret_context(const char *subscription_id, const char *secret_id,
                    char out[SECRET_CONTEXT_SIZE])
{
    (void)snprintf(out, SECRET_CONTEXT_SIZE, "subscription_secret:%.64s:%.64s",
                   subscription_id, secret_id);
}

int secret_store_keys(const char *dsn, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider secrets", &conn, err);

    return rc == 0 ? query_conn_rows(conn, keys_sql, 0, NULL, ret, err) : rc;
}

int secret_store_missing_keys(const char *dsn, const struct key_ring *ring,
                              struct buf *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = secret_store_keys(dsn, &rows, err);

    for (size_t i = 0; rc == 0 && i < row_set_count(rows); i++) {
        int64_t number = row_set_int(rows, i, "number");

        if (row_set_int(rows, i, "used") > 0 &&
            (ring == NULL || !key_ring_has(ring, (uint32_t)number))) {
            buf_printf(ret, "%s%" PRId64, ret->len == 0 ? "" : ", ", number);
        }
    }
    return rc;
}

/* Seals row `i` of a page anew. `out` gets the bytes as PostgreSQL reads them. */
static int reseal(const struct rewrap *r, const PGresult *page, int i,
                  char out[2 * SECRET_SEALED_MAX + 3], struct rider_error *err)
{
    const unsigned char *sealed = (const unsigned char *)PQgetvalue(page, i, 4);
    size_t len = (size_t)PQgetlength(page, i, 4);
    unsigned char plain[PLAIN_MAX + 1], fresh[SECRET_SEALED_MAX];
    char context[SECRET_CONTEXT_SIZE];
    uint32_t number = 0;

    if (len < KEY_RING_OVERHEAD || len > SECRET_SEALED_MAX) {
        return rider_fail(err, RIDER_E_CONFIG, "%zu bytes are no sealed secret", len);
    }
    secret_context(PQgetvalue(page, i, 1), PQgetvalue(page, i, 2), context);
    int rc = key_ring_open(r->order->ring,
                           (uint32_t)strtoul(PQgetvalue(page, i, 3), NULL, 10), context,
                           sealed, len, plain, err);
    if (rc == 0) {
        rc = key_ring_seal(r->order->ring, context, plain, len - KEY_RING_OVERHEAD,
                           fresh, &number, err);
    }
    explicit_bzero(plain, sizeof(plain));
    (void)snprintf(out, 3, "\\x");
    for (size_t b = 0; rc == 0 && b < len; b++) {
        (void)snprintf(out + 2 + 2 * b, 3, "%02x", fresh[b]);
    }
    return rc;
}

/* One row; *affected counts those that changed. Only the database can fail it. */
static int rewrap_row(const struct rewrap *r, const PGresult *page, int i,
                      int64_t *affected, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *done = NULL;
    char sealed[2 * SECRET_SEALED_MAX + 3];
    struct rider_error reason;
    const char *const values[] = {r->current, sealed, PQgetvalue(page, i, 0),
                                  PQgetvalue(page, i, 3)};

    if (reseal(r, page, i, sealed, &reason) != 0) {
        r->result->refused++;
        r->order->refused(r->order->arg, PQgetvalue(page, i, 1), PQgetvalue(page, i, 2),
                          reason.text);
        return 0;
    }
    if (r->order->dry_run) {
        (*affected)++;
        return 0;
    }
    int rc = pg_sync_query(r->conn, update_sql, 4, values, &done, err);

    *affected += rc == 0 && strcmp(PQcmdTuples(done), "1") == 0;
    return rc;
}

static int note(const struct rewrap *r, int64_t affected, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *done = NULL;
    char rows[24];
    const char *const values[] = {r->order->actor, r->current, rows};

    if (affected == 0 || r->order->dry_run) {
        return 0;
    }
    (void)snprintf(rows, sizeof(rows), "%" PRId64, affected);
    return pg_sync_query(r->conn, note_sql, 3, values, &done, err);
}

/* One page in a transaction; *ret_more: there may be another. */
static int rewrap_page(struct rewrap *r, bool *ret_more, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *page = NULL;
    char limit[16];
    const char *const values[] = {r->current, r->after, limit};
    int64_t affected = 0;

    (void)snprintf(limit, sizeof(limit), "%d", PAGE);
    int rc = pg_sync_query_binary(r->conn, page_sql, 3, values, &page, err);
    int n = rc == 0 ? PQntuples(page) : 0;

    for (int i = 0; rc == 0 && i < n; i++) {
        rc = rewrap_row(r, page, i, &affected, err);
    }
    if (rc == 0) {
        rc = note(r, affected, err);
    }
    if (rc == 0) {
        rc = pg_sync_exec(r->conn, "COMMIT", err);
    }
    if (rc == 0 && n > 0) {
        (void)snprintf(r->after, sizeof(r->after), "%s", PQgetvalue(page, n - 1, 0));
        r->result->sealed += affected;
    }
    *ret_more = n == PAGE;
    return rc;
}

static int drop_answers(const struct rewrap *r, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *done = NULL;
    const char *const values[] = {r->current};

    if (r->order->dry_run) {
        return 0;
    }
    int rc = pg_sync_query(r->conn, answers_sql, 1, values, &done, err);

    r->result->answers = rc == 0 ? (int64_t)strtoll(PQcmdTuples(done), NULL, 10) : 0;
    return rc;
}

int secret_store_rewrap(const struct secret_rewrap *order,
                        struct secret_rewrap_result *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    struct rewrap r = {.order = order, .result = ret, .after = "0"};
    bool more = true;
    int rc = pg_sync_open(order->dsn, "postrider secrets", &conn, err);

    *ret = (struct secret_rewrap_result){0, 0, 0};
    r.conn = conn;
    (void)snprintf(r.current, sizeof(r.current), "%u", key_ring_current(order->ring));
    while (rc == 0 && more) {
        rc = pg_sync_exec(conn, begin_sql, err);
        if (rc == 0) {
            rc = rewrap_page(&r, &more, err);
        }
        if (rc == 0) {
            order->progress(order->arg, ret->sealed);
        }
    }
    return rc == 0 ? drop_answers(&r, err) : rc;
}
