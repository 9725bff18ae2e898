/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_order.c - the order of a key, and what a failed event does to it.
 */
#include "base/log.h"
#include "sim/lane_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_case.h"

static void events_go_out_in_the_order_of_the_log(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "3120");
    assert_string_equal(lane_case_open(w), "3:0 1:0 2:0 0:0");
    lane_case_run(w, 50, &case_ok);
    assert_string_equal(lane_case_accepted(w), "3:0 1:0 2:0 0:0");
    assert_int_equal(lane_case_settled(w), 4);
    assert_int_equal(w->stats.delivered, 4);
    assert_int_equal(w->stats.events_read, 4);
    assert_int_equal(w->stats.in_flight, 0);
}

static void a_late_commit_is_delivered_although_its_number_is_old(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    size_t late = sim_store_insert(w->store, 8);

    lane_case_boot(w);
    lane_case_write(w, "123");
    lane_case_run(w, 100, &case_ok);
    sim_store_commit(w->store, late);
    lane_case_run(w, 100, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0 2:0 3:0 8:0");
    assert_int_equal(lane_case_settled(w), 4);
}

static void a_key_has_one_open_delivery(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "00010");
    assert_string_equal(lane_case_open(w), "0:0 1:0");
    lane_case_end_one(w, 0, 0, &case_ok);
    assert_string_equal(lane_case_open(w), "1:0 0:1");
    lane_case_run(w, 100, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 1:0 0:1 0:2 0:3");
    assert_int_equal(w->publisher.most_open_of_a_key, 1);
}

static void without_ordering_a_key_is_no_barrier(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.ordered = false;
    lane_case_boot(w);
    lane_case_write(w, "000");
    assert_string_equal(lane_case_open(w), "0:0 0:1 0:2");
    lane_case_end_one(w, 0, 0, &case_retry);
    lane_case_write(w, "0");
    assert_string_equal(lane_case_open(w), "0:1 0:2 0:3");
    lane_case_run(w, 2500, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:1 0:2 0:3 0:0");
    assert_string_equal(lane_case_state(w, 1), "DELIVERED");
    assert_int_equal(w->stats.held_keys, 0);
}

static void events_behind_a_failed_one_wait_and_follow_in_order(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "00100");
    lane_case_end_one(w, 0, 0, &case_retry);
    lane_case_end_one(w, 1, 0, &case_ok);
    lane_world_pass(w, 20);
    assert_string_equal(lane_case_open(w), "");
    assert_string_equal(lane_case_state(w, 1), "RETRY");
    assert_int_equal(lane_case_attempts(w, 1), 1);
    assert_string_equal(lane_case_state(w, 2), "HELD");
    assert_string_equal(lane_case_state(w, 4), "HELD");
    assert_string_equal(lane_case_state(w, 5), "HELD");
    assert_int_equal(lane_case_settled(w), 5);
    assert_int_equal(w->stats.held_keys, 1);

    lane_case_write(w, "01");
    lane_case_run(w, 4000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0 1:1 0:0 0:1 0:2 0:3 0:4");
    for (int64_t seq = 4; seq <= 6; seq++) {
        assert_string_equal(lane_case_state(w, seq), "DELIVERED");
    }
    assert_int_equal(w->stats.held_keys, 0);
    lane_case_write(w, "0");
    assert_string_equal(lane_case_open(w), "0:5");
}

static void a_second_failure_in_a_held_key_keeps_the_order(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "000");
    lane_case_end_one(w, 0, 0, &case_retry);
    for (int i = 0; i < 400 && w->publisher.n_open == 0; i++) {
        lane_world_pass(w, 10);
    }
    assert_string_equal(lane_case_open(w), "0:0");
    lane_case_end_one(w, 0, 0, &case_retry);
    assert_string_equal(lane_case_open(w), "");
    assert_int_equal(lane_case_attempts(w, 1), 2);
    lane_case_run(w, 5000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 0:1 0:2");
}

static void a_dead_event_is_skipped_once_its_row_is_written(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "00");
    sim_publisher_end(&w->publisher, 0, &case_rejected);
    w->now_ms += 20;
    lane_step(w->lane);
    assert_string_equal(lane_case_open(w), ""); /* a crash now would repeat it */
    lane_world_settle(w);
    assert_string_equal(lane_case_state(w, 1), "DEAD");
    assert_string_equal(lane_case_open(w), "0:1");
    assert_int_equal(w->stats.dead, 1);
    assert_int_equal(w->stats.held_keys, 0);
    lane_case_run(w, 50, &case_ok);
    assert_int_equal(lane_case_settled(w), 2);
}

static void a_dead_event_can_hold_its_key(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "001");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_case_run(w, 15000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0");
    assert_string_equal(lane_case_state(w, 1), "DEAD");
    assert_string_equal(lane_case_state(w, 2), "HELD");
    lane_case_write(w, "0");
    lane_world_pass(w, 50);
    assert_string_equal(lane_case_state(w, 4), "HELD");
    assert_string_equal(lane_case_open(w), "");
    assert_int_equal(lane_case_settled(w), 4);
}

static void a_new_process_finds_the_held_keys(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "001");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_world_pass(w, 50);
    lane_world_kill(w);
    lane_case_boot(w);
    lane_case_write(w, "00");
    assert_int_equal(w->stats.held_keys, 1);
    lane_case_run(w, 2000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0");
    assert_string_equal(lane_case_state(w, 4), "HELD");
    assert_string_equal(lane_case_state(w, 5), "HELD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_go_out_in_the_order_of_the_log),
        cmocka_unit_test(a_late_commit_is_delivered_although_its_number_is_old),
        cmocka_unit_test(a_key_has_one_open_delivery),
        cmocka_unit_test(without_ordering_a_key_is_no_barrier),
        cmocka_unit_test(events_behind_a_failed_one_wait_and_follow_in_order),
        cmocka_unit_test(a_second_failure_in_a_held_key_keeps_the_order),
        cmocka_unit_test(a_dead_event_is_skipped_once_its_row_is_written),
        cmocka_unit_test(a_dead_event_can_hold_its_key),
        cmocka_unit_test(a_new_process_finds_the_held_keys),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
