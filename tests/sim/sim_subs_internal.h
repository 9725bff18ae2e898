/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_subs_internal.h - the store's state, for sim_subs_*.c only.
 */
#ifndef TESTS_SIM_SUBS_INTERNAL_H
#define TESTS_SIM_SUBS_INTERNAL_H

#include "sim/sim_subs_store.h"

#define SUBS_REQUESTS    64
#define SUBS_PAYLOAD_MAX 32768

enum subs_what {
    SUBS_CLAIM,
    SUBS_EXPAND,
    SUBS_LIST,
    SUBS_TAKE,
    SUBS_END,
    SUBS_TIDY,
    SUBS_RELEASE
};

struct subs_request {
    enum subs_what what;
    int64_t token;
    size_t limit;
    bool renew;
    struct lane_want *wants;
    size_t n_wants;
    struct lane_end *ends;
    size_t n_ends;
    struct lane_health *health;
    size_t n_health;
};

struct sim_subs_store {
    struct lane_store port; /* first: a port pointer is a store pointer */
    uint64_t *now_ms;
    uint64_t list_ms, expand_ms; /* that these take */
    struct sim_subs_config config;
    bool connected, released, paused;
    struct sim_sub *subs;
    size_t n_subs;
    struct sim_subs_event *events;
    size_t n_events;
    struct sim_subs_row *rows; /* those of a subscription in a row */
    int numbers[SIM_SUBS_KEYS];
    int64_t commits;
    /* the lane row */
    int64_t snap, win, win_seq; /* win 0: none */
    int64_t token, my_token;
    uint64_t lease_until_ms;
    struct subs_request queue[SUBS_REQUESTS];
    size_t n;
    struct sim_subs_counts counts;
};

/** Of one key: the first open row goes, later ones wait; changed[seq] of the rows that
 *  were queued again. */
void subs_order_key(struct sim_subs_store *s, int64_t number, int key,
                    const bool *changed);

/** Does what was asked; without `answer` nobody hears of it. */
void subs_execute(struct sim_subs_store *s, const struct subs_request *r, bool answer);

#endif
