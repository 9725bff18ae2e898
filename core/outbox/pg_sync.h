/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sync.h - a blocking PostgreSQL connection for commands.
 *
 * For `postrider migrate`, `status`, `publish` and the like: one statement at a
 * time, each waited for. Error texts carry the server's primary message and
 * SQLSTATE and leave out DETAIL and CONTEXT, which quote values of the row.
 * Thread: one at a time a connection. Blocking: every call.
 * Not here: the lanes' pipelined connection (pg_pipe.h).
 */
#ifndef OUTBOX_PG_SYNC_H
#define OUTBOX_PG_SYNC_H

#include "base/cleanup.h"
#include "base/error.h"

#include <libpq-fe.h>

/** Receives a notice or warning as one line, with its hint in parentheses. */
typedef void pg_sync_notice_fn(void *arg, const char *text);

/** Connects. `dsn` overrides the defaults: 10 s to connect, keepalives, 30 s TCP
 *  user timeout; the client encoding is always UTF-8. Notices are dropped until
 *  pg_sync_on_notice(). A `dsn` that does not parse is RIDER_E_CONFIG and is not
 *  quoted, since it may hold a password; anything else is RIDER_E_DB_LOST.
 *  Caller ends it with PQfinish(). */
int pg_sync_open(const char *dsn, const char *application, PGconn **ret,
                 struct rider_error *err) RIDER_MUST_CHECK;

/** What pg_sync_on_notice() hands to libpq: the caller keeps it while `conn` lives. */
struct pg_sync_notices {
    pg_sync_notice_fn *fn;
    void *arg;
};
void pg_sync_on_notice(PGconn *conn, struct pg_sync_notices *notices);

/** Runs one or more statements and drops their rows. */
int pg_sync_exec(PGconn *conn, const char *sql,
                 struct rider_error *err) RIDER_MUST_CHECK;

/** Runs one statement with text parameters (NULL: SQL null). Caller ends *ret
 *  with PQclear(). */
int pg_sync_query(PGconn *conn, const char *sql, int n, const char *const *values,
                  PGresult **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** The same, with the columns of *ret in binary format. */
int pg_sync_query_binary(PGconn *conn, const char *sql, int n,
                         const char *const *values, PGresult **ret,
                         struct rider_error *err) RIDER_MUST_CHECK;

/** Fills `err` from a failed result: RIDER_E_DB_LOST, _PERMISSION (42501),
 *  _SCHEMA (schema, table or function missing), _CONFIG (22xxx and 23xxx: a value
 *  that the server refuses), _TIMEOUT (a limit of time, a deadlock, a lack of
 *  resources: it may work next time) or _DB. */
int pg_sync_fail(const PGconn *conn, const PGresult *result, struct rider_error *err);

RIDER_DEFINE_PTR_CLEANUP(PGconn, PQfinish);
RIDER_DEFINE_PTR_CLEANUP(PGresult, PQclear);

#endif
