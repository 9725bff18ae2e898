/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_outcomes.c - what each outcome costs: an attempt, a pause, or all.
 */
#include "base/log.h"
#include "dispatch/breaker.h"
#include "sim/lane_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_case.h"

static enum breaker_state breaker_of(const struct lane_world *w)
{
    return (enum breaker_state)w->stats.breaker;
}

/* Waits until something is open and returns how long that took. */
static uint64_t wait_for_offer(struct lane_world *w)
{
    uint64_t start = w->now_ms;

    while (w->publisher.n_open == 0 && w->now_ms < start + 60000) {
        lane_world_pass(w, 1);
    }
    assert_true(w->publisher.n_open > 0);
    return w->now_ms - start;
}

struct outcome_case {
    struct rider_result result;
    const char *state;
    uint32_t attempts; /* of the row */
    uint64_t parked, dead;
};

static void an_outcome_is_parked_as_it_deserves(void **state)
{
    (void)state;
    static const struct outcome_case cases[] = {
        {{.outcome = RIDER_RETRY, .cause = RIDER_CAUSE_FAILED_5XX}, "RETRY", 1, 1, 0},
        {{.outcome = RIDER_UNROUTABLE, .cause = RIDER_CAUSE_NO_ROUTE},
         "RETRY",
         0,
         1,
         0},
        {{.outcome = RIDER_REJECTED, .cause = RIDER_CAUSE_TOO_LARGE}, "DEAD", 1, 0, 1},
        {{.outcome = 99, .cause = RIDER_CAUSE_UNKNOWN}, "RETRY", 1, 1, 0},
        {{.outcome = RIDER_RETRY, .cause = 99}, "RETRY", 1, 1, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

        lane_case_boot(w);
        lane_case_write(w, "0");
        lane_case_end_one(w, 0, 0, &cases[i].result);
        lane_world_pass(w, 20);
        assert_string_equal(lane_case_state(w, 1), cases[i].state);
        assert_int_equal(lane_case_attempts(w, 1), cases[i].attempts);
        assert_int_equal(w->stats.parked, cases[i].parked);
        assert_int_equal(w->stats.dead, cases[i].dead);
        assert_int_equal(lane_case_settled(w), 1);
    }
}

static void a_retry_comes_back_when_its_delay_is_over(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    uint64_t wait;

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0, &case_retry);
    wait = wait_for_offer(w);
    assert_in_range(wait, w->config.retry_initial_ms / 4,
                    w->config.retry_initial_ms + 30);
    assert_int_equal(w->publisher.open[0]->attempt, 2);
}

/* The answer to the settle takes a while, as it does over a wire. */
static void a_retry_is_not_late_by_a_whole_poll(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    uint64_t wait;

    lane_case_boot(w);
    lane_case_write(w, "0");
    sim_publisher_end(&w->publisher, 0, &case_retry);
    w->now_ms += 20;
    lane_step(w->lane);
    w->now_ms += 5;
    (void)sim_store_pump(w->store, 8);
    assert_string_equal(lane_case_state(w, 1), "RETRY");
    wait = wait_for_offer(w);
    assert_in_range(wait, w->config.retry_initial_ms / 4,
                    w->config.retry_initial_ms + 30);
}

static void retry_after_is_a_floor(void **state)
{
    (void)state;
    static const struct rider_result results[] = {
        {.outcome = RIDER_RETRY, .cause = RIDER_CAUSE_TIMEOUT, .retry_after_ms = 7000},
        {.outcome = RIDER_UNROUTABLE, .retry_after_ms = 9000},
        {.outcome = RIDER_UNAVAILABLE, .retry_after_ms = 7000},
    };

    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
        uint64_t wait;

        lane_case_boot(w);
        lane_case_write(w, "0");
        lane_case_end_one(w, 0, 0, &results[i]);
        wait = wait_for_offer(w);
        assert_in_range(wait, results[i].retry_after_ms - 1,
                        results[i].retry_after_ms + 1100);
    }
}

