/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_pg_internal.h - the store's state, shared by lane_pg.c and lane_subs_pg.c.
 */
#ifndef OUTBOX_LANE_PG_INTERNAL_H
#define OUTBOX_LANE_PG_INTERNAL_H

#include "base/buf.h"
#include "base/log.h"
#include "outbox/event_decode.h"
#include "outbox/lane_pg.h"
#include "outbox/pg_array.h"
#include "outbox/pg_pipe.h"
#include "outbox/row_arrays.h"
#include "outbox/target_decode.h"

#define NUMBER_MAX 24
#define JSON_MAX   ((size_t)16 * 1024 * 1024)

enum request {
    REQ_ENSURE,
    REQ_FIND,
    REQ_CLAIM,
    REQ_HELD,
    REQ_READ,
    REQ_SETTLE,
    REQ_WRITE,
    REQ_PROMOTE,
    REQ_RELEASE,
    REQ_SETTING,
    REQ_REBASE,
    REQ_EXPAND,
    REQ_LIST,
    REQ_END,
    REQ_TIDY,
    REQUESTS
};

struct lane_pg {
    struct lane_store store; /* first: a store pointer is a lane_pg pointer */
    struct lane_pg_config config;
    struct pg_pipe *pipe;
    struct event_scratch *scratch;
    char lane[NUMBER_MAX], token[NUMBER_MAX], lease[NUMBER_MAX];
    struct log_limit complaints;
    bool was_lost;
    bool write_fenced; /* the first half of a write found no lane */

    /* the read under way */
    enum lane_read_kind kind;
    size_t limit, seen, rows;
    bool refused;
    char *win;

    struct row_arrays arrays;
    struct rider_header
        headers[EVENT_MAX_HEADERS + 4]; /* of the last dead letter read */
    char attempts[NUMBER_MAX];

    /* with subscriptions */
    struct target_scratch *targets;
    const struct router *router;
    struct pg_array types, aggregates;
    struct buf json, health; /* the write under way */
};

/** Queues a prepared statement. */
void lane_pg_send(struct lane_pg *pg, enum request request, const char *statement,
                  const char *const *params, int n_params);

/** The connection is of no use: memory is short. */
void lane_pg_fail_memory(struct lane_pg *pg);

bool lane_pg_bool_at(const PGresult *res, int row, int column);

/* lane_subs_pg.c */
void lane_subs_pg_expand(struct lane_store *s, size_t limit,
                         const struct lane_cursor *cursor);
void lane_subs_pg_list(struct lane_store *s);
void lane_subs_pg_take(struct lane_store *s, const struct lane_want *wants, size_t n);
void lane_subs_pg_end(struct lane_store *s, const struct lane_end *const *ends,
                      size_t n, const struct lane_health *health, size_t n_health);
void lane_subs_pg_tidy(struct lane_store *s);
/* Their answers. */
void lane_subs_pg_expanded(struct lane_pg *pg, const PGresult *res);
void lane_subs_pg_listed(struct lane_pg *pg, const PGresult *res);
void lane_subs_pg_ended(struct lane_pg *pg, const PGresult *res);
void lane_subs_pg_tidied(struct lane_pg *pg, const PGresult *res);

#endif
