/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - the deliveries of one read, their memory, and how far they are.
 *
 * A WINDOW batch is a page of the event log: the cursor moves over its done
 * prefix. A ROWS batch came from outbox.delivery: each of its deliveries is
 * settled by its own row. Deliveries never move in memory.
 * Thread: the lane's.
 */
#ifndef DISPATCH_BATCH_H
#define DISPATCH_BATCH_H

#include "base/error.h"
#include "dispatch/bump.h"
#include "dispatch/delivery.h"
#include "dispatch/event_row.h"
#include "dispatch/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

enum batch_kind { BATCH_WINDOW, BATCH_ROWS };

struct batch {
    struct batch *next;
    enum batch_kind kind;
    struct snapshot *snap; /* WINDOW: settled before it */
    struct snapshot *win;  /* WINDOW: the open window it is a page of */
    bool complete;         /* WINDOW: the window ends with this page */
    bool passed;           /* WINDOW: the settle under way, or done, moves past it */
    int64_t last_seq;      /* WINDOW: of the last row read, routed here or not */
    struct delivery *items;
    size_t n, cap;
    size_t done;      /* length of the done prefix */
    size_t submitted; /* length of the prefix in the settle under way */
    size_t settled;   /* length of the prefix that the database knows */
    size_t open;      /* items that are not DONE */
    size_t unwritten; /* ROWS: done items whose row is not written yet */
    size_t charged;   /* bytes counted against the lane's budget */
    bool has_secrets; /* its memory is wiped before it is freed */
    struct bump memory;
};

/** Room for `cap` deliveries, or NULL when out of memory. */
struct batch *batch_create(size_t cap);
/** Frees the batch, its parks and its snapshots. Accepts NULL. */
void batch_destroy(struct batch *b);
/** Gives back the room that its rows do not need; before any delivery of it is
 *  pointed to. */
void batch_shrink(struct batch *b);
/** Empties it for reuse. */
void batch_reset(struct batch *b, enum batch_kind kind);

/** Copies `row` in and renders its body. Returns the delivery, or NULL when
 *  out of memory; the batch must have room. */
struct delivery *batch_append(struct batch *b, const struct event_row *row,
                              uint32_t envelope);

/** Bytes it holds, for the lane's budget. */
size_t batch_bytes(const struct batch *b);

/** 64-bit hash of an ordering key, never 0. Two keys that share one are only
 *  serialised with each other. */
uint64_t batch_key_hash(struct rider_bytes aggregate_type,
                        struct rider_bytes aggregate_id, int64_t subscription);

#endif
