/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_operator.c - rows that an operator replays or discards under a
 * running lane.
 */
#include "base/log.h"
#include "sim/lane_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_case.h"

#define RECOUNTED_MS 13000 /* in this time held keys have been counted anew */

static void a_replayed_event_goes_out_again(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_case_run(w, 2000, &case_ok);
    assert_string_equal(lane_case_state(w, 1), "DEAD");
    lane_case_set_state(w, 1, "RETRY");
    lane_case_run(w, 1200, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0");
    assert_string_equal(lane_case_state(w, 1), "DELIVERED");
    assert_int_equal(w->stats.held_keys, 0);
}

static void a_replay_waits_for_the_open_delivery_of_its_key(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_world_pass(w, 20);
    lane_case_write(w, "00");
    assert_string_equal(lane_case_open(w), "0:1");
    lane_case_set_state(w, 1, "RETRY");
    for (int i = 0; i < 250; i++) {
        lane_world_pass(w, 10);
    }
    assert_string_equal(lane_case_open(w), "0:1");
    lane_case_run(w, 3000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:1 0:0 0:2");
    assert_int_equal(w->publisher.most_open_of_a_key, 1);
    assert_int_equal(w->stats.held_keys, 0);
}

/* Rows 2 and 3 wait in order; the replay of 1 must not set the key free. */
static void a_replay_does_not_free_a_key_that_is_held(void **state)
{
    (void)state;
    static const struct rider_result later = {
        .outcome = RIDER_RETRY, .cause = RIDER_CAUSE_TIMEOUT, .retry_after_ms = 5000};
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_world_pass(w, 20);
    lane_case_write(w, "0");
    lane_case_end_one(w, 0, 1, &later);
    lane_world_pass(w, 20);
    lane_case_set_state(w, 1, "RETRY");
    lane_case_run(w, 1500, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0");
    lane_case_write(w, "0");
    assert_string_equal(lane_case_open(w), ""); /* 0:1 has to be first */
    lane_case_run(w, 8000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 0:1 0:2");
    assert_int_equal(w->stats.held_keys, 0);
}

static void replayed_events_of_a_key_go_out_in_order(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    lane_case_boot(w);
    for (int i = 0; i < 3; i++) {
        lane_case_write(w, "0");
        lane_case_end_one(w, 0, i, &case_rejected);
        lane_world_pass(w, 20);
    }
    for (int64_t seq = 3; seq >= 1; seq--) {
        lane_case_set_state(w, seq, "RETRY");
    }
    lane_case_run(w, 5000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 0:1 0:2");
    assert_int_equal(w->publisher.most_open_of_a_key, 1);
}

static void a_replayed_dead_event_lets_its_key_go(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "000");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_case_run(w, 2000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "");
    lane_case_set_state(w, 1, "RETRY");
    lane_case_run(w, 3000, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 0:1 0:2");
    assert_int_equal(w->stats.held_keys, 0);
}

/* `busy`: another key is written to all the time. */
static void discard(bool busy)
{
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "000");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_world_pass(w, 50);
    for (int64_t seq = 1; seq <= 3; seq++) {
        lane_case_set_state(w, seq, "DISCARDED");
    }
    for (int t = 0; t < RECOUNTED_MS; t += 10) {
        if (busy) {
            lane_world_write(w, 1);
        }
        lane_case_run(w, 10, &case_ok);
    }
    assert_int_equal(w->stats.held_keys, 0);
    lane_case_write(w, "0");
    lane_case_run(w, 50, &case_ok);
    assert_int_equal(w->publisher.accepted[w->publisher.n_accepted - 1].key, 0);
}

static void discarded_rows_free_the_key(void **state)
{
    (void)state;
    discard(false);
}

static void discarded_rows_free_the_key_of_a_busy_lane(void **state)
{
    (void)state;
    discard(true);
}

static void a_discarded_dead_row_lets_the_next_go(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);

    lane_case_boot(w);
    lane_case_write(w, "000");
    lane_case_end_one(w, 0, 0, &case_rejected);
    lane_world_pass(w, 50);
    lane_case_set_state(w, 1, "DISCARDED");
    lane_case_run(w, RECOUNTED_MS, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:1 0:2");
    assert_int_equal(w->stats.held_keys, 0);
}

static void a_discard_of_very_many_keys_is_noticed(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(true);
    const int64_t keys = 700;

    w->config.max_in_flight = 400;
    w->config.batch = 100;
    lane_case_boot(w);
    for (int i = 0; i < keys; i++) {
        lane_world_write(w, i);
    }
    lane_world_pass(w, 50);
    lane_case_run(w, 200, &case_rejected);
    assert_int_equal(w->stats.held_keys, keys);
    for (int64_t seq = 1; seq <= keys; seq++) {
        lane_case_set_state(w, seq, "DISCARDED");
    }
    lane_case_run(w, RECOUNTED_MS, &case_ok);
    assert_int_equal(w->stats.held_keys, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replayed_event_goes_out_again),
        cmocka_unit_test(a_replay_waits_for_the_open_delivery_of_its_key),
        cmocka_unit_test(a_replay_does_not_free_a_key_that_is_held),
        cmocka_unit_test(replayed_events_of_a_key_go_out_in_order),
        cmocka_unit_test(a_replayed_dead_event_lets_its_key_go),
        cmocka_unit_test(discarded_rows_free_the_key),
        cmocka_unit_test(discarded_rows_free_the_key_of_a_busy_lane),
        cmocka_unit_test(a_discarded_dead_row_lets_the_next_go),
        cmocka_unit_test(a_discard_of_very_many_keys_is_noticed),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
