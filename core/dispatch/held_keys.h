/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held_keys.h - ordering keys that have open rows in outbox.delivery.
 *
 * While a key is held, its later events are parked behind those rows instead
 * of being sent past them. `rows` counts the key's open rows, written or about
 * to be; `active` counts those that will end by themselves (RETRY, PENDING, or
 * on their way). A held key without an active row needs its first HELD row
 * promoted; one without rows is free again.
 * Thread: the lane's.
 */
#ifndef DISPATCH_HELD_KEYS_H
#define DISPATCH_HELD_KEYS_H

#include "base/error.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct held_key {
    uint64_t hash;
    int64_t subscription;
    uint32_t rows, active;
    uint32_t unwritten; /* rows among them that the database does not have yet */
    uint32_t fresh_rows, fresh_active; /* filled while the rows are counted anew */
    int64_t ended_seq;                 /* its counted rows are behind this one */
    int64_t taken_seq;                 /* the row that was in memory last */
    bool retrying;                     /* its first row is in memory, on its way */
    struct held_key *next;
    struct rider_bytes aggregate_type, aggregate_id; /* owned */
};

struct held_keys;

struct held_keys *held_keys_create(void);
void held_keys_destroy(struct held_keys *h);
void held_keys_clear(struct held_keys *h);
size_t held_keys_count(const struct held_keys *h);

/** The entry of a key, or NULL. */
struct held_key *held_keys_find(const struct held_keys *h, uint64_t hash,
                                int64_t subscription, struct rider_bytes aggregate_type,
                                struct rider_bytes aggregate_id);

/** The entry of a key, made if it is missing; NULL when out of memory. */
struct held_key *held_keys_hold(struct held_keys *h, uint64_t hash,
                                int64_t subscription, struct rider_bytes aggregate_type,
                                struct rider_bytes aggregate_id);

void held_keys_remove(struct held_keys *h, struct held_key *key);

/** Calls `fn` for every entry; `fn` must not add or remove any. */
void held_keys_each(struct held_keys *h, void (*fn)(void *arg, struct held_key *key),
                    void *arg);

#endif
