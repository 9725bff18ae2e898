/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_window.c - how much is out, how much is in memory, and that neither
 * bound ever stops the lane.
 */
#include "base/log.h"
#include "sim/lane_world.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_case.h"

#define EVENTS 60

/** Which events the adapter has ever had, by seq. */
struct exposure {
    bool seen[SIM_MAX_EVENTS + 1];
};

/* Marks what is open now, and returns how many events the adapter has had that
 * the cursor has not passed. */
static size_t exposed(const struct lane_world *w, struct exposure *x)
{
    size_t n;
    size_t out = 0;
    const struct sim_event *events = sim_store_events(w->store, &n);

    for (size_t i = 0; i < n; i++) {
        for (size_t o = 0; o < w->publisher.n_open; o++) {
            const struct rider_event *ev = w->publisher.open[o];
            if (sim_publisher_key(ev) == events[i].key &&
                sim_publisher_number(ev) == events[i].number) {
                x->seen[events[i].seq] = true;
            }
        }
        out += x->seen[events[i].seq] && !sim_store_is_settled(w->store, &events[i]);
    }
    return out;
}

static void no_more_is_sent_than_the_window_allows(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_in_flight = 4; /* the last place is for a probe */
    lane_case_boot(w);
    lane_case_write(w, "01234");
    assert_string_equal(lane_case_open(w), "0:0 1:0 2:0");
    /* The cursor cannot pass 0:0, so those behind it stay in the window. */
    lane_case_end_one(w, 1, 0, &case_ok);
    lane_case_end_one(w, 2, 0, &case_ok);
    lane_world_pass(w, 50);
    assert_string_equal(lane_case_open(w), "0:0");
    lane_case_end_one(w, 0, 0, &case_ok);
    lane_world_pass(w, 20);
    assert_string_equal(lane_case_open(w), "3:0 4:0");
}

static void the_window_is_kept_until_the_settle_is_answered(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_in_flight = 2;
    lane_case_boot(w);
    lane_case_write(w, "0123");
    assert_string_equal(lane_case_open(w), "0:0");
    sim_publisher_end_all(&w->publisher, &case_ok);
    lane_step(w->lane);
    assert_string_equal(lane_case_open(w), "1:0"); /* nothing is open: the last place */
    sim_publisher_end_all(&w->publisher, &case_ok);
    for (int i = 0; i < 5; i++) {
        w->now_ms += 20;
        lane_step(w->lane);
        assert_string_equal(lane_case_open(w), "");
    }
    lane_world_settle(w);
    assert_string_equal(lane_case_open(w), "2:0");
}

static void random_turn(struct lane_world *w, struct prng *g)
{
    static const struct rider_result *const bad[] = {&case_retry, &case_down,
                                                     &case_down, &case_rejected};
    struct sim_publisher *p = &w->publisher;

    switch (prng_below(g, 4)) {
    case 0:
        if (p->n_open > 0) {
            bool good = prng_below(g, 3) > 0;
            sim_publisher_end(p, (size_t)prng_below(g, p->n_open),
                              good ? &case_ok : bad[prng_below(g, 4)]);
        }
        break;
    case 1:
        (void)sim_store_pump(w->store, 1);
        break;
    case 2:
        w->now_ms += prng_below(g, 60);
        break;
    default:
        break;
    }
    lane_step(w->lane);
}

/* Everything comes to its end when the receiver takes all there is. */
static bool finishes(struct lane_world *w, struct exposure *x)
{
    for (int i = 0; i < 2000; i++) {
        sim_publisher_end_all(&w->publisher, &case_ok);
        lane_world_pass(w, 20);
        assert_true(exposed(w, x) <= w->config.max_in_flight);
        if (lane_case_settled(w) == EVENTS && w->publisher.n_open == 0 &&
            w->stats.held_keys == 0) {
            return true;
        }
    }
    return false;
}

static void run_seed(uint64_t seed, size_t max_in_flight)
{
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    struct exposure x = {0};
    struct prng g = prng_make(seed);

    w->config.max_in_flight = max_in_flight;
    w->config.batch = 1 + (size_t)prng_below(&g, 12);
    lane_case_boot(w);
    for (int i = 0; i < EVENTS; i++) {
        lane_world_write(w, (int)prng_below(&g, 5));
    }
    for (int i = 0; i < 300; i++) {
        random_turn(w, &g);
        if (exposed(w, &x) > max_in_flight) {
            fail_msg("seed %d, window %d: more is out than allowed", (int)seed,
                     (int)max_in_flight);
        }
    }
    if (!finishes(w, &x)) {
        fail_msg("seed %d, window %d: the lane stands still", (int)seed,
                 (int)max_in_flight);
    }
}

