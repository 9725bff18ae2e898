/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sync.c - a blocking PostgreSQL connection for commands.
 *
 * A thin layer over libpq: connection defaults, one way to turn a failed result
 * into a struct rider_error, notices as single lines.
 *
 * Invariant: no error text holds the connection string or a value of a row.
 * Not here: transactions (the callers'), pipelining (pg_pipe.c).
 */
#include "outbox/pg_sync.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ONE_LINE ((size_t)400)

/** Copies `text` on one line, without the line break that libpq ends with. */
static void one_line(const char *text, char out[ONE_LINE])
{
    size_t n = 0;
    for (const char *p = text; *p != '\0' && n + 1 < ONE_LINE; p++) {
        bool space = *p == '\n' || *p == '\t' || *p == '\r' || *p == ' ';
        if (!space) {
            out[n++] = *p;
        } else if (n > 0 && out[n - 1] != ' ') {
            out[n++] = ' ';
        }
    }
    if (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = '\0';
}

static void drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static void pass_notice(void *arg, const PGresult *result)
{
    const struct pg_sync_notices *notices = arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    char line[2 * ONE_LINE + sizeof " ()"];
    char first[ONE_LINE];
    char second[ONE_LINE];

    one_line(text != NULL ? text : "notice without text", first);
    if (hint == NULL) {
        notices->fn(notices->arg, first);
        return;
    }
    one_line(hint, second);
    (void)snprintf(line, sizeof line, "%s (%s)", first, second);
    notices->fn(notices->arg, line);
}

void pg_sync_on_notice(PGconn *conn, struct pg_sync_notices *notices)
{
    (void)PQsetNoticeReceiver(conn, pass_notice, notices);
}

/** libpq quotes the piece of the string it cannot parse: that may be a password. */
static int check_dsn(const char *dsn, struct rider_error *err)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(dsn, &why);
    PQfreemem(why);
    if (options == NULL) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "cannot parse the connection string: expected "
                          "postgresql://user@host/database or \"key=value ...\"");
    }
    PQconninfoFree(options);
    return 0;
}

int pg_sync_open(const char *dsn, const char *application, PGconn **ret,
                 struct rider_error *err)
{
    /* What stands before dbname is a default, what stands after it is fixed. */
    const char *const keywords[] = {
        "connect_timeout",  "keepalives_idle",  "keepalives_interval",
        "keepalives_count", "tcp_user_timeout", "application_name",
        "dbname",           "client_encoding",  NULL};
    const char *const values[] = {"10",        "30", "10",   "3", "30000",
                                  application, dsn,  "UTF8", NULL};

    if (check_dsn(dsn, err) != 0) {
        return RIDER_E_CONFIG;
    }
    RIDER_CLEANUP_PTR(PQfinish)
    PGconn *conn = PQconnectdbParams(keywords, values, 1);
    if (conn == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)PQsetNoticeReceiver(conn, drop_notice, NULL);
    if (PQstatus(conn) != CONNECTION_OK) {
        char text[ONE_LINE];
        one_line(PQerrorMessage(conn), text);
        return rider_fail(err, RIDER_E_DB_LOST, "could not connect to PostgreSQL: %s",
                          text);
    }
    *ret = RIDER_STEAL(conn);
    return 0;
}

/* The first code that `sqlstate` begins with. */
static enum rider_code code_of(const char *sqlstate)
{
    static const struct {
        const char *begin;
        enum rider_code code;
    } codes[] = {
        {"42501", RIDER_E_PERMISSION},
        {"3F000", RIDER_E_SCHEMA},
        {"42P01", RIDER_E_SCHEMA},
        {"42883", RIDER_E_SCHEMA},
        {"42703", RIDER_E_SCHEMA},
        {"22", RIDER_E_CONFIG},
        {"23", RIDER_E_CONFIG},
        {"40", RIDER_E_TIMEOUT},    /* a deadlock, or two at once */
        {"53", RIDER_E_TIMEOUT},    /* out of something */
        {"55P03", RIDER_E_TIMEOUT}, /* lock_timeout */
        {"57014", RIDER_E_TIMEOUT}, /* statement_timeout */
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strncmp(sqlstate, codes[i].begin, strlen(codes[i].begin)) == 0) {
            return codes[i].code;
        }
    }
    return RIDER_E_DB;
}

int pg_sync_fail(const PGconn *conn, const PGresult *result, struct rider_error *err)
{
    char text[ONE_LINE];
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    /* A lost connection has no SQLSTATE, or one of class 57 beside a bad status. */
    if (PQstatus(conn) != CONNECTION_OK || sqlstate == NULL) {
        one_line(primary != NULL ? primary : PQerrorMessage(conn), text);
        return rider_fail(err, RIDER_E_DB_LOST, "lost the connection to PostgreSQL: %s",
                          text);
    }
    one_line(primary != NULL ? primary : "no message", text);
    return rider_fail(err, code_of(sqlstate), "%s (SQLSTATE %s)", text, sqlstate);
}

static int check_result(const PGconn *conn, const PGresult *result,
                        struct rider_error *err)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return 0;
    }
    return pg_sync_fail(conn, result, err);
}

int pg_sync_exec(PGconn *conn, const char *sql, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *result = PQexec(conn, sql);
    return check_result(conn, result, err);
}

/** Hands `result` out if it is good, and ends it if it is not. */
static int take_result(const PGconn *conn, PGresult *result, PGresult **ret,
                       struct rider_error *err)
{
    int code = check_result(conn, result, err);

    if (code != 0) {
        PQclear(result);
        return code;
    }
    *ret = result;
    return 0;
}

int pg_sync_query(PGconn *conn, const char *sql, int n, const char *const *values,
                  PGresult **ret, struct rider_error *err)
{
    return take_result(conn, PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0),
                       ret, err);
}

int pg_sync_query_binary(PGconn *conn, const char *sql, int n,
                         const char *const *values, PGresult **ret,
                         struct rider_error *err)
{
    return take_result(conn, PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 1),
                       ret, err);
}
