/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_subs_flow.c - how deliveries to subscriptions flow: at what pace, past what
 * hangs, within which memory, and for how long a lease lasts.
 */
#include "base/log.h"
#include "dispatch/lane_subs.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "subs_case.h"

/* ---- one endpoint and the others ---------------------------------------------------- */

/* Ends what does not go to the first subscription. */
static void first_hangs(struct subs_world *w, void *arg)
{
    (void)arg;
    for (size_t i = w->n_open; i > 0; i--) {
        if (w->open[i - 1].number != 1) {
            subs_world_end(w, i - 1, &subs_ok);
        }
    }
}

static void one_that_hangs_keeps_no_other(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(3);

    w->config.max_bytes = (size_t)256 * 1024;
    for (int64_t number = 1; number <= 3; number++) {
        sim_subs_sub(w->store, number)->ordered = false;
    }
    subs_case_boot(w);
    for (int i = 0; i < 800; i++) {
        (void)subs_world_write(w, i % 10);
        if (i % 20 == 0) {
            subs_world_pass(w, 20, first_hangs, NULL);
        }
    }
    subs_world_pass(w, 3000, first_hangs, NULL);
    assert_int_equal(subs_case_count(w, 2, SIM_DELIVERED), 800);
    assert_int_equal(subs_case_count(w, 3, SIM_DELIVERED), 800);
    assert_int_equal(w->n_open, 16); /* its own limit, and no more in memory */
    assert_in_range(w->stats.bytes, 16 * 300, 16 * 2500);
    subs_case_run(w, 3000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 800);
    assert_int_equal(w->stats.bytes, 0);
}

static void the_smallest_windows_move(void **state)
{
    (void)state;
    for (size_t window = 1; window <= 3; window++) {
        RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(3);

        w->config.max_in_flight = window;
        subs_case_boot(w);
        subs_case_write(w, "0123");
        assert_int_equal(w->n_open, window);
        subs_case_run(w, 2000, &subs_ok);
        assert_int_equal(w->n_accepted, 12);
        assert_int_equal(w->most_open, window);
    }
}

static void a_budget_of_memory_holds(void **state)
{
    (void)state;
    static const size_t budgets[] = {1, 4096, 16384};

    for (size_t i = 0; i < 3; i++) {
        RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(20);

        w->config.max_bytes = budgets[i];
        w->config.max_in_flight = 512;
        subs_case_boot(w);
        subs_case_write(w, "0123456789");
        assert_true(w->n_open > 0);
        subs_case_run(w, 20000, &subs_ok);
        assert_int_equal(w->n_accepted, 200);
        assert_in_range(w->most_bytes, 1, budgets[i] + 2048);
    }
}

static void a_large_event_among_small_ones(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(20);
    const size_t large = 20000;

    w->config.max_bytes = large + 4096;
    subs_case_boot(w);
    subs_case_write(w, "0123456789"); /* so that all are thought small */
    subs_case_run(w, 3000, &subs_ok);
    for (int key = 0; key < 10; key++) {
        sim_subs_pad(w->store, subs_world_write(w, key), key % 3 == 0 ? large : 0);
    }
    subs_case_pass(w, 100);
    assert_in_range(w->n_open, 1, 30);
    subs_case_run(w, 20000, &subs_ok);
    assert_int_equal(w->n_accepted, 400);
    assert_in_range(w->most_bytes, large, w->config.max_bytes + large + 4096);
}

static void a_thousand_take_turns(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end)
    struct subs_world *w = subs_case_sized(1000, 40, false);

    for (int64_t number = 1; number <= 1000; number++) {
        sim_subs_sub(w->store, number)->ordered = false;
    }
    w->config.batch = 40;
    subs_case_boot(w);
    for (int i = 0; i < 40; i++) {
        (void)subs_world_write(w, 0);
    }
    subs_case_pass(w, 60);
    /* Ends some at a time: by the time each has had a turn, nobody has had many. */
    while (w->n_accepted < 16 * 1000 + 64 && w->broken == NULL) {
        size_t n = w->n_open;
        assert_true(n > 0);
        for (size_t i = 0; i < n && i < 16; i++) {
            subs_world_end(w, 0, &subs_ok);
        }
        subs_case_pass(w, 1);
    }
    for (int64_t number = 1; number <= 1000; number++) {
        size_t n = subs_case_count(w, number, SIM_DELIVERED);
        if (n < 8 || n > 24) {
            fail_msg("subscription %d has got %zu", (int)number, n);
        }
    }
    subs_case_run(w, 20000, &subs_ok);
    assert_int_equal(w->n_accepted, 40000);
}

