/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.h - completions on their way from an adapter's threads to its lane.
 *
 * It implements the struct rider_host that one adapter instance sees. Room is
 * bounded by construction: every open ticket is completed once, so an adapter
 * that completes more than `capacity` between two drains has broken its
 * contract, and the surplus is counted and dropped.
 *
 * Thread: complete(), complete_many(), writable(), log() from any; the rest
 * from the lane's. Locks: one mutex, held for a copy only; the wake-up is
 * written after it is released, and only when the inbox was empty.
 */
#ifndef DISPATCH_INBOX_H
#define DISPATCH_INBOX_H

#include "base/error.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A completion that is not a plain success: a failure, or with an attempt to tell
 *  of. What it points to is the inbox's until the next drain. */
struct inbox_failure {
    uint64_t ticket;
    uint32_t outcome, flags, cause, retry_after_ms;
    int32_t remote_code;
    char *reason;                  /* NULL for none */
    struct rider_attempt *attempt; /* NULL for none, or when none are kept */
};

/** What a drain hands over; borrowed until the next drain. */
struct inbox_contents {
    const uint64_t *delivered;
    size_t n_delivered;
    const struct inbox_failure *failed;
    size_t n_failed;
    size_t dropped; /* completions beyond the capacity */
    bool writable;
};

struct inbox;

/** `destination` must outlive the inbox. With `subscriptions` the adapter is told
 *  that every event has a target, and attempts are kept. */
int inbox_create(const char *destination, size_t capacity, bool subscriptions,
                 struct inbox **ret, struct rider_error *err) RIDER_MUST_CHECK;
void inbox_destroy(struct inbox *in);

/** What the adapter's create() gets. Lives as long as the inbox. */
const struct rider_host *inbox_host(const struct inbox *in);

/** Becomes readable when there is something to drain. */
int inbox_fd(const struct inbox *in);

/** Wakes the lane without a completion. Any thread; async-signal-safe. */
void inbox_wake(struct inbox *in);

struct inbox_contents inbox_drain(struct inbox *in);

#endif
