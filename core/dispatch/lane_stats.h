/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_stats.h - what a lane tells the outside, as atomics.
 *
 * Written by the lane's thread with relaxed stores, once a step; read by the
 * ops listener at any time. Nothing here decides anything.
 */
#ifndef DISPATCH_LANE_STATS_H
#define DISPATCH_LANE_STATS_H

#include "metrics/histogram.h"

#include <stdatomic.h>
#include <stdint.h>

/** What the lane is doing. */
enum lane_phase {
    LANE_OFFLINE,  /* no database connection */
    LANE_CLAIMING, /* asked for the lease */
    LANE_STANDBY,  /* somebody else has it, or it is paused */
    LANE_LOADING,  /* reads which keys are held */
    LANE_RUNNING,
    LANE_QUIESCING, /* lost lease or database: waits for open deliveries to end */
    LANE_DRAINING,  /* stop asked for: nothing new is sent */
    LANE_RELEASING, /* last settle and lease going back */
    LANE_STOPPED
};

#define LANE_OUTCOMES 5  /* enum rider_outcome */
#define LANE_CAUSES   20 /* enum rider_cause */

struct lane_stats {
    atomic_uint_fast64_t events_read, delivered, duplicates_risked, dead, parked,
        fenced;
    atomic_uint_fast64_t contract_violations, settles, db_lost;
    atomic_uint_fast64_t attempts[LANE_OUTCOMES];
    atomic_uint_fast64_t failures[LANE_CAUSES];
    atomic_uint_fast64_t in_flight, ready, bytes, held_keys;
    atomic_uint_fast64_t breaker; /* enum breaker_state */
    atomic_uint_fast64_t breaker_cause;
    atomic_uint_fast64_t phase; /* enum lane_phase */
    atomic_uint_fast64_t token;
    atomic_uint_fast64_t
        last_progress_ms;               /* monotonic: last delivery, or nothing to do */
    atomic_uint_fast64_t last_step_ms;  /* monotonic: the loop turns */
    struct histogram *commit_to_accept; /* seconds from occurred_at to acceptance */
};

/** The word for a phase. */
const char *lane_phase_word(uint64_t phase);

#endif
