/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_pg.h - a lane's store over PostgreSQL.
 *
 * One connection in pipeline mode carries everything a lane asks: its reads,
 * its settles and its lease. It connects by itself and again after a failure.
 * Thread: the lane's. Blocking: name resolution only.
 */
#ifndef OUTBOX_LANE_PG_H
#define OUTBOX_LANE_PG_H

#include "base/error.h"
#include "dispatch/lane_store.h"
#include "dispatch/router.h"
#include "webhooks/key_ring.h"

#include <stdbool.h>
#include <stdint.h>

struct lane_pg_config {
    const char *dsn;         /* borrowed */
    const char *destination; /* borrowed */
    int part, parts;         /* which lane of the destination, of how many */
    const char
        *dead_letter;    /* destination that gets dead events too; or NULL; borrowed */
    bool hold_dead;      /* dead rows hold their key back */
    bool from_beginning; /* where a lane starts that does not exist yet */
    const char *owner;   /* unique per process start; borrowed */
    uint64_t lease_ms;
    int schema_version; /* the one this program needs */

    /* with subscriptions */
    bool subscriptions;
    const struct key_ring *key_ring; /* borrowed */
    const char *signing_key;         /* whsk_ text for v1a, or NULL; borrowed */
};

struct lane_pg;

int lane_pg_create(const struct lane_pg_config *config, struct lane_pg **ret,
                   struct rider_error *err) RIDER_MUST_CHECK;
/** The lane must be gone. */
void lane_pg_destroy(struct lane_pg *pg);

/** The port to hand to lane_create(). Lives as long as the store. */
struct lane_store *lane_pg_store(struct lane_pg *pg);

/** With subscriptions: what leads to the destination, borrowed until the next call. The
 *  database learns of it at the lane's next tidy(). */
void lane_pg_set_router(struct lane_pg *pg, const struct router *router);

/** Connects, sends, receives; calls the lane's events. */
void lane_pg_step(struct lane_pg *pg, uint64_t now_ms);
int lane_pg_fd(const struct lane_pg *pg, short *ret_events);
uint64_t lane_pg_deadline(const struct lane_pg *pg);

#endif
