/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_conn.c - a connection for one question or one change of an operator.
 *
 * The planner settings are those of the relay's own statements: statistics are
 * stale after every burst, and compiling takes longer than the answer.
 *
 * Not here: the statements.
 */
#include "outbox/query_conn.h"

static const char begin_read[] =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    "SET LOCAL jit = off; SET LOCAL enable_seqscan = off;"
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    "SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC';"
    "SET LOCAL statement_timeout = '10s'";

static const char begin_write[] =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    "SET LOCAL jit = off; SET LOCAL enable_seqscan = off;"
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    "SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC';"
    "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '10s';"
    "SET LOCAL idle_in_transaction_session_timeout = '60s';"
    "SET LOCAL statement_timeout = '30s'";

static int explain(int code, struct rider_error *err)
{
    if (code == RIDER_E_SCHEMA) {
        return rider_fail(err, RIDER_E_SCHEMA,
                          "the outbox schema is missing or of another version: "
                          "run postrider migrate");
    }
    return code;
}

int query_conn_open(const char *dsn, const char *application, PGconn **ret,
                    struct rider_error *err)
{
    return pg_sync_open(dsn, application, ret, err);
}

int query_conn_read(const char *dsn, const char *application, PGconn **ret,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = pg_sync_open(dsn, application, &conn, err);

    if (rc == 0) {
        rc = pg_sync_exec(conn, begin_read, err);
    }
    if (rc == 0) {
        *ret = RIDER_STEAL(conn);
    }
    return rc;
}

int query_conn_rows(PGconn *conn, const char *sql, int n, const char *const *values,
                    struct row_set **ret, struct rider_error *err)
{
    PGresult *result = NULL;
    int rc = pg_sync_query(conn, sql, n, values, &result, err);

    if (rc != 0) {
        return explain(rc, err);
    }
    *ret = row_set_from(result);
    return 0;
}

int query_conn_begin(PGconn *conn, struct rider_error *err)
{
    return pg_sync_exec(conn, begin_write, err);
}

/* What the transaction did, `rc`, decides how it ends. */
static int end(PGconn *conn, int rc, struct rider_error *err)
{
    struct rider_error ignored;

    if (rc == 0) {
        rc = pg_sync_exec(conn, "COMMIT", err);
    }
    if (rc != 0) {
        /* The connection may be gone, too: then there is nothing to roll back. */
        (void)!pg_sync_exec(conn, "ROLLBACK", &ignored);
    }
    return rc;
}

int query_conn_write(PGconn *conn, const char *sql, int n, const char *const *values,
                     struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = pg_sync_exec(conn, begin_write, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, sql, n, values, &rows, err);
    }
    rc = end(conn, rc, err);
    if (rc == 0) {
        *ret = RIDER_STEAL(rows);
    }
    return rc;
}

int query_conn_ask(PGconn *conn, const char *sql, int n, const char *const *values,
                   struct row_set **ret, struct rider_error *err)
{
    int rc = pg_sync_exec(conn, begin_read, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, sql, n, values, ret, err);
    }
    return end(conn, rc, err);
}
