/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_store.c - secrets of subscriptions as they lie in the database.
 *
 * What is sealed is in clear in one buffer of this process while it changes keys, and that
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

#define PAGE       200
#define SEALED_MAX ((size_t)2 << 20)

static const char keys_sql[] =
    "SELECT x.number, sum(x.secrets) AS secrets, sum(x.used) AS used,"
    " sum(x.answers) AS answers FROM ("
    "SELECT s.key_number AS number, 1 AS secrets, (u.deleted_at IS NULL AND"
    " (s.expires_at IS NULL OR s.expires_at > clock_timestamp()))::int AS used,"
    " 0 AS answers FROM outbox.subscription_secret s"
    " JOIN outbox.subscription u ON u.subscription = s.subscription "
    "UNION ALL SELECT i.key_number, 0, 0, 1 FROM outbox.idempotency i "
    "WHERE i.claimed_until IS NULL) x "
    "GROUP BY x.number ORDER BY x.number";

/* Where sealed bytes are kept. The rows of a page are locked until it is committed. */
static const struct sealed_table {
    const char *name;
    /* $1 the current key, $2 and $3 the row behind which to go on, $4 how many. Columns:
     * the two that name a row, its key, its context, the bytes, what to call it. */
    const char *page_sql;
    /* $1 the current key, $2 the bytes, $3 and $4 the row, $5 its key so far. */
    const char *update_sql;
    const char *first; /* behind nothing */
} tables[] = {
    {"secrets",
     "SELECT s.secret::text, '', s.key_number::text,"
     " 'subscription_secret:' || u.id || ':' || s.id, s.sealed,"
     " format('secret %s of %s', s.id, u.id) "
     "FROM outbox.subscription_secret s"
     " JOIN outbox.subscription u ON u.subscription = s.subscription "
     "WHERE s.key_number <> $1::int AND s.secret > $2::bigint AND $3 = ''"
     " ORDER BY s.secret LIMIT $4::int FOR UPDATE OF s",
     "UPDATE outbox.subscription_secret SET key_number = $1::int, sealed = $2::bytea "
     "WHERE secret = $3::bigint AND $4 = '' AND key_number = $5::int",
     "0"},
    {"answers",
     "SELECT i.principal, i.key, i.key_number::text,"
     " 'idempotency:' || i.principal || ':' || i.key, i.sealed,"
     " format('answer to a request of %s', i.principal) "
     "FROM outbox.idempotency i "
     "WHERE i.key_number <> $1::int AND (i.principal, i.key) > ($2, $3)"
     " ORDER BY i.principal, i.key LIMIT $4::int FOR UPDATE",
     "UPDATE outbox.idempotency SET key_number = $1::int, sealed = $2::bytea "
     "WHERE principal = $3 AND key = $4 AND key_number = $5::int",
     ""},
};

enum { COL_A, COL_B, COL_NUMBER, COL_CONTEXT, COL_SEALED, COL_LABEL };

static const char note_sql[] =
    "SELECT outbox.note_change('secrets.rewrap', $1,"
    " jsonb_build_object('key', $2::int, 'of', $3::text), $4::bigint)";

static const char begin_sql[] =
    "BEGIN; SET LOCAL jit = off; SET LOCAL synchronous_commit = on;"
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s';"
    "SET LOCAL idle_in_transaction_session_timeout = '30s'";

struct rewrap {
    const struct secret_rewrap *order;
    const struct sealed_table *table;
    PGconn *conn;
    int64_t sealed, refused;
    char current[16];
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

/* Appends the bytes as PostgreSQL reads them. */
static void put_bytea(const unsigned char *bytes, size_t len, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";

    buf_puts(out, "\\x");
    for (size_t i = 0; i < len; i++) {
        buf_putc(out, digits[bytes[i] >> 4]);
        buf_putc(out, digits[bytes[i] & 15]);
    }
}

/* Opens row `i` of a page and seals it with the current key. */
static int reseal(const struct key_ring *ring, const PGresult *page, int i,
                  struct buf *out, struct rider_error *err)
{
    const struct key_ring_sealed sealed = {
        (uint32_t)strtoul(PQgetvalue(page, i, COL_NUMBER), NULL, 10),
        (const unsigned char *)PQgetvalue(page, i, COL_SEALED),
        (size_t)PQgetlength(page, i, COL_SEALED)};
    const char *context = PQgetvalue(page, i, COL_CONTEXT);

