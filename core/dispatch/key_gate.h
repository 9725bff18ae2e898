/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_gate.h - at most one open delivery per ordering key.
 *
 * No receiver can be trusted with the order of a key: a Kafka pipeline leaves
 * a gap at a permanent error, a RabbitMQ channel confirms out of order, HTTP is
 * concurrent. So the next delivery of a key goes out only when the one before
 * it has ended.
 *
 * Keys are 64-bit hashes; two keys with one hash wait for each other, which
 * costs time and nothing else. Thread: the lane's.
 */
#ifndef DISPATCH_KEY_GATE_H
#define DISPATCH_KEY_GATE_H

#include "base/error.h"
#include "dispatch/delivery.h"

#include <stdbool.h>
#include <stddef.h>

struct key_gate;

struct key_gate *key_gate_create(void);
void key_gate_destroy(struct key_gate *g);

/** Returns 1 if `d` may go now, 0 if it waits behind its key, or
 *  RIDER_E_NOMEM. A waiting delivery is linked through d->next. */
int key_gate_enter(struct key_gate *g, struct delivery *d) RIDER_MUST_CHECK;

/** The open delivery of `key` has ended. Returns the one that may go now, or
 *  NULL, and then the key is free. */
struct delivery *key_gate_leave(struct key_gate *g, uint64_t key);

/** Keys with an open delivery. */
size_t key_gate_size(const struct key_gate *g);

/** Forgets every key; the deliveries belong to their batches. */
void key_gate_clear(struct key_gate *g);

#endif