static void the_last_attempt_makes_it_dead(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    uint32_t tries = 0;

    w->config.max_attempts = 3;
    lane_case_boot(w);
    lane_case_write(w, "00");
    while (strcmp(lane_case_state(w, 1), "DEAD") != 0) {
        (void)wait_for_offer(w);
        lane_case_end_one(w, 0, 0, &case_retry);
        lane_world_pass(w, 20);
        tries++;
        assert_int_equal(lane_case_attempts(w, 1), tries);
    }
    assert_int_equal(tries, 3);
    lane_case_run(w, 3000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:1");
}

static void unroutable_costs_no_attempt_however_often(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_attempts = 2;
    lane_case_boot(w);
    lane_case_write(w, "01");
    lane_case_end_one(w, 0, 0, &case_unroutable);
    lane_case_end_one(w, 1, 0, &case_ok); /* others flow */
    for (int i = 0; i < 6; i++) {
        assert_in_range(wait_for_offer(w), 2000, 9000);
        lane_case_end_one(w, 0, 0, &case_unroutable);
        lane_world_pass(w, 20);
        assert_string_equal(lane_case_state(w, 1), "RETRY");
        assert_int_equal(lane_case_attempts(w, 1), 0);
    }
    assert_int_equal(breaker_of(w), BREAKER_CLOSED);
}

static void an_outage_costs_no_attempt_and_is_probed_by_one(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_attempts = 2;
    lane_case_boot(w);
    lane_case_write(w, "01234567");
    assert_int_equal(w->publisher.n_open, 8);
    sim_publisher_end_all(&w->publisher, &case_down);
    lane_world_settle(w);
    assert_int_equal(breaker_of(w), BREAKER_OPEN);
    assert_int_equal(w->stats.breaker_cause, RIDER_CAUSE_UNREACHABLE);
    assert_int_equal(w->publisher.n_open, 0);
    for (int i = 0; i < 20; i++) {
        (void)wait_for_offer(w);
        assert_int_equal(w->publisher.n_open, 1);
        assert_int_equal(breaker_of(w), BREAKER_HALF_OPEN);
        assert_int_equal(w->publisher.open[0]->attempt, 1);
        sim_publisher_end(&w->publisher, 0, &case_down);
        lane_world_settle(w);
    }
    assert_int_equal(w->stats.dead + w->stats.parked, 0);
    assert_int_equal(lane_case_settled(w), 0);

    /* Two, four, eight: a receiver that is back is not flattened. */
    (void)wait_for_offer(w);
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_world_settle(w);
    assert_int_equal(breaker_of(w), BREAKER_CLOSED);
    assert_int_equal(w->publisher.n_open, 2);
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_world_settle(w);
    assert_int_equal(w->publisher.n_open, 4);
    lane_case_run(w, 100, &case_ok);
    assert_int_equal(lane_case_settled(w), 8);
}

static void failures_in_a_row_open_the_breaker(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.ordered = false;
    w->config.max_in_flight = w->config.batch = 100;
    lane_case_boot(w);
    for (int i = 0; i < 40; i++) {
        lane_world_write(w, i);
    }
    lane_world_pass(w, 50);
    for (int i = 0; i < BREAKER_STREAK - 1; i++) {
        lane_case_end_one(w, i, 0, &case_retry);
    }
    assert_int_equal(breaker_of(w), BREAKER_CLOSED);
    lane_case_end_one(w, 31, 0, &case_retry);
    assert_int_equal(breaker_of(w), BREAKER_OPEN);
    assert_int_equal(w->stats.parked, BREAKER_STREAK);
}

static void a_success_ends_the_streak(void **state)
{
    (void)state;
    static const struct rider_result *const answers[] = {&case_ok, &case_rejected};

    for (size_t a = 0; a < 2; a++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

        w->config.max_in_flight = w->config.batch = 100;
        lane_case_boot(w);
        for (int i = 0; i < 60; i++) {
            lane_world_write(w, i);
        }
        lane_world_pass(w, 50);
        for (int i = 0; i < 60; i++) {
            lane_case_end_one(w, i, 0, i % 31 == 30 ? answers[a] : &case_retry);
            assert_int_equal(breaker_of(w), BREAKER_CLOSED);
        }
    }
}

/* Key 0 is poison: the receiver falls over it, and takes everything else. */
static void serve_all_but_the_poison(struct lane_world *w)
{
    struct sim_publisher *p = &w->publisher;

    for (size_t i = p->n_open; i > 0; i--) {
        bool poison = sim_publisher_key(p->open[i - 1]) == 0;
        sim_publisher_end(p, i - 1, poison ? &case_down : &case_ok);
    }
}

static void a_poison_event_does_not_pass_for_an_outage(void **state)
{
    (void)state;
    static const size_t windows[] = {2, 3, 16};

    for (size_t i = 0; i < 3; i++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

        w->config.max_attempts = 2;
        w->config.max_in_flight = windows[i];
        lane_case_boot(w);
        lane_case_write(w, "0123456789123456789");
        for (int t = 0; t < 20000 && w->publisher.n_accepted < 18; t++) {
            serve_all_but_the_poison(w);
            lane_world_pass(w, 10);
            if (t % 100 == 0) {
                lane_case_write(w, "1"); /* the world goes on */
            }
        }
        assert_true(w->publisher.n_accepted >= 18);
        for (int t = 0; t < 20000 && w->stats.dead == 0; t++) {
            serve_all_but_the_poison(w);
            lane_world_pass(w, 10);
            if (t % 100 == 0) {
                lane_case_write(w, "1");
            }
        }
        assert_string_equal(lane_case_state(w, 1), "DEAD");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outcome_is_parked_as_it_deserves),
        cmocka_unit_test(a_retry_comes_back_when_its_delay_is_over),
        cmocka_unit_test(a_retry_is_not_late_by_a_whole_poll),
        cmocka_unit_test(retry_after_is_a_floor),
        cmocka_unit_test(the_last_attempt_makes_it_dead),
        cmocka_unit_test(unroutable_costs_no_attempt_however_often),
        cmocka_unit_test(an_outage_costs_no_attempt_and_is_probed_by_one),
        cmocka_unit_test(failures_in_a_row_open_the_breaker),
        cmocka_unit_test(a_success_ends_the_streak),
        cmocka_unit_test(a_poison_event_does_not_pass_for_an_outage),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
