/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_stop.c - stopping, giving the lane away, and an adapter that breaks
 * its contract.
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

static void a_drain_ends_what_is_open_and_repeats_nothing(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "010");
    lane_drain(w->lane);
    lane_case_write(w, "23");
    assert_string_equal(lane_case_open(w), "0:0 1:0");
    assert_false(lane_is_quiet(w->lane));
    lane_case_end_one(w, 0, 0, &case_ok); /* the next of its key does not follow */
    lane_case_end_one(w, 1, 0, &case_retry);
    assert_string_equal(lane_case_open(w), "");
    assert_true(lane_is_quiet(w->lane));
    assert_false(lane_is_released(w->lane));

    lane_release(w->lane);
    lane_world_pass(w, 1);
    assert_true(lane_is_released(w->lane));
    assert_int_equal(w->stats.phase, LANE_STOPPED);
    assert_int_equal(lane_case_settled(w), 2);
    lane_world_kill(w);
    lane_case_boot(w);
    lane_case_run(w, 500, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 0:1 2:0 3:0 1:0");
}

/* 0:1 is older than 1:0: unsent, it would have 1:0 repeated after the start. */
static void a_drain_closes_the_gap_in_what_was_sent(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0010");
    lane_drain(w->lane);
    lane_case_end_one(w, 1, 0, &case_ok);
    lane_case_end_one(w, 0, 0, &case_ok);
    assert_string_equal(lane_case_open(w), "0:1");
    assert_false(lane_is_quiet(w->lane));
    lane_case_end_one(w, 0, 1, &case_ok);
    assert_string_equal(lane_case_open(w), "");
    assert_true(lane_is_quiet(w->lane));
    lane_release(w->lane);
    lane_world_settle(w);
    assert_int_equal(lane_case_settled(w), 3);
    lane_world_kill(w);
    lane_case_boot(w);
    lane_case_run(w, 100, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0 0:0 0:1 0:2");
}

static void a_drain_settles_all_that_is_done(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0123");
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_drain(w->lane);
    lane_release(w->lane);
    lane_world_settle(w);
    assert_true(lane_is_released(w->lane));
    assert_int_equal(lane_case_settled(w), 4);
}

static void a_drain_waits_for_the_settle_under_way(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "01");
    sim_publisher_end(&w->publisher, 0, &case_ok);
    w->now_ms += 20;
    lane_step(w->lane); /* settles 0:0, the answer is held back */
    lane_drain(w->lane);
    lane_release(w->lane);
    sim_publisher_end(&w->publisher, 0, &case_ok);
    lane_step(w->lane);
    lane_world_settle(w);
    assert_true(lane_is_released(w->lane));
    assert_int_equal(lane_case_settled(w), 2);
}

/* The stop comes while held keys are being counted, when nothing is written. */
static void a_drain_waits_for_a_count_under_way(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0,
                      &case_rejected); /* holds its key: there is one to count */
    lane_world_pass(w, 20);
    lane_case_write(w, "12");
    while (w->now_ms < 10990) {
        lane_world_pass(w, 10);
    }
    for (int i = 0; i < 50; i++) {
        w->now_ms++;
        lane_step(w->lane); /* asks for the count at some point */
    }
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_drain(w->lane);
    lane_release(w->lane);
    lane_step(w->lane);
    lane_world_settle(w);
    assert_true(lane_is_released(w->lane));
    assert_int_equal(lane_case_settled(w), 3);
}

/* How far the start has come: requests answered, in this order. */
static void a_drain_can_come_at_any_moment_of_the_start(void **state)
{
    (void)state;
    for (size_t answers = 0; answers < 6; answers++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

        lane_world_write(w, 0);
        lane_world_boot(w);
        for (size_t i = 0; i < answers; i++) {
            lane_step(w->lane);
            (void)sim_store_pump(w->store, 1);
        }
        lane_drain(w->lane);
        lane_release(w->lane);
        lane_world_settle(w);
        sim_publisher_end_all(&w->publisher, &case_ok);
        lane_world_settle(w);
        assert_true(lane_is_released(w->lane));
        lane_world_pass(w, 1000);
        assert_string_equal(lane_case_open(w), "");

        lane_world_kill(w);
        lane_case_boot(w);
        lane_case_run(w, 100, &case_ok);
        assert_string_equal(lane_case_accepted(w), "0:0");
    }
}

