/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_lease.c - settling, the lease, and losing it or the database.
 */
#include "base/log.h"
#include "sim/lane_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_case.h"

static void a_busy_lane_settles_in_groups(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    size_t before;

    w->config.max_in_flight = 100;
    lane_case_boot(w);
    lane_case_write(w, "01234567");
    lane_case_end_one(w, 0, 0, &case_ok);
    before = sim_store_settles(w->store);
    for (int key = 1; key < 8; key++) {
        w->now_ms++;
        lane_case_end_one(w, key, 0, &case_ok);
    }
    assert_in_range(sim_store_settles(w->store) - before, 0, 1);
    lane_world_pass(w, 10);
    assert_int_equal(lane_case_settled(w), 8);
    assert_in_range(sim_store_settles(w->store) - before, 1, 2);
}

static void a_full_window_settles_at_once(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_in_flight = 4;
    lane_case_boot(w);
    lane_case_write(w, "012");
    lane_case_end_one(w, 0, 0, &case_ok);
    lane_case_end_one(w, 1, 0, &case_ok); /* the same millisecond */
    assert_int_equal(lane_case_settled(w), 2);
}

static void an_idle_lane_keeps_its_lease(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    size_t before;

    lane_case_boot(w);
    before = sim_store_settles(w->store);
    for (int i = 0; i < 300; i++) {
        assert_true(lane_deadline(w->lane) <= w->now_ms + w->config.lease_ms / 3);
        lane_world_pass(w, 100);
    }
    assert_in_range(sim_store_settles(w->store) - before, 27, 31);
    lane_case_write(w, "0");
    assert_string_equal(lane_case_open(w), "0:0");
}

/* Sends nothing between the lease's deadline and the answer to a renewal. */
static void nothing_is_sent_after_the_deadline(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    uint64_t asked;

    w->publisher.room = 0;
    lane_case_boot(w);
    lane_case_write(w, "01");
    lane_world_pass(w, w->config.lease_ms / 3);
    w->now_ms += w->config.lease_ms / 3;
    asked = w->now_ms;
    lane_step(w->lane); /* asks for a renewal, the answer is held back */

    w->publisher.room = 1;
    w->publisher.host->writable(w->publisher.host);
    w->now_ms = asked + w->config.lease_ms / 3;
    lane_step(w->lane);
    assert_string_equal(lane_case_open(w), "0:0"); /* the old lease still holds */
    w->publisher.room = SIM_MAX_OPEN;
    w->publisher.host->writable(w->publisher.host);
    w->now_ms = asked + w->config.lease_ms * 7 / 10;
    lane_step(w->lane);
    assert_string_equal(lane_case_open(w), "0:0"); /* too late */
    sim_publisher_end(&w->publisher, 0, &case_ok);
    lane_step(w->lane);
    assert_string_equal(lane_case_open(w), "");

    while (sim_store_pump(w->store, 1) > 0) {
    }
    lane_step(w->lane); /* renewed as of when it was asked for */
    assert_string_equal(lane_case_open(w), "1:0");
}

static void a_renewal_answered_too_late_gives_no_right(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->publisher.room = 0;
    lane_case_boot(w);
    lane_case_write(w, "0");
    w->now_ms += w->config.lease_ms / 3;
    lane_step(w->lane);
    w->publisher.room = SIM_MAX_OPEN;
    w->publisher.host->writable(w->publisher.host);
    w->now_ms += w->config.lease_ms;
    while (sim_store_pump(w->store, 1) > 0) {
    }
    lane_step(w->lane); /* that answer's lease is over: asks again */
    assert_string_equal(lane_case_open(w), "");
    lane_world_settle(w);
    assert_string_equal(lane_case_open(w), "0:0");
}

