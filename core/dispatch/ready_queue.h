/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ready_queue.h - deliveries that may be sent, in the order of the log.
 *
 * The lowest order goes first. That is more than fairness: the cursor waits
 * for the oldest unfinished event, and the window of unsettled events must
 * never fill up with younger ones while that event waits to be sent.
 *
 * Most deliveries arrive in order and take the list; those that come back
 * (released by their key, or refused by a destination that is down) take a
 * heap. Thread: the lane's.
 */
#ifndef DISPATCH_READY_QUEUE_H
#define DISPATCH_READY_QUEUE_H

#include "base/error.h"
#include "dispatch/delivery.h"

#include <stddef.h>

struct ready_queue {
    struct delivery_queue list; /* ascending order */
    struct delivery **heap;     /* lowest order first */
    size_t n_heap, cap_heap;
};

void ready_queue_done(struct ready_queue *q);
void ready_queue_clear(struct ready_queue *q);
size_t ready_queue_size(const struct ready_queue *q);

/** Adds `d` by its order. RIDER_E_NOMEM leaves it out. */
int ready_queue_push(struct ready_queue *q, struct delivery *d) RIDER_MUST_CHECK;
/** Puts back what was popped last. */
void ready_queue_push_front(struct ready_queue *q, struct delivery *d);
/** The next one, or NULL. */
struct delivery *ready_queue_peek(const struct ready_queue *q);
struct delivery *ready_queue_pop(struct ready_queue *q);

#endif
