/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subs_world.h - a lane with subscriptions, with everything around it in memory and a
 * clock that the test moves.
 *
 * Its adapter keeps what it takes, and the test decides how and when each delivery ends.
 * With each offer it holds the lane to its word; the first breach stays in `broken`.
 */
#ifndef TESTS_SUBS_WORLD_H
#define TESTS_SUBS_WORLD_H

#include "base/backoff.h"
#include "dispatch/inbox.h"
#include "dispatch/lane.h"
#include "sim/sim_subs_store.h"

#define SUBS_MAX_OPEN     1024
#define SUBS_MAX_ACCEPTED 40000

/** How a delivery ends. */
struct subs_answer {
    uint32_t outcome, cause, retry_after_ms;
    int32_t code;
    bool untried;         /* no attempt was made */
    const char *category; /* of the attempt's error */
    bool taken;           /* the receiver has it, whatever the outcome says */
};

struct subs_open {
    const struct rider_event *event;
    int64_t number, seq; /* of the subscription and of the event */
    int key;
    uint64_t since_ms;
};

struct subs_acceptance {
    int64_t number, seq;
    uint64_t at_ms;
};

struct subs_world {
    uint64_t now_ms;
    struct prng prng;
    struct lane_config config;
    struct sim_subs_store *store;
    struct inbox *inbox;
    struct lane_stats stats;
    struct lane *lane;
    /* the adapter */
    size_t room;
    struct subs_open open[SUBS_MAX_OPEN];
    size_t n_open, most_open;
    struct subs_acceptance accepted[SUBS_MAX_ACCEPTED];
    size_t n_accepted;
    size_t tried;            /* attempts that the lane was told of */
    uint64_t *not_before_ms; /* of each subscription: it has said Retry-After */
    const char *broken;
    size_t steps;
    uint64_t most_bytes;
};

/** Room for so many subscriptions and events; change `config` and boot it. */
void subs_world_init(struct subs_world *w, uint64_t seed,
                     const struct sim_subs_config *config);
void subs_world_done(struct subs_world *w);

/** Starts a process: a new lane over the same store. */
void subs_world_boot(struct subs_world *w);
/** Ends it as kill -9 does. */
void subs_world_kill(struct subs_world *w);

void subs_world_step(struct subs_world *w);
/** Steps and answers until nothing changes, without moving the clock. What is due by
 *  then has to lie in the future. */
void subs_world_settle(struct subs_world *w);
/** Lets `ms` pass as the daemon would: sleeps until lane_deadline() each time. After
 *  each sleep `act` may end deliveries; NULL: nothing ends. */
typedef void subs_act_fn(struct subs_world *w, void *arg);
void subs_world_pass(struct subs_world *w, uint64_t ms, subs_act_fn *act, void *arg);

/** Commits one event of `key`; its seq. */
int64_t subs_world_write(struct subs_world *w, int key);

/** Ends the delivery at `i` of open[]. */
void subs_world_end(struct subs_world *w, size_t i, const struct subs_answer *answer);
/** The receiver has it, and the adapter does not know yet. */
void subs_world_accept(struct subs_world *w, size_t i);

#endif
