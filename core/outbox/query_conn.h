/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_conn.h - a connection for one question or one change of an operator.
 *
 * All settings are local to the transaction, because a pooler may hand the server
 * connection to somebody else after it. Only core/outbox includes this: it shows
 * libpq. Thread: one at a time. Blocking: every call, at most 10 s to connect and
 * 10 s a statement (30 s for one that writes).
 */
#ifndef OUTBOX_QUERY_CONN_H
#define OUTBOX_QUERY_CONN_H

#include "outbox/pg_sync.h"
#include "outbox/row_set.h"

#include <stdbool.h>

/** Opens a transaction that sees one snapshot and cannot write. */
int query_conn_read(const char *dsn, const char *application, PGconn **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** Opens a connection without a transaction; query_conn_write() makes one. */
int query_conn_open(const char *dsn, const char *application, PGconn **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** Begins a transaction that may write, for several query_conn_rows(); the caller ends
 *  it. */
int query_conn_begin(PGconn *conn, struct rider_error *err) RIDER_MUST_CHECK;

/** Runs one statement in a transaction of its own and commits it. */
int query_conn_write(PGconn *conn, const char *sql, int n, const char *const *values,
                     struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** Runs one statement in a transaction of its own that cannot write. */
int query_conn_ask(PGconn *conn, const char *sql, int n, const char *const *values,
                   struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** Runs one statement in the open transaction. A missing table or function
 *  becomes "run postrider migrate". */
int query_conn_rows(PGconn *conn, const char *sql, int n, const char *const *values,
                    struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** Takes ownership. */
struct row_set *row_set_from(PGresult *result);

#endif
