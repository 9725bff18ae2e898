/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_pipe.h - one asynchronous PostgreSQL connection in pipeline mode.
 *
 * Statements are prepared at each connect; requests are queued without
 * waiting, and their answers come back in order through callbacks from
 * pg_pipe_step(). Any error of the server or the connection makes the pipe
 * lost: every open request is void, and it connects again with back-off.
 *
 *   DOWN --retry time--> CONNECTING --> PREPARING --> READY
 *     ^                      |              |           |
 *     +------ lost(): connection, statement or deadline failed
 *
 * Thread: the owner's. Blocking: only name resolution while connecting, which
 * libpq does synchronously.
 */
#ifndef OUTBOX_PG_PIPE_H
#define OUTBOX_PG_PIPE_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_statement {
    const char *name, *sql;
};

/** Results are borrowed for the call. */
struct pg_pipe_events {
    /** Connected and prepared; requests may be sent. */
    void (*ready)(void *arg);
    /** All open requests are void. `next_ms` is when it tries again. */
    void (*lost)(void *arg, const struct rider_error *why, uint64_t next_ms);
    /** One row of a request sent with `rows`. */
    void (*row)(void *arg, int request, const PGresult *res);
    /** The end of a request: TUPLES_OK or COMMAND_OK. */
    void (*done)(void *arg, int request, const PGresult *res);
};

struct pg_pipe_config {
    const char *dsn;                       /* borrowed */
    const char *application_name;          /* borrowed */
    const struct pg_statement *statements; /* ends with a NULL name; borrowed */
    const struct pg_pipe_events *events;
    void *arg;
};

/** One request: a prepared statement with text parameters. */
struct pg_request {
    int request; /* what the callbacks get */
    const char *statement;
    int n_params;
    const char *const *params;
    bool rows;   /* deliver row by row, in binary */
    bool joined; /* one transaction with the request that follows */
};

struct pg_pipe;

int pg_pipe_create(const struct pg_pipe_config *config, struct pg_pipe **ret,
                   struct rider_error *err) RIDER_MUST_CHECK;
void pg_pipe_destroy(struct pg_pipe *pipe);

/** Queues a request; ignored unless the pipe is READY. A failure shows as lost(). */
void pg_pipe_send(struct pg_pipe *pipe, const struct pg_request *request);

/** Declares the connection broken, for example on an answer that makes no sense. */
void pg_pipe_fail(struct pg_pipe *pipe, const struct rider_error *why);

/** Does what can be done now; runs callbacks. */
void pg_pipe_step(struct pg_pipe *pipe, uint64_t now_ms);

/** The descriptor to wait for, or -1, and the poll events wanted. */
int pg_pipe_fd(const struct pg_pipe *pipe, short *ret_events);

/** Monotonic time at which pg_pipe_step() is due without news. */
uint64_t pg_pipe_deadline(const struct pg_pipe *pipe);

#endif
