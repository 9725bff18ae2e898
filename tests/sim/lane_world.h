/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_world.h - a lane with everything around it in memory, and a clock that
 * the test moves.
 */
#ifndef TESTS_LANE_WORLD_H
#define TESTS_LANE_WORLD_H

#include "base/backoff.h"
#include "dispatch/inbox.h"
#include "dispatch/lane.h"
#include "sim/sim_publisher.h"
#include "sim/sim_store.h"

struct lane_world {
    uint64_t now_ms;
    struct prng prng;
    struct lane_config config;
    struct sim_store *store;
    struct sim_publisher publisher;
    struct inbox *inbox;
    struct lane_stats stats;
    struct lane *lane;
};

/** A world with small windows; change `config` and call lane_world_boot(). */
void lane_world_init(struct lane_world *w, uint64_t seed, bool hold_dead);
void lane_world_done(struct lane_world *w);

/** Starts a process: a new lane over the same store. */
void lane_world_boot(struct lane_world *w);
/** Ends it as kill -9 does: nothing is settled, open deliveries are forgotten. */
void lane_world_kill(struct lane_world *w);

/** Steps and answers until nothing changes, without moving the clock. */
void lane_world_settle(struct lane_world *w);
/** Moves the clock and settles. */
void lane_world_pass(struct lane_world *w, uint64_t ms);

/** Inserts and commits one event of `key`. */
void lane_world_write(struct lane_world *w, int key);

#endif