static void a_read_never_brings_a_row_twice(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    for (int i = 0; i < 10; i++) {
        subs_case_write(w, "0123");
        subs_case_pass(w, 1100); /* lists say that they are PENDING, and they are out */
    }
    assert_int_equal(w->n_open, 8);
    assert_null(w->broken);
    subs_case_run(w, 5000, &subs_ok);
    assert_int_equal(w->n_accepted, 80);
}

static void those_with_nothing_to_do_are_forgotten(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(100);

    subs_case_boot(w);
    subs_case_write(w, "0");
    subs_case_end_one(w, 7, 1, &subs_500);
    sim_subs_sub(w->store, 8)->status = SIM_PAUSED;
    subs_case_run(w, 30000, &subs_ok);
    assert_int_equal(sub_table_count(w->lane->subs->table), 100);
    (void)subs_world_write(w, 1);
    subs_case_run(w, 45000, &subs_ok);
    assert_int_equal(sub_table_count(w->lane->subs->table), 100);
    subs_case_run(w, 30000, &subs_ok);
    assert_int_equal(sub_table_count(w->lane->subs->table), 1); /* has a row still */
    (void)subs_world_write(w, 2);
    subs_case_run(w, 200, &subs_ok);
    assert_int_equal(subs_case_count(w, 7, SIM_DELIVERED), 3);
    assert_int_equal(subs_case_count(w, 100, SIM_DELIVERED), 3);
}

/* ---- pace ---------------------------------------------------------------------------- */

static void a_bucket_s_rate_is_kept(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    sim_subs_sub(w->store, 1)->limits = (struct pace_limits){16, 5, 3};
    sim_subs_sub(w->store, 1)->ordered = sim_subs_sub(w->store, 2)->ordered = false;
    subs_case_boot(w);
    for (int i = 0; i < 200; i++) {
        (void)subs_world_write(w, i % 10);
    }
    subs_case_run(w, 20000, &subs_ok);
    assert_in_range(subs_case_count(w, 1, SIM_DELIVERED), 98, 103);
    assert_int_equal(subs_case_count(w, 2, SIM_DELIVERED), 200);
    for (size_t i = 0; i < w->n_accepted; i++) { /* no second has more than it may */
        size_t n = 0;
        for (size_t k = i; k < w->n_accepted && w->accepted[i].number == 1; k++) {
            n += w->accepted[k].number == 1 &&
                 w->accepted[k].at_ms < w->accepted[i].at_ms + 1000;
        }
        assert_true(n <= 8);
    }
    sim_subs_sub(w->store, 1)->limits.rate = 0; /* heard of with the next list */
    subs_case_run(w, 1500, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 200);
}

static void retry_after_holds_for_what_is_read_already(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    sim_subs_sub(w->store, 1)->ordered = false;
    subs_case_boot(w);
    subs_case_write(w, "0");
    w->room = 2; /* what comes now is read and cannot be sent */
    subs_case_write(w, "123");
    assert_string_equal(subs_case_open(w), "1:1 2:1");
    subs_case_end_one(w, 1, 1, &subs_429);
    w->room = SUBS_MAX_OPEN;
    subs_case_end_one(w, 2, 1, &subs_ok); /* says that there is room */
    assert_string_equal(subs_case_open(w), "2:2 2:3 2:4");
    subs_case_run(w, 19000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 0);
    subs_case_run(w, 10000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 4);
    assert_int_equal(subs_case_row(w, 1, 2)->setbacks, 0); /* was never sent in vain */
}

static void retry_after_holds_for_what_is_being_read(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);
    size_t takes;

    sim_subs_sub(w->store, 1)->ordered = false;
    subs_case_boot(w);
    subs_case_write(w, "0");
    (void)subs_world_write(w, 1);
    takes = sim_subs_counts(w->store).takes;
    w->now_ms += 60;
    subs_world_step(w);
    while (sim_subs_row(w->store, 1, 2)->state == SIM_NONE) {
        (void)sim_subs_pump(w->store, 1);
    }
    subs_world_step(w); /* asks for the second */
    subs_world_end(w, 0, &subs_429);
    subs_case_run(w, 19000, &subs_ok);
    assert_true(sim_subs_counts(w->store).takes > takes);
    assert_int_equal(w->n_accepted, 0);
    subs_case_run(w, 10000, &subs_ok);
    assert_int_equal(w->n_accepted, 2);
}

