/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_set.h - the lanes of one process, and how a new configuration changes
 * them: unchanged destinations go on, others are drained, stopped and started.
 *
 * Thread: the main thread changes the set; each() may be called from any.
 */
#ifndef DAEMON_LANE_SET_H
#define DAEMON_LANE_SET_H

#include "base/error.h"
#include "daemon/lane_thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane_set;

/** `owner` is unique per process start; borrowed. NULL when out of memory. */
struct lane_set *lane_set_create(const char *owner);
/** Every lane must have ended or been stopped; waits for them. Accepts NULL. */
void lane_set_destroy(struct lane_set *set);

/** Makes the set follow `configuration`. Whatever is new is created before
 *  anything running is touched, so a failure changes nothing. Lanes that changed
 *  are drained for at most `drain_ms`; blocks that long. */
int lane_set_apply(struct lane_set *set, struct configuration *configuration,
                   struct plugin_registry *registry,
                   struct rider_error *err) RIDER_MUST_CHECK;

/** Asks every lane to drain and end. Returns at once. */
void lane_set_stop(struct lane_set *set, uint64_t deadline_ms);
bool lane_set_has_ended(const struct lane_set *set);

/** Calls `fn` for every lane under the set's lock: it must not block. */
void lane_set_each(struct lane_set *set,
                   void (*fn)(void *arg, struct lane_thread *lane), void *arg);

#endif
