/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_thread.h - one destination at work: a thread that drives its lane, its
 * database connection and its adapter instance.
 *
 * Thread: create, start, stop, join and set_router from the main thread; the
 * read functions from any.
 */
#ifndef DAEMON_LANE_THREAD_H
#define DAEMON_LANE_THREAD_H

#include "base/error.h"
#include "daemon/configuration.h"
#include "dispatch/lane_stats.h"
#include "dispatch/router.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stdint.h>

#define LANE_MAX_STATS 32

struct lane_thread;

/** A number that only the adapter knows. */
struct adapter_stat {
    char name[48];
    bool is_counter;
    double value;
};

/** What the adapter said when it was last asked, at most a second ago. */
struct adapter_report {
    struct rider_health health;
    struct adapter_stat stats[LANE_MAX_STATS];
    size_t n_stats;
};

struct lane_thread_config {
    struct configuration *configuration;            /* a reference is taken */
    const struct destination_settings *destination; /* in that configuration */
    const struct publisher_vtable *vt;
    int part;              /* of destination->partitions */
    struct router *router; /* taken over */
    const char *owner;     /* unique per process start; borrowed */
};

/** Creates the adapter instance and all the lane needs; nothing runs yet. On
 *  failure the router is destroyed. */
int lane_thread_create(const struct lane_thread_config *config,
                       struct lane_thread **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;
int lane_thread_start(struct lane_thread *t, struct rider_error *err) RIDER_MUST_CHECK;

/** Asks it to drain until `deadline_ms` (monotonic) and to end. Returns at once. */
void lane_thread_stop(struct lane_thread *t, uint64_t deadline_ms);
/** Waits for the end of a started thread and frees everything. Accepts NULL. */
void lane_thread_destroy(struct lane_thread *t);

/** Replaces the routes for events read from now on; takes the router over. */
void lane_thread_set_router(struct lane_thread *t, struct router *router);

/** Whether this process should carry the lane; any thread. */
void lane_thread_set_wanted(struct lane_thread *t, bool wanted);

const struct destination_settings *lane_thread_destination(const struct lane_thread *t);
int lane_thread_part(const struct lane_thread *t);
/** "stream", or "stream/2" where the destination is split. */
const char *lane_thread_name(const struct lane_thread *t);
const struct lane_stats *lane_thread_stats(const struct lane_thread *t);
void lane_thread_report(struct lane_thread *t, struct adapter_report *ret);
/** True once the thread has ended by itself or was stopped. */
bool lane_thread_has_ended(const struct lane_thread *t);

#endif
