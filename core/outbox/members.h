/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.h - the relay processes that run, and the lanes they share.
 *
 * One connection is kept between heartbeats. Thread: one at a time. Blocking:
 * every call, at most 10 s.
 */
#ifndef OUTBOX_MEMBERS_H
#define OUTBOX_MEMBERS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A lane as a heartbeat sees it; strings live until the next heartbeat. */
struct member_lane {
    const char *destination;
    int part;
    bool mine; /* this process should carry it */
};

struct members;

/** `owner` is this process; borrowed. Connects at the first heartbeat. */
int members_create(const char *dsn, const char *owner, uint64_t lease_ms,
                   struct members **ret, struct rider_error *err) RIDER_MUST_CHECK;
/** Accepts NULL. */
void members_destroy(struct members *m);

/** Says that this process lives and carries `destinations` (text array literal),
 *  and returns which lanes are its share. Others count as long as their last
 *  heartbeat is younger than the lease, by the database's clock. */
int members_heartbeat(struct members *m, const char *destinations,
                      const struct member_lane **ret, size_t *ret_n,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Takes this process off the list, so that others take over at once. */
void members_leave(struct members *m);

#endif