static void a_new_process_knows_whom_to_leave_alone(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "01");
    subs_case_end_one(w, 1, 1, &subs_429);
    assert_true(sim_subs_sub(w->store, 1)->throttled_until_ms > w->now_ms + 19000);
    subs_world_kill(w);
    subs_case_boot(w);
    subs_case_run(w, 19000, &subs_ok);
    assert_int_equal(w->n_accepted, 0);
    subs_case_run(w, 10000, &subs_ok);
    assert_int_equal(w->n_accepted, 2);
}

static void an_idle_lane_sleeps(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(3);

    sim_subs_sub(w->store, 1)->status = SIM_PAUSED; /* its rows wait all the time */
    sim_subs_sub(w->store, 2)->limits.rate = 0.2;
    sim_subs_sub(w->store, 3)->limits.max_in_flight = 1;
    subs_case_boot(w);
    subs_case_write(w, "012345");
    for (size_t i = 0; i < w->n_open; i++) { /* the third hangs, with five behind it */
        if (w->open[i].number == 2) {
            subs_world_end(w, i--, &subs_ok);
        }
    }
    subs_world_settle(w);
    size_t before = w->steps;
    size_t takes = sim_subs_counts(w->store).takes;
    subs_case_pass(w, 10000);
    assert_true(w->steps - before < 3000); /* 200 polls, 10 lists, three turns each */
    assert_true(sim_subs_counts(w->store).takes - takes < 8);
    assert_in_range(sim_subs_counts(w->store).lists, 10, 13);
}

static void lists_that_take_long_are_rare(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    sim_subs_slow(w->store, 400, 0);
    size_t before = sim_subs_counts(w->store).lists;
    subs_case_pass(w, 60000);
    /* Each is followed by ten times what it took. */
    assert_in_range(sim_subs_counts(w->store).lists - before, 12, 14);
}

static void expansion_leaves_half_of_the_time(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0");
    assert_int_equal(w->n_open, 1); /* something waits to be written, too */
    for (int i = 0; i < 900; i++) {
        (void)subs_world_write(w, 1);
    }
    sim_subs_slow(w->store, 0, 50);
    size_t before = sim_subs_counts(w->store).expands;
    subs_case_pass(w, 2000);
    assert_in_range(sim_subs_counts(w->store).expands - before, 15, 22);
    /* With nothing under way it is all that there is to do. */
    subs_case_end_one(w, 1, 1, &subs_ok);
    sim_subs_sub(w->store, 1)->status = SIM_PAUSED;
    subs_case_run(w, 1500, &subs_ok);
    before = sim_subs_counts(w->store).expands;
    subs_case_pass(w, 1000);
    assert_in_range(sim_subs_counts(w->store).expands - before, 15, 22);
}

static void a_well_endpoint_costs_few_notes(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    for (int i = 0; i < 100; i++) {
        (void)subs_world_write(w, i % 10);
        subs_case_run(w, 250, &subs_ok);
    }
    assert_in_range(sim_subs_sub(w->store, 1)->notes, 2, 4); /* in 25 s */
    assert_false(sim_subs_sub(w->store, 1)->failing);
}

/* ---- the lease ------------------------------------------------------------------------ */

static void a_fenced_lane_stops_and_starts_over(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0");
    sim_subs_steal(w->store);
    subs_case_end_one(w, 1, 1, &subs_ok); /* its end is not written */
    assert_int_equal(w->stats.fenced, 1);
    assert_string_equal(subs_case_state(w, 1, 1), "PENDING");
    subs_case_run(w, 2000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED");
    assert_int_equal(w->n_accepted, 2);
    sim_subs_steal(w->store); /* found out by an expand() as well */
    subs_case_write(w, "1");
    subs_case_run(w, 2000, &subs_ok);
    assert_int_equal(w->stats.fenced, 2);
    assert_string_equal(subs_case_state(w, 1, 2), "DELIVERED");
}

static void the_lease_lasts_while_deliveries_drain(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "00");
    lane_drain(w->lane);
    subs_case_pass(w, 20000);
    assert_true(sim_subs_lease_until(w->store) > w->now_ms);
    assert_false(sim_subs_is_released(w->store));
    (void)subs_world_write(w, 1);
    subs_case_end_one(w, 1, 1, &subs_ok);
    subs_case_pass(w, 3000);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED");
    assert_int_equal(w->n_open, 0); /* nothing new goes out */
    assert_false(sim_subs_is_expanded(w->store, 3));
    assert_true(lane_is_quiet(w->lane));
    lane_release(w->lane);
    subs_world_settle(w);
    assert_true(lane_is_released(w->lane));
    assert_true(sim_subs_is_released(w->store));
}

