/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_host.h - the relay's side of the plugin ABI for tests: hands out events,
 * takes completions and counts what breaks the contract.
 *
 * The memory of an event is freed the moment its ticket is completed, so that
 * an address sanitizer sees an adapter that uses it afterwards.
 * Thread: the functions of `host` may be called from any thread; the rest from
 * the test's.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What was seen so far. */
struct fake_host_counts {
    uint64_t by_outcome[5]; /* indexed by enum rider_outcome */
    uint64_t maybe;         /* with RIDER_RESULT_MAYBE_DELIVERED */
    uint64_t writable, logs;
    /* Breaches of contract: all zero for a sound adapter. */
    uint64_t unknown_tickets; /* never handed out, completed before, or not taken */
    uint64_t late_calls;      /* after fake_host_close() */
    uint64_t bad_results;     /* size, outcome, flags, cause or reason out of range */
    char last_reason[160];    /* of a failed delivery; or what was bad */
};

/** What an event is made of; zero or NULL means a sensible default. */
struct fake_event {
    const char *type, *aggregate_type, *aggregate_id, *body;
    size_t body_size; /* a JSON body of that many bytes instead of `body` */
    uint32_t envelope;
    bool bare; /* no aggregate type, no headers */
};

/** Signs for every target; made for tests, protects nothing. */
#define FAKE_HOST_SECRET "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

struct fake_host;

/** Up to `tickets_max` events over its life. NULL if out of memory. */
struct fake_host *fake_host_create(const char *destination, size_t tickets_max);
/** Frees all, open events included. */
void fake_host_destroy(struct fake_host *fake);

/** What to give to create(). */
const struct rider_host *fake_host_host(const struct fake_host *fake);

/** A new event. The fake owns it until it is offered; NULL if out of tickets. */
const struct rider_event *fake_host_event(struct fake_host *fake,
                                          const struct fake_event *like);

/** Offers `n` events to publish() in an array of its own, which is freed right
 *  after, as an adapter may not keep it. Returns how many were taken; the rest
 *  may be offered again. Counts a taken event as open before the call. */
size_t fake_host_offer(struct fake_host *fake, const struct publisher_vtable *vt,
                       struct publisher *self, const struct rider_event *const *events,
                       size_t n);

/** Events taken and not completed. */
size_t fake_host_open(struct fake_host *fake);
/** Waits until at most `open` events are open; false after `timeout_ms`. */
bool fake_host_wait_open(struct fake_host *fake, size_t open, uint64_t timeout_ms);
/** Waits for a writable() since the last offer; false after `timeout_ms`. */
bool fake_host_wait_writable(struct fake_host *fake, uint64_t timeout_ms);

struct fake_host_counts fake_host_counts(struct fake_host *fake);

/** From now on every call into the host is a breach: stop() returned. */
void fake_host_close(struct fake_host *fake);

/** Tells create() that every event has a target, and gives each one with `url`,
 *  which outlives the fake. Before create(). */
void fake_host_set_target(struct fake_host *fake, const char *url);

/** Prints what the adapter logs to standard error. */
void fake_host_set_verbose(struct fake_host *fake, bool verbose);

#endif