    if (sealed.len < KEY_RING_OVERHEAD || sealed.len > SEALED_MAX) {
        return rider_fail(err, RIDER_E_CONFIG, "%zu bytes are nothing sealed",
                          sealed.len);
    }
    size_t plain_len = sealed.len - KEY_RING_OVERHEAD;
    unsigned char *plain = malloc(plain_len + 1);
    unsigned char *fresh = malloc(sealed.len);
    int rc = plain == NULL || fresh == NULL
                 ? rider_fail(err, RIDER_E_NOMEM, "out of memory")
                 : key_ring_open(ring, context, &sealed, plain, err);

    if (rc == 0) {
        rc = key_ring_seal(ring, context, plain, plain_len, fresh, err);
    }
    if (plain != NULL) {
        explicit_bzero(plain, plain_len);
    }
    if (rc == 0) {
        put_bytea(fresh, sealed.len, out);
    }
    free(plain);
    free(fresh);
    return rc == 0 && out->failed ? rider_fail(err, RIDER_E_NOMEM, "out of memory")
                                  : rc;
}

/* One row; *affected counts those that changed. Only the database can fail it. */
static int rewrap_row(struct rewrap *r, const PGresult *page, int i, int64_t *affected,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *done = NULL;
    RIDER_CLEANUP(buf_done) struct buf sealed = buf_make(2 * SEALED_MAX + 2);
    struct rider_error reason;

    if (reseal(r->order->ring, page, i, &sealed, &reason) != 0) {
        r->refused++;
        r->order->refused(r->order->arg, PQgetvalue(page, i, COL_LABEL), reason.text);
        return 0;
    }
    if (r->order->dry_run) {
        (*affected)++;
        return 0;
    }
    const char *const values[] = {
        r->current, buf_text(&sealed), PQgetvalue(page, i, COL_A),
        PQgetvalue(page, i, COL_B), PQgetvalue(page, i, COL_NUMBER)};
    int rc = pg_sync_query(r->conn, r->table->update_sql, 5, values, &done, err);

    *affected += rc == 0 && strcmp(PQcmdTuples(done), "1") == 0;
    return rc;
}

static int note(const struct rewrap *r, int64_t affected, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *done = NULL;
    char rows[24];
    const char *const values[] = {r->order->actor, r->current, r->table->name, rows};

    if (affected == 0 || r->order->dry_run) {
        return 0;
    }
    (void)snprintf(rows, sizeof(rows), "%" PRId64, affected);
    return pg_sync_query(r->conn, note_sql, 4, values, &done, err);
}

/* The page behind the last row of *page, which it replaces, in a transaction. */
static int rewrap_page(struct rewrap *r, PGresult **page, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *before = *page;
    int last = before == NULL ? -1 : PQntuples(before) - 1;
    char limit[16];
    const char *const values[] = {
        r->current, last < 0 ? r->table->first : PQgetvalue(before, last, COL_A),
        last < 0 ? "" : PQgetvalue(before, last, COL_B), limit};
    int64_t affected = 0;

    *page = NULL;
    (void)snprintf(limit, sizeof(limit), "%d", PAGE);
    int rc = pg_sync_exec(r->conn, begin_sql, err);

    if (rc == 0) {
        rc = pg_sync_query_binary(r->conn, r->table->page_sql, 4, values, page, err);
    }
    for (int i = 0; rc == 0 && i < PQntuples(*page); i++) {
        rc = rewrap_row(r, *page, i, &affected, err);
    }
    if (rc == 0) {
        rc = note(r, affected, err);
    }
    if (rc == 0) {
        rc = pg_sync_exec(r->conn, "COMMIT", err);
    }
    r->sealed += rc == 0 ? affected : 0;
    return rc;
}

static int rewrap_table(struct rewrap *r, const struct sealed_table *table,
                        int64_t *ret_sealed, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *page = NULL;
    int rc = 0;

    r->table = table;
    r->sealed = 0;
    do {
        rc = rewrap_page(r, &page, err);
        *ret_sealed = r->sealed;
        if (rc == 0) {
            r->order->progress(r->order->arg, r->sealed);
        }
    } while (rc == 0 && PQntuples(page) == PAGE);
    return rc;
}

int secret_store_rewrap(const struct secret_rewrap *order,
                        struct secret_rewrap_result *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    struct rewrap r = {.order = order};
    int rc = pg_sync_open(order->dsn, "postrider secrets", &conn, err);

    *ret = (struct secret_rewrap_result){0, 0, 0};
    r.conn = conn;
    (void)snprintf(r.current, sizeof(r.current), "%u", key_ring_current(order->ring));
    if (rc == 0) {
        rc = rewrap_table(&r, &tables[0], &ret->secrets, err);
    }
    if (rc == 0) {
        rc = rewrap_table(&r, &tables[1], &ret->answers, err);
    }
    ret->refused = r.refused;
    return rc;
}
