/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subs_case.h - what the tests of the lane with subscriptions share: a world for one
 * case, answers to end deliveries with, and what is open as text.
 *
 * A delivery is written "subscription:seq", so "1:1 2:1" is one event with two
 * subscriptions. Include it after <cmocka.h>.
 */
#ifndef TESTS_SUBS_CASE_H
#define TESTS_SUBS_CASE_H

#include "base/cleanup.h"
#include "sim/subs_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBS_TEXT 4096

static const struct subs_answer subs_ok = {.outcome = RIDER_DELIVERED};
static const struct subs_answer subs_500 = {
    .outcome = RIDER_RETRY, .cause = RIDER_CAUSE_FAILED_5XX, .code = 500};
static const struct subs_answer subs_413 = {
    .outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_TOO_LARGE, .code = 413};
static const struct subs_answer subs_410 = {
    .outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_GONE_410, .code = 410};
static const struct subs_answer subs_down = {.outcome = RIDER_UNAVAILABLE,
                                             .cause = RIDER_CAUSE_UNREACHABLE};
static const struct subs_answer subs_proxy = {.outcome = RIDER_UNAVAILABLE,
                                              .cause = RIDER_CAUSE_UNREACHABLE,
                                              .category = "proxy"};
static const struct subs_answer subs_unsent = {
    .outcome = RIDER_UNAVAILABLE, .cause = RIDER_CAUSE_UNREACHABLE, .untried = true};
static const struct subs_answer subs_429 = {.outcome = RIDER_UNAVAILABLE,
                                            .cause = RIDER_CAUSE_RATE_LIMITED,
                                            .code = 429,
                                            .retry_after_ms = 20000};
static const struct subs_answer subs_503 = {
    .outcome = RIDER_UNAVAILABLE, .cause = RIDER_CAUSE_FAILED_5XX, .code = 503};

/** A world with `n` subscriptions that is not booted yet. */
static inline struct subs_world *subs_case_sized(size_t n, size_t events,
                                                 bool hold_dead)
{
    struct subs_world *w = calloc(1, sizeof(*w));
    const struct sim_subs_config config = {
        .max_subs = n, .max_events = events, .hold_dead = hold_dead, .lease_ms = 3000};

    assert_non_null(w);
    subs_world_init(w, 7, &config);
    for (size_t i = 0; i < n; i++) {
        (void)sim_subs_add(w->store);
    }
    return w;
}

static inline struct subs_world *subs_case_begin(size_t n)
{
    return subs_case_sized(n, 1000, false);
}

static inline void subs_case_end(struct subs_world *w)
{
    if (w->broken != NULL) {
        print_error("%s\n", w->broken);
    }
    bool whole = w->broken == NULL;
    subs_world_done(w);
    free(w);
    assert_true(whole);
}
RIDER_DEFINE_PTR_CLEANUP(struct subs_world, subs_case_end);

/** Boots it and lets it come to LANE_RUNNING. */
static inline void subs_case_boot(struct subs_world *w)
{
    subs_world_boot(w);
    subs_world_settle(w);
    assert_int_equal(w->stats.phase, LANE_RUNNING);
}

/** Commits an event of each key in `keys`, "0012" being four, and lets them go. */
static inline void subs_case_write(struct subs_world *w, const char *keys)
{
    for (; *keys != '\0'; keys++) {
        (void)subs_world_write(w, *keys - '0');
    }
    subs_world_pass(w, w->config.poll_max_ms, NULL, NULL);
}

static inline size_t subs_case_find(const struct subs_world *w, int64_t number,
                                    int64_t seq)
{
    for (size_t i = 0; i < w->n_open; i++) {
        if (w->open[i].number == number && w->open[i].seq == seq) {
            return i;
        }
    }
    fail_msg("%d:%d is not open", (int)number, (int)seq);
    return 0;
}

/** Ends one and lets the lane act. */
static inline void subs_case_end_one(struct subs_world *w, int64_t number, int64_t seq,
                                     const struct subs_answer *answer)
{
    subs_world_end(w, subs_case_find(w, number, seq), answer);
    subs_world_settle(w);
}

static inline void subs_case_end_all(struct subs_world *w,
                                     const struct subs_answer *answer)
{
    for (size_t n = w->n_open; n > 0; n--) {
        subs_world_end(w, 0, answer);
    }
    subs_world_settle(w);
}

/** An act for subs_world_pass(): ends all that is open with the answer `arg`. */
static inline void subs_case_answer(struct subs_world *w, void *arg)
{
    for (size_t n = w->n_open; n > 0; n--) {
        subs_world_end(w, 0, arg);
    }
}

/** Lets `ms` pass and ends whatever is open with `answer`. */
static inline void subs_case_run(struct subs_world *w, uint64_t ms,
                                 const struct subs_answer *answer)
{
    struct subs_answer copy = *answer;

    subs_world_pass(w, ms, subs_case_answer, &copy);
    assert_null(w->broken);
}

static inline void subs_case_pass(struct subs_world *w, uint64_t ms)
{
    subs_world_pass(w, ms, NULL, NULL);
}

/** What is open, in the order in which it was sent; until the next call. */
static inline const char *subs_case_open(const struct subs_world *w)
{
    static char text[SUBS_TEXT];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < w->n_open && used < SUBS_TEXT - 32; i++) {
        used +=
            (size_t)snprintf(text + used, SUBS_TEXT - used, "%s%d:%d", i > 0 ? " " : "",
                             (int)w->open[i].number, (int)w->open[i].seq);
    }
    return text;
}

static inline const char *subs_case_state(struct subs_world *w, int64_t number,
                                          int64_t seq)
{
    static const char *const words[] = {"none", "PENDING", "RETRY",
                                        "HELD", "DEAD",    "DELIVERED"};

    return words[sim_subs_row(w->store, number, seq)->state];
}

static inline struct sim_subs_row *subs_case_row(struct subs_world *w, int64_t number,
                                                 int64_t seq)
{
    return sim_subs_row(w->store, number, seq);
}

/** How many rows of a subscription are in a state. */
static inline size_t subs_case_count(struct subs_world *w, int64_t number,
                                     enum sim_state state)
{
    size_t n = 0;

    for (int64_t seq = 1; seq <= (int64_t)sim_subs_n_events(w->store); seq++) {
        n += sim_subs_row(w->store, number, seq)->state == state;
    }
    return n;
}

#endif