static void a_paused_lane_is_given_back(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    subs_case_write(w, "01");
    sim_subs_pause(w->store, true);
    subs_case_pass(w, 2000);
    assert_int_equal(w->stats.phase, LANE_DRAINING); /* four are out */
    subs_case_end_all(w, &subs_ok);
    assert_true(sim_subs_is_released(w->store));
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 2);
    (void)subs_world_write(w, 0);
    subs_case_run(w, 5000, &subs_ok);
    assert_int_equal(w->n_accepted, 4);
    sim_subs_pause(w->store, false);
    subs_case_run(w, 2000, &subs_ok);
    assert_int_equal(w->n_accepted, 6);
}

static void a_lease_on_its_way_is_given_back(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_world_boot(w);
    subs_world_step(w); /* has asked for the lane */
    assert_int_equal(w->stats.phase, LANE_CLAIMING);
    lane_drain(w->lane);
    subs_world_step(w);
    subs_world_settle(w); /* the lane is ours, and nothing depends on it */
    lane_release(w->lane);
    subs_world_settle(w);
    assert_true(lane_is_released(w->lane));
    assert_true(sim_subs_is_released(w->store));
}

static void a_lease_ends_before_the_database_answers(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    w->room = 0;
    subs_case_boot(w);
    subs_case_write(w, "0");
    w->room = 1;
    w->now_ms += 2900; /* the database is slow, the lease all but over */
    inbox_host(w->inbox)->writable(inbox_host(w->inbox));
    subs_world_step(w);
    assert_int_equal(w->n_open, 0);
    subs_world_settle(w); /* renewed */
    assert_int_equal(w->n_open, 1);
}

/* The first ten hang; whatever the others get they take. */
static void healthy(struct subs_world *w, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < w->n_open;) {
        if (w->open[i].number > 10) {
            subs_world_end(w, i, &subs_ok);
        } else {
            i++;
        }
    }
}

static void those_that_hang_leave_room_in_the_window(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(12);

    w->config.max_bytes = (size_t)64 * 1024 * 1024;
    subs_case_boot(w);
    for (int i = 0; i < 200; i++) {
        (void)subs_world_write(w, i % 10);
        subs_world_pass(w, 50, healthy, NULL);
    }
    subs_world_pass(w, 2000, healthy, NULL);
    assert_int_equal(subs_case_count(w, 11, SIM_DELIVERED), 200);
    assert_int_equal(subs_case_count(w, 12, SIM_DELIVERED), 200);
    assert_in_range(w->n_open, 10, w->config.max_in_flight - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_hangs_keeps_no_other),
        cmocka_unit_test(the_smallest_windows_move),
        cmocka_unit_test(a_budget_of_memory_holds),
        cmocka_unit_test(a_large_event_among_small_ones),
        cmocka_unit_test(a_thousand_take_turns),
        cmocka_unit_test(a_read_never_brings_a_row_twice),
        cmocka_unit_test(those_with_nothing_to_do_are_forgotten),
        cmocka_unit_test(a_bucket_s_rate_is_kept),
        cmocka_unit_test(retry_after_holds_for_what_is_read_already),
        cmocka_unit_test(retry_after_holds_for_what_is_being_read),
        cmocka_unit_test(a_new_process_knows_whom_to_leave_alone),
        cmocka_unit_test(an_idle_lane_sleeps),
        cmocka_unit_test(lists_that_take_long_are_rare),
        cmocka_unit_test(expansion_leaves_half_of_the_time),
        cmocka_unit_test(a_well_endpoint_costs_few_notes),
        cmocka_unit_test(a_fenced_lane_stops_and_starts_over),
        cmocka_unit_test(the_lease_lasts_while_deliveries_drain),
        cmocka_unit_test(a_paused_lane_is_given_back),
        cmocka_unit_test(a_lease_on_its_way_is_given_back),
        cmocka_unit_test(a_lease_ends_before_the_database_answers),
        cmocka_unit_test(those_that_hang_leave_room_in_the_window),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