static void a_drain_without_a_database_ends(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_drain(w->lane);
    sim_store_lose(w->store, false);
    lane_release(w->lane);
    lane_world_settle(w);
    assert_false(lane_is_released(w->lane)); /* one is with the adapter */
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_world_settle(w);
    assert_true(lane_is_released(w->lane));
}

static void a_lane_that_is_not_wanted_is_given_back(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "01");
    lane_set_wanted(w->lane, false);
    lane_world_settle(w);
    assert_int_equal(w->stats.phase, LANE_DRAINING);
    lane_case_run(w, 1000, &case_ok);
    assert_int_equal(w->stats.phase, LANE_STANDBY);
    assert_int_equal(lane_case_settled(w), 2);
    assert_false(lane_is_released(w->lane));

    lane_set_wanted(w->lane, true);
    lane_world_pass(w, 500);
    assert_int_equal(w->stats.phase, LANE_RUNNING);
    lane_case_write(w, "2");
    assert_string_equal(lane_case_open(w), "2:0");
}

static void a_lane_is_given_back_although_it_was_still_starting(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_world_boot(w);
    lane_step(w->lane);
    assert_int_equal(w->stats.phase, LANE_CLAIMING);
    for (int i = 0; i < 50; i++) {
        lane_set_wanted(w->lane, false); /* as its driver does every turn */
        lane_step(w->lane);
        (void)sim_store_pump(w->store, 1);
    }
    assert_int_equal(w->stats.phase, LANE_STANDBY);
}

static void broken_contracts_are_counted_and_do_no_harm(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    const struct rider_host *host;
    uint64_t ticket;

    lane_case_boot(w);
    host = w->publisher.host;
    lane_case_write(w, "01");
    ticket = w->publisher.open[0]->ticket;
    lane_case_end_one(w, 0, 0, &case_ok);
    host->complete(host, ticket, &case_ok); /* repeated */
    host->complete(host, ticket, &case_retry);
    host->complete(host, 0, &case_ok); /* made up */
    host->complete(host, UINT64_MAX, &case_rejected);
    lane_world_settle(w);
    assert_int_equal(w->stats.contract_violations, 4);
    assert_int_equal(w->stats.delivered, 1);
    assert_string_equal(lane_case_open(w), "1:0");
    lane_case_run(w, 100, &case_ok);
    assert_int_equal(lane_case_settled(w), 2);
    assert_string_equal(lane_case_state(w, 1), "none");
    assert_int_equal(w->stats.dead + w->stats.parked, 0);
}

static void a_made_up_success_does_not_close_the_breaker(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0, &case_down);
    assert_int_equal(w->stats.breaker, BREAKER_OPEN);
    w->publisher.host->complete(w->publisher.host, 12345, &case_ok);
    lane_world_settle(w);
    assert_int_equal(w->stats.breaker, BREAKER_OPEN);
}

static void a_flood_of_completions_is_cut_and_counted(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    for (uint64_t i = 0; i < 1000; i++) {
        w->publisher.host->complete(w->publisher.host, i, &case_ok);
        w->publisher.host->complete(w->publisher.host, i, &case_retry);
    }
    lane_world_settle(w);
    assert_int_equal(w->stats.contract_violations, 2000);
    lane_case_write(w, "0");
    lane_case_run(w, 100, &case_ok);
    assert_int_equal(lane_case_settled(w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_ends_what_is_open_and_repeats_nothing),
        cmocka_unit_test(a_drain_closes_the_gap_in_what_was_sent),
        cmocka_unit_test(a_drain_settles_all_that_is_done),
        cmocka_unit_test(a_drain_waits_for_the_settle_under_way),
        cmocka_unit_test(a_drain_waits_for_a_count_under_way),
        cmocka_unit_test(a_drain_can_come_at_any_moment_of_the_start),
        cmocka_unit_test(a_drain_without_a_database_ends),
        cmocka_unit_test(a_lane_that_is_not_wanted_is_given_back),
        cmocka_unit_test(a_lane_is_given_back_although_it_was_still_starting),
        cmocka_unit_test(broken_contracts_are_counted_and_do_no_harm),
        cmocka_unit_test(a_made_up_success_does_not_close_the_breaker),
        cmocka_unit_test(a_flood_of_completions_is_cut_and_counted),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
