/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - write events into the outbox from C.
 *
 * The event joins the transaction that is open on the caller's own libpq
 * connection: it exists if and only if that transaction commits. To keep the
 * events of an aggregate in order, lock the aggregate's row (update it, or SELECT
 * ... FOR UPDATE) before writing its event.
 *
 * Threads: as libpq, one thread at a time for a connection. Blocking: one round
 * trip to the server. Memory: everything is borrowed for the call.
 */
#ifndef RIDER_OUTBOX_H
#define RIDER_OUTBOX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** libpq's connection: PGconn is its typedef. */
struct pg_conn;

/** Writes even where no transaction is open: the event is then its own
 *  transaction, atomic with nothing. For tools, not for applications. */
#define RIDER_OUTBOX_AUTOCOMMIT (1u << 0)

/** 36 characters and NUL. */
#define RIDER_OUTBOX_ID_SIZE 37

/** What to write: text is UTF-8 (or the connection's client encoding) and ends
 *  with NUL. Start from {.struct_size = sizeof(struct rider_outbox_event)}; what
 *  stays NULL or 0 takes its default. */
struct rider_outbox_event {
    size_t struct_size;
    const char *type;           /* required, 1 to 255 characters */
    const char *aggregate_id;   /* required, 1 to 255 characters: the ordering key */
    const char *payload;        /* required, one JSON value; sent on byte for byte */
    const char *aggregate_type; /* up to 255 characters; NULL: none */
    const char *headers;        /* a JSON object of strings; NULL: none */
    const char *event_id;       /* a UUID; NULL: a time-ordered one is made */
    const char *occurred_at;    /* RFC 3339 with an offset; NULL: now */
    int version;                /* of the payload's schema, from 1; 0: 1 */
    unsigned int flags;         /* RIDER_OUTBOX_* */
};

/** Closed; new values go to the end. */
enum rider_outbox_status {
    RIDER_OUTBOX_OK = 0,
    RIDER_OUTBOX_INVALID = -1, /* a field of the event; nothing was sent or the
                                         server refused the value */
    RIDER_OUTBOX_NO_TRANSACTION =
        -2,                         /* none is open, or it has failed, or it is busy */
    RIDER_OUTBOX_UNKNOWN_TYPE = -3, /* strict mode: not an active type */
    RIDER_OUTBOX_DENIED = -4,       /* the user lacks the rights of outbox_writer */
    RIDER_OUTBOX_NO_SCHEMA = -5,    /* run `postrider migrate` */
    RIDER_OUTBOX_LOST = -6,         /* the connection is gone */
    RIDER_OUTBOX_FAILED = -7        /* anything else the server said */
};

/** Writes `event` in the open transaction of `conn` and returns 0. Writing the same
 *  event_id twice changes nothing and succeeds. `ret_event_id` (NULL: not wanted)
 *  receives the id. On failure it returns an enum rider_outbox_status, puts one line
 *  without payload into `err` (NULL: not wanted), and, if the server refused, the
 *  transaction has failed and is to be rolled back, as after any error in SQL. A
 *  connection in pipeline mode is refused. */
int rider_outbox_write(struct pg_conn *conn, const struct rider_outbox_event *event,
                       char ret_event_id[RIDER_OUTBOX_ID_SIZE], char *err,
                       size_t err_size);

#ifdef __cplusplus
}
#endif

#endif