static void the_smallest_windows_neither_overflow_nor_stand_still(void **state)
{
    (void)state;
    for (size_t max_in_flight = 1; max_in_flight <= 5; max_in_flight++) {
        for (uint64_t seed = 1; seed <= 60; seed++) {
            run_seed(seed, max_in_flight);
        }
    }
}

static void what_the_adapter_does_not_take_is_offered_again(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->publisher.room = 2;
    lane_case_boot(w);
    lane_case_write(w, "01234");
    assert_string_equal(lane_case_open(w), "0:0 1:0");
    assert_int_equal(w->stats.in_flight, 2);
    assert_int_equal(w->stats.ready, 3);

    w->publisher.room = SIM_MAX_OPEN;
    lane_world_pass(w, 100);
    assert_string_equal(lane_case_open(w), "0:0 1:0"); /* nobody said writable */
    w->publisher.host->writable(w->publisher.host);
    lane_world_settle(w);
    assert_string_equal(lane_case_open(w), "0:0 1:0 2:0 3:0 4:0");
    lane_case_run(w, 50, &case_ok);
    assert_int_equal(lane_case_settled(w), 5);
}

static bool every_second(void *arg, struct rider_bytes type,
                         struct rider_bytes aggregate_type,
                         struct rider_bytes aggregate_id)
{
    int *calls = arg;

    (void)type;
    (void)aggregate_type;
    (void)aggregate_id;
    return ++*calls % 2 == 0;
}

static bool nothing(void *arg, struct rider_bytes type,
                    struct rider_bytes aggregate_type, struct rider_bytes aggregate_id)
{
    (void)arg;
    (void)type;
    (void)aggregate_type;
    (void)aggregate_id;
    return false;
}

static void one_event_larger_than_the_budget_still_goes(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);

    w->config.max_bytes = 1;
    lane_case_boot(w);
    lane_case_write(w, "012");
    assert_string_equal(lane_case_open(w), "0:0"); /* and nothing is read behind it */
    lane_case_run(w, 200, &case_ok);
    assert_string_equal(lane_case_accepted(w), "0:0 1:0 2:0");
    assert_int_equal(lane_case_settled(w), 3);
    assert_int_equal(w->stats.bytes, 0);
}

static void a_page_is_cut_at_the_budget_and_goes_on(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    size_t most = 0;

    w->config.max_bytes = (size_t)4 * 1024;
    w->config.max_in_flight = 100;
    w->config.batch = 100;
    lane_case_boot(w);
    for (int i = 0; i < 100; i++) {
        lane_world_write(w, i % 10);
    }
    for (int i = 0; i < 200 && lane_case_settled(w) < 100; i++) {
        lane_case_run(w, 10, &case_ok);
        most = w->stats.bytes > most ? (size_t)w->stats.bytes : most;
    }
    assert_int_equal(lane_case_settled(w), 100);
    assert_int_equal(w->publisher.n_accepted, 100);
    assert_in_range(most, 1024, 8 * 1024);
}

static void events_routed_elsewhere_move_the_cursor(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(lane_case_end) struct lane_world *w = lane_case_begin(false);
    int calls = 0;

    w->config.batch = 3;
    w->config.route = every_second;
    w->config.route_arg = &calls;
    lane_case_boot(w);
    lane_case_write(w, "0123456");
    lane_case_run(w, 50, &case_ok);
    assert_string_equal(lane_case_accepted(w), "1:0 3:0 5:0");
    assert_int_equal(lane_case_settled(w), 7);

    lane_set_route(w->lane, nothing, NULL);
    lane_case_write(w, "0123456789");
    lane_world_pass(w, 100);
    assert_string_equal(lane_case_open(w), "");
    assert_int_equal(lane_case_settled(w), 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_is_sent_than_the_window_allows),
        cmocka_unit_test(the_window_is_kept_until_the_settle_is_answered),
        cmocka_unit_test(the_smallest_windows_neither_overflow_nor_stand_still),
        cmocka_unit_test(what_the_adapter_does_not_take_is_offered_again),
        cmocka_unit_test(one_event_larger_than_the_budget_still_goes),
        cmocka_unit_test(a_page_is_cut_at_the_budget_and_goes_on),
        cmocka_unit_test(events_routed_elsewhere_move_the_cursor),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
