/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite.h - a run of checks against one adapter, and what each check says.
 *
 * Thread: the program's.
 */
#ifndef CONFORMANCE_SUITE_H
#define CONFORMANCE_SUITE_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What is known about the adapter's destination during the run. */
enum suite_peer { PEER_ANY, PEER_UP, PEER_DOWN };

struct suite {
    const struct publisher_vtable *vt;
    char **pairs; /* key=value options of the adapter */
    size_t n_pairs;
    char *const *bad_pairs; /* each makes create() fail */
    size_t n_bad_pairs;
    enum suite_peer peer;
    uint64_t timeout_ms;
    size_t n_events;      /* of the bulk check */
    const char *target;   /* URL that every event is addressed to, or NULL */
    const char *expected; /* text of a failure that must happen, or NULL */
    bool expected_seen;
    bool verbose;
    unsigned int passed, failed, skipped;
};

/* Each prints one line and counts. */
void suite_pass(struct suite *s, const char *check);
void suite_fail(struct suite *s, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void suite_skip(struct suite *s, const char *check, const char *why);

/** The checks that need no delivery: create, start, stop, health, explain. */
void suite_run_lifecycle(struct suite *s);
/** The checks of publish, completion, flush and stop with open events. */
void suite_run_delivery(struct suite *s);

#endif