static void a_fenced_lane_waits_and_starts_over(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "01234");
    lane_case_end_one(w, 0, 0, &case_ok);
    lane_world_pass(w, 20);
    assert_int_equal(lane_case_settled(w), 1);

    sim_store_steal(w->store);
    lane_case_end_one(w, 1, 0, &case_ok);
    lane_case_end_one(w, 2, 0, &case_ok);
    lane_world_pass(w, 20);
    assert_int_equal(w->stats.fenced, 1);
    assert_int_equal(w->stats.phase, LANE_QUIESCING);
    assert_int_equal(lane_case_settled(w), 1);
    lane_case_write(w, "5");
    assert_string_equal(lane_case_open(w), "3:0 4:0"); /* the adapter's, no others */

    sim_publisher_end(&w->publisher, 0, &case_down); /* concerns nobody any more */
    lane_world_settle(w);
    assert_int_equal(w->stats.phase, LANE_QUIESCING);
    sim_publisher_end(&w->publisher, 0, &case_ok);
    lane_world_pass(w, 500);
    assert_int_equal(w->stats.phase, LANE_RUNNING);
    lane_case_run(w, 300, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 1:0 2:0 4:0 1:0 2:0 3:0 4:0 5:0");
    assert_int_equal(lane_case_settled(w), 6);
}

static void lose_the_database(bool executed)
{
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "012");
    sim_publisher_end(&w->publisher, 0, &case_ok);
    w->now_ms += 20;
    lane_step(w->lane); /* the settle is on its way */
    sim_store_lose(w->store, executed);
    assert_int_equal(lane_case_settled(w), executed ? 1 : 0);
    lane_world_pass(w, 10);
    assert_int_equal(w->stats.phase, LANE_QUIESCING);
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_world_pass(w, 10);
    assert_int_equal(w->stats.phase, LANE_OFFLINE);
    assert_int_equal(w->stats.db_lost, 1);

    sim_store_connect(w->store);
    lane_world_pass(w, 1);
    lane_case_run(w, 500, &case_ok);
    assert_string_equal(lane_case_accepted(w),
                        executed ? "0:0 1:0 2:0 1:0 2:0" : "0:0 1:0 2:0 0:0 1:0 2:0");
    assert_int_equal(lane_case_settled(w), 3);
}

static void a_lost_answer_repeats_only_what_was_not_settled(void **state)
{
    (void)state;
    lose_the_database(true);
    lose_the_database(false);
}

/* A row that was written although the answer was lost is found again. */
static void a_parked_row_survives_the_loss(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

        lane_case_boot(w);
        lane_case_write(w, "00");
        sim_publisher_end(&w->publisher, 0, &case_retry);
        w->now_ms += 20;
        lane_step(w->lane);
        sim_store_lose(w->store, executed != 0);
        lane_world_pass(w, 10);
        sim_store_connect(w->store);
        lane_case_run(w, 3000, &case_ok);
        assert_string_equal(lane_case_accepted(w), "0:0 0:1");
        assert_int_equal(lane_case_settled(w), 2);
        assert_string_equal(lane_case_state(w, 1), executed ? "DELIVERED" : "none");
    }
}

static void a_killed_process_repeats_what_was_not_settled(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "012");
    lane_case_end_one(w, 0, 0, &case_ok);
    lane_world_pass(w, 20);
    sim_publisher_record(&w->publisher, 0); /* accepted, and nobody heard of it */
    lane_world_kill(w);
    lane_case_boot(w);
    lane_case_run(w, 300, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 1:0 1:0 2:0");
    assert_int_equal(w->stats.token, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_lane_settles_in_groups),
        cmocka_unit_test(a_full_window_settles_at_once),
        cmocka_unit_test(an_idle_lane_keeps_its_lease),
        cmocka_unit_test(nothing_is_sent_after_the_deadline),
        cmocka_unit_test(a_renewal_answered_too_late_gives_no_right),
        cmocka_unit_test(a_fenced_lane_waits_and_starts_over),
        cmocka_unit_test(a_lost_answer_repeats_only_what_was_not_settled),
        cmocka_unit_test(a_parked_row_survives_the_loss),
        cmocka_unit_test(a_killed_process_repeats_what_was_not_settled),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
