/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_case.h - what the tests of the lane share: a world for one case, results
 * to end deliveries with, and its history as text.
 *
 * A delivery is written "key:number", so "0:0 1:0 0:1" are three acceptances.
 * Include it after <cmocka.h>.
 */
#ifndef TESTS_LANE_CASE_H
#define TESTS_LANE_CASE_H

#include "base/cleanup.h"
#include "sim/lane_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASE_TEXT 4096

static const struct rider_result case_ok = {.outcome = RIDER_DELIVERED};
static const struct rider_result case_retry = {.outcome = RIDER_RETRY,
                                               .cause = RIDER_CAUSE_FAILED_5XX};
static const struct rider_result case_down = {.outcome = RIDER_UNAVAILABLE,
                                              .cause = RIDER_CAUSE_UNREACHABLE};
static const struct rider_result case_rejected = {.outcome = RIDER_REJECTED,
                                                  .cause = RIDER_CAUSE_TOO_LARGE};
static const struct rider_result case_unroutable = {.outcome = RIDER_UNROUTABLE,
                                                    .cause = RIDER_CAUSE_NO_ROUTE};

/** A world that is not booted yet: change its config, then lane_case_boot(). */
static inline struct lane_world *lane_case_begin(bool hold_dead)
{
    struct lane_world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    lane_world_init(w, 7, hold_dead);
    return w;
}

static inline void lane_case_end(struct lane_world *w)
{
    lane_world_done(w);
    free(w);
}
RIDER_DEFINE_PTR_CLEANUP(struct lane_world, lane_case_end);

/** Boots it and lets it come to LANE_RUNNING. */
static inline void lane_case_boot(struct lane_world *w)
{
    lane_world_boot(w);
    lane_world_settle(w);
    assert_int_equal(w->stats.phase, LANE_RUNNING);
}

/** Commits one event of each key in `keys`, "0012" being four events, and lets the
 *  lane find them. */
static inline void lane_case_write(struct lane_world *w, const char *keys)
{
    for (; *keys != '\0'; keys++) {
        lane_world_write(w, *keys - '0');
    }
    lane_world_pass(w, w->config.poll_max_ms);
}

/** Index in open[] of the event, or fails. */
static inline size_t lane_case_find(const struct lane_world *w, int key, int number)
{
    for (size_t i = 0; i < w->publisher.n_open; i++) {
        if (sim_publisher_key(w->publisher.open[i]) == key &&
            sim_publisher_number(w->publisher.open[i]) == number) {
            return i;
        }
    }
    fail_msg("%d:%d is not open", key, number);
    return 0;
}

/** Ends one open delivery and lets the lane act. */
static inline void lane_case_end_one(struct lane_world *w, int key, int number,
                                     const struct rider_result *result)
{
    sim_publisher_end(&w->publisher, lane_case_find(w, key, number), result);
    lane_world_settle(w);
}

/** Lets `ms` pass in small steps, and ends whatever is open with `result`. */
static inline void lane_case_run(struct lane_world *w, uint64_t ms,
                                 const struct rider_result *result)
{
    for (uint64_t t = 0; t < ms; t += 10) {
        sim_publisher_end_all(&w->publisher, result);
        lane_world_settle(w);
        lane_world_pass(w, 10);
    }
}

static inline void lane_case_add(char *text, int key, int number)
{
    char one[32];
    size_t used = strlen(text);
    int len = snprintf(one, sizeof(one), "%s%d:%d", used > 0 ? " " : "", key, number);

    assert_true(len > 0 && used + (size_t)len < CASE_TEXT);
    memcpy(text + used, one, (size_t)len + 1);
}

/** All acceptances so far, and what is open; each until its next call. */
static inline const char *lane_case_accepted(const struct lane_world *w)
{
    static char text[CASE_TEXT];

    text[0] = '\0';
    for (size_t i = 0; i < w->publisher.n_accepted; i++) {
        lane_case_add(text, w->publisher.accepted[i].key,
                      w->publisher.accepted[i].number);
    }
    return text;
}

static inline const char *lane_case_open(const struct lane_world *w)
{
    static char text[CASE_TEXT];

    text[0] = '\0';
    for (size_t i = 0; i < w->publisher.n_open; i++) {
        lane_case_add(text, sim_publisher_key(w->publisher.open[i]),
                      sim_publisher_number(w->publisher.open[i]));
    }
    return text;
}

/** The state in outbox.delivery of the event with this seq; "none" without a row. */
static inline const char *lane_case_state(struct lane_world *w, int64_t seq)
{
    const struct sim_row *row = sim_store_row(w->store, seq);

    return row == NULL ? "none" : row->state;
}

static inline uint32_t lane_case_attempts(struct lane_world *w, int64_t seq)
{
    const struct sim_row *row = sim_store_row(w->store, seq);

    return row == NULL ? 0 : row->attempts;
}

/** What an operator does to a row. */
static inline void lane_case_set_state(struct lane_world *w, int64_t seq,
                                       const char *state)
{
    struct sim_row *row = sim_store_row(w->store, seq);

    assert_non_null(row);
    (void)snprintf(row->state, sizeof(row->state), "%s", state);
    row->due_ms = w->now_ms;
}

/** Events that the cursor has passed. */
static inline size_t lane_case_settled(const struct lane_world *w)
{
    size_t n;
    size_t settled = 0;
    const struct sim_event *events = sim_store_events(w->store, &n);

    for (size_t i = 0; i < n; i++) {
        settled += sim_store_is_settled(w->store, &events[i]);
    }
    return settled;
}

#endif
