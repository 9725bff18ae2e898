/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_pipe.c - one asynchronous PostgreSQL connection in pipeline mode.
 *
 * Each request is followed by its own sync, unless it is joined to the next
 * one: one sync is one implicit transaction (PostgreSQL manual, "Pipeline
 * Mode"). What the server still owes is kept in a ring in the order of
 * sending: a query, or a sync.
 *
 * A connection is declared lost by PQstatus and by any error result: after a
 * terminated backend libpq reports errors without an SQLSTATE, and a statement
 * that fails here is a defect or a changed schema, so starting over from the
 * cursor in the database is the right answer to both.
 */
#include "outbox/pg_pipe.h"

#include "base/backoff.h"
#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_MAX_OPEN    256
#define CONNECT_LIMIT_MS 10000
#define ANSWER_LIMIT_MS  30000
#define RETRY_FIRST_MS   200
#define RETRY_MAX_MS     5000

enum pipe_state { PIPE_DOWN, PIPE_CONNECTING, PIPE_PREPARING, PIPE_READY };

struct owed {
    int request; /* -1: a sync; -2: the preparation of a statement */
    bool rows;
};

#define OWED_SYNC    (-1)
#define OWED_PREPARE (-2)

struct pg_pipe {
    struct pg_pipe_config config;
    PGconn *conn;
    enum pipe_state state;
    PostgresPollingStatusType polling;
    bool want_write;
    struct owed owed[PIPE_MAX_OPEN];
    size_t first, n;
    bool row_mode_set; /* for the query at the head */
    uint64_t limit_ms; /* CONNECTING, PREPARING, or owed answers */
    uint64_t retry_ms; /* DOWN */
    uint32_t failures;
    struct prng prng;
};

int pg_pipe_create(const struct pg_pipe_config *config, struct pg_pipe **ret,
                   struct rider_error *err)
{
    struct pg_pipe *pipe = calloc(1, sizeof(*pipe));

    if (pipe == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    pipe->config = *config;
    pipe->prng = prng_random();
    *ret = pipe;
    return 0;
}

void pg_pipe_destroy(struct pg_pipe *pipe)
{
    if (pipe != NULL) {
        PQfinish(pipe->conn);
        free(pipe);
    }
}

/* ---- failure ------------------------------------------------------------- */

static void go_down(struct pg_pipe *pipe, const struct rider_error *why)
{
    PQfinish(pipe->conn);
    pipe->conn = NULL;
    pipe->state = PIPE_DOWN;
    pipe->n = 0;
    pipe->want_write = false;
    pipe->row_mode_set = false;
    pipe->failures++;
    pipe->retry_ms = clock_mono_ms() + backoff_ms(&pipe->prng, RETRY_FIRST_MS,
                                                  RETRY_MAX_MS, pipe->failures);
    pipe->config.events->lost(pipe->config.arg, why, pipe->retry_ms);
}

/* libpq's messages end with a newline and may span lines: keep the first. */
static void first_line(const char *text, char *out, size_t size)
{
    size_t len = strcspn(text, "\n");

    len = len < size ? len : size - 1;
    memcpy(out, text, len);
    out[len] = '\0';
}

static void lose_connection(struct pg_pipe *pipe, const char *what)
{
    struct rider_error why;
    char text[300];

    first_line(PQerrorMessage(pipe->conn), text, sizeof(text));
    (void)rider_fail(&why, RIDER_E_DB_LOST, "%s: %s", what,
                     text[0] == '\0' ? "connection closed" : text);
    if (strstr(text, "unsupported startup parameter") != NULL) {
        (void)rider_fail(&why, RIDER_E_CONFIG,
                         "the server is pgbouncer, which refuses the startup parameter "
                         "\"options\": connect to PostgreSQL directly");
    }
    go_down(pipe, &why);
}

static void lose_to_result(struct pg_pipe *pipe, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    struct rider_error why;

    if (PQstatus(pipe->conn) == CONNECTION_BAD || state == NULL) {
        lose_connection(pipe, "lost the database");
        return;
    }
    if (strcmp(state, "3F000") == 0 || strcmp(state, "42P01") == 0 ||
        strcmp(state, "42703") == 0) {
        (void)rider_fail(
            &why, RIDER_E_SCHEMA,
            "the outbox schema is missing or too old (%s): run \"postrider migrate\"",
            text);
    } else if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0) {
        /* The session that prepared a statement is the only one that runs it. */
        (void)rider_fail(&why, RIDER_E_CONFIG,
                         "a connection pooler (pgbouncer?) changes the session between "
                         "statements (%s): connect to PostgreSQL directly",
                         text);
    } else {
        (void)rider_fail(&why, RIDER_E_DB, "the database refused: %s (SQLSTATE %s)",
                         text, state);
    }
    go_down(pipe, &why);
}

void pg_pipe_fail(struct pg_pipe *pipe, const struct rider_error *why)
{
    if (pipe->state != PIPE_DOWN) {
        go_down(pipe, why);
    }
}

/* ---- connecting ----------------------------------------------------------- */

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void begin_connect(struct pg_pipe *pipe, uint64_t now_ms)
{
    /* Why each setting: docs/decisions/0002-database-session.md. */
    const char *const keys[] = {"dbname",
                                "fallback_application_name",
                                "client_encoding",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "target_session_attrs",
                                "options",
                                NULL};
    const char *const values[] = {
        pipe->config.dsn,
        pipe->config.application_name,
        "UTF8",
        "5",
        "2",
        "3",
        "10000",
        "read-write",
        "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off "
        "-c enable_hashjoin=off -c enable_mergejoin=off -c synchronous_commit=off "
        "-c default_transaction_isolation=read\\ committed -c TimeZone=UTC "
        "-c statement_timeout=60000 -c lock_timeout=20000 "
        "-c idle_in_transaction_session_timeout=60000 -c search_path=pg_catalog",
        NULL};

    pipe->conn = PQconnectStartParams(keys, values, 1);
    if (pipe->conn == NULL) {
        const struct rider_error why = {RIDER_E_NOMEM, "out of memory"};
        go_down(pipe, &why);
        return;
    }
    (void)PQsetNoticeReceiver(pipe->conn, ignore_notice, NULL);
    pipe->state = PIPE_CONNECTING;
    pipe->polling = PGRES_POLLING_WRITING;
    pipe->limit_ms = now_ms + CONNECT_LIMIT_MS;
    if (PQstatus(pipe->conn) == CONNECTION_BAD) {
        lose_connection(pipe, "could not connect to the database");
    }
}

static void owe(struct pg_pipe *pipe, int request, bool rows)
{
    pipe->owed[(pipe->first + pipe->n) % PIPE_MAX_OPEN] = (struct owed){request, rows};
    pipe->n++;
}

static bool flush(struct pg_pipe *pipe)
{
    int rc = PQflush(pipe->conn);

    pipe->want_write = rc > 0;
    return rc >= 0;
}

static void begin_prepare(struct pg_pipe *pipe, uint64_t now_ms)
{
    bool ok =
        PQsetnonblocking(pipe->conn, 1) == 0 && PQenterPipelineMode(pipe->conn) == 1;

    for (const struct pg_statement *s = pipe->config.statements; ok && s->name != NULL;
         s++) {
        ok = PQsendPrepare(pipe->conn, s->name, s->sql, 0, NULL) == 1;
        owe(pipe, OWED_PREPARE, false);
    }
    ok = ok && PQpipelineSync(pipe->conn) == 1;
    owe(pipe, OWED_SYNC, false);
    pipe->state = PIPE_PREPARING;
    pipe->limit_ms = now_ms + CONNECT_LIMIT_MS;
    if (!ok || !flush(pipe)) {
        lose_connection(pipe, "could not prepare statements");
    }
}

static void poll_connect(struct pg_pipe *pipe, uint64_t now_ms)
{
    pipe->polling = PQconnectPoll(pipe->conn);
    if (pipe->polling == PGRES_POLLING_OK) {
        begin_prepare(pipe, now_ms);
    } else if (pipe->polling == PGRES_POLLING_FAILED) {
        lose_connection(pipe, "could not connect to the database");
    }
}

/* ---- requests -------------------------------------------------------------- */

void pg_pipe_send(struct pg_pipe *pipe, const struct pg_request *request)
{
    if (pipe->state != PIPE_READY) {
        return;
    }
    if (pipe->n + 2 > PIPE_MAX_OPEN) {
        const struct rider_error why = {RIDER_E_INTERNAL, "too many open requests"};
        go_down(pipe, &why);
        return;
    }
    if (pipe->n == 0) {
        pipe->limit_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
    }
    bool ok = PQsendQueryPrepared(pipe->conn, request->statement, request->n_params,
                                  request->params, NULL, NULL, 1) == 1;
    owe(pipe, request->request, request->rows);
    if (ok && !request->joined) {
        ok = PQpipelineSync(pipe->conn) == 1;
        owe(pipe, OWED_SYNC, false);
    }
    if (!ok || !flush(pipe)) {
        lose_connection(pipe, "lost the database");
    }
}

/* ---- answers ---------------------------------------------------------------- */

static void shift(struct pg_pipe *pipe)
{
    pipe->first = (pipe->first + 1) % PIPE_MAX_OPEN;
    pipe->n--;
    pipe->row_mode_set = false;
    pipe->limit_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
}

static void sync_arrived(struct pg_pipe *pipe)
{
    shift(pipe);
    if (pipe->state == PIPE_PREPARING) {
        pipe->state = PIPE_READY;
        pipe->failures = 0;
        pipe->config.events->ready(pipe->config.arg);
    }
}

/* One result of the query at the head; false when the pipe went down. */
static bool take_result(struct pg_pipe *pipe, PGresult *res)
{
    struct owed head = pipe->owed[pipe->first];

    switch (PQresultStatus(res)) {
    case PGRES_PIPELINE_SYNC:
        sync_arrived(pipe);
        break;
    case PGRES_SINGLE_TUPLE:
        pipe->config.events->row(pipe->config.arg, head.request, res);
        break;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (head.request >= 0) {
            pipe->config.events->done(pipe->config.arg, head.request, res);
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break; /* the error before it has been reported */
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    default:
        lose_to_result(pipe, res);
        return false;
    }
    return pipe->state != PIPE_DOWN;
}

static void take_answers(struct pg_pipe *pipe)
{
    while (pipe->n > 0) {
        const struct owed *head = &pipe->owed[pipe->first];
        if (head->rows && !pipe->row_mode_set) {
            (void)PQsetSingleRowMode(pipe->conn);
            pipe->row_mode_set = true;
        }
        if (PQisBusy(pipe->conn)) {
            return;
        }
        PGresult *res = PQgetResult(pipe->conn);
        if (res == NULL) {
            if (head->request != OWED_SYNC) {
                shift(pipe); /* the end of one query */
            }
            continue;
        }
        bool go_on = take_result(pipe, res);
        PQclear(res);
        if (!go_on) {
            return;
        }
    }
}

static void serve(struct pg_pipe *pipe)
{
    if (pipe->want_write && !flush(pipe)) {
        lose_connection(pipe, "lost the database");
        return;
    }
    if (PQconsumeInput(pipe->conn) == 0) {
        lose_connection(pipe, "lost the database");
        return;
    }
    take_answers(pipe);
}

static void overdue(struct pg_pipe *pipe)
{
    struct rider_error why;

    (void)rider_fail(&why, RIDER_E_TIMEOUT, "%s",
                     pipe->state == PIPE_CONNECTING
                         ? "the database did not accept in time"
                         : "the database did not answer in time");
    go_down(pipe, &why);
}

void pg_pipe_step(struct pg_pipe *pipe, uint64_t now_ms)
{
    if (pipe->state != PIPE_DOWN && now_ms >= pg_pipe_deadline(pipe)) {
        overdue(pipe);
    }
    switch (pipe->state) {
    case PIPE_DOWN:
        if (now_ms >= pipe->retry_ms) {
            begin_connect(pipe, now_ms);
        }
        break;
    case PIPE_CONNECTING:
        poll_connect(pipe, now_ms);
        break;
    case PIPE_PREPARING:
    case PIPE_READY:
        serve(pipe);
        break;
    }
}

int pg_pipe_fd(const struct pg_pipe *pipe, short *ret_events)
{
    *ret_events = POLLIN;
    if (pipe->conn == NULL) {
        return -1;
    }
    if (pipe->state == PIPE_CONNECTING) {
        *ret_events = pipe->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    } else if (pipe->want_write) {
        *ret_events = POLLIN | POLLOUT;
    }
    return PQsocket(pipe->conn);
}

uint64_t pg_pipe_deadline(const struct pg_pipe *pipe)
{
    switch (pipe->state) {
    case PIPE_DOWN:
        return pipe->retry_ms;
    case PIPE_CONNECTING:
    case PIPE_PREPARING:
        return pipe->limit_ms;
    case PIPE_READY:
        break;
    }
    return pipe->n > 0 ? pipe->limit_ms : UINT64_MAX;
}
