/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_subs.c - what becomes of a delivery to a subscription.
 */
#include "base/log.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "subs_case.h"

static void each_subscription_has_its_own_order(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    subs_case_write(w, "001");
    assert_string_equal(subs_case_open(w), "1:1 1:3 2:1 2:3");
    assert_string_equal(subs_case_state(w, 1, 2), "HELD");
    subs_case_end_one(w, 1, 1, &subs_ok);
    assert_string_equal(subs_case_open(w), "1:3 2:1 2:3 1:2");
    subs_case_end_one(w, 2, 1, &subs_500); /* its key waits, in this one only */
    assert_string_equal(subs_case_open(w), "1:3 2:3 1:2");
    subs_case_run(w, 3000, &subs_ok);
    for (int64_t number = 1; number <= 2; number++) {
        assert_int_equal(subs_case_count(w, number, SIM_DELIVERED), 3);
    }
    assert_int_equal(w->n_accepted, 6);
}

static void without_order_nothing_waits(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    sim_subs_sub(w->store, 1)->ordered = false;
    subs_case_boot(w);
    subs_case_write(w, "000");
    assert_string_equal(subs_case_open(w), "1:1 1:2 1:3");
    subs_case_end_one(w, 1, 1, &subs_500);
    subs_case_write(w, "0");
    assert_string_equal(subs_case_open(w), "1:2 1:3 1:4");
}

static void retries_follow_the_schedule_and_then_it_is_dead(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);
    static const uint32_t schedule[] = {5, 60, 600};

    sim_subs_sub(w->store, 1)->schedule_s = schedule;
    sim_subs_sub(w->store, 1)->n_schedule = 3;
    subs_case_boot(w);
    subs_case_write(w, "00");
    for (size_t i = 0; i < 3; i++) {
        uint64_t sent = w->now_ms;
        subs_case_end_one(w, 1, 1, &subs_500);
        assert_int_equal(subs_case_row(w, 1, 1)->attempts, i + 1);
        while (w->n_open == 0 && w->broken == NULL) {
            subs_case_pass(w, 100);
        }
        uint64_t waited = w->now_ms - sent;
        uint64_t least = (uint64_t)schedule[i] * 1000;
        assert_in_range(waited, least, least + least / 5 + 200);
        assert_string_equal(subs_case_open(w), "1:1");
        assert_int_equal(w->open[0].event->attempt, i + 2);
    }
    subs_case_end_one(w, 1, 1, &subs_500);
    assert_string_equal(subs_case_state(w, 1, 1), "DEAD");
    assert_int_equal(subs_case_row(w, 1, 1)->tries, 4);
    assert_string_equal(subs_case_open(w), "1:2"); /* the next of its key goes */
}

static void a_short_delay_is_not_a_list_s(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    for (int i = 0; i < 10; i++) {
        subs_case_write(w, "0");
        subs_case_end_one(w, 1, i + 1, &subs_500);
        subs_case_pass(w, 110); /* the first delay is 100 ms at most */
        subs_case_end_one(w, 1, i + 1, &subs_ok);
    }
}

static void a_dead_event_can_hold_its_key(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end)
    struct subs_world *w = subs_case_sized(2, 10, true);

    subs_case_boot(w);
    subs_case_write(w, "001");
    subs_case_end_one(w, 1, 1, &subs_413);
    subs_case_run(w, 20000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DEAD");
    assert_string_equal(subs_case_state(w, 1, 2), "HELD");
    assert_string_equal(subs_case_state(w, 1, 3), "DELIVERED");
    assert_int_equal(subs_case_count(w, 2, SIM_DELIVERED), 3);
    sim_subs_redeliver(w->store, 1, 1);
    subs_case_run(w, 2000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 3);
}

static void an_unavailable_endpoint_costs_no_attempt(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    subs_case_write(w, "0");
    for (uint32_t i = 1; i <= 20; i++) {
        subs_case_end_one(w, 1, 1, &subs_down);
        assert_string_equal(subs_case_state(w, 1, 1), "RETRY");
        assert_int_equal(subs_case_row(w, 1, 1)->attempts, 0);
        assert_int_equal(subs_case_row(w, 1, 1)->setbacks, i);
        assert_int_equal(subs_case_row(w, 1, 1)->tries, i);
        for (int t = 0; t < 100 && w->n_open < 2; t++) {
            subs_case_pass(w, 100);
        }
    }
    assert_true(sim_subs_sub(w->store, 1)->failing);
    assert_int_equal(sim_subs_sub(w->store, 1)->failures, 20);
    assert_false(sim_subs_sub(w->store, 2)->failing);
    subs_case_run(w, 3000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED");
    assert_false(sim_subs_sub(w->store, 1)->failing);
    assert_int_equal(sim_subs_sub(w->store, 1)->throttled_until_ms, 0);
}

static void a_fault_of_the_proxy_is_not_the_endpoint_s(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0");
    subs_case_run(w, 300000, &subs_proxy);
    assert_in_range(subs_case_row(w, 1, 1)->tries, 5, 500); /* ever more slowly */
    assert_int_equal(subs_case_row(w, 1, 1)->attempts, 0);
    assert_false(sim_subs_sub(w->store, 1)->failing);
    assert_int_equal(sim_subs_sub(w->store, 1)->failures, 0);
    subs_case_run(w, 60000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED");
}

/* The proxy refuses this one each time and lets all others through: neither the event
 * nor the endpoint has done anything. */
static void refused_by_the_proxy(struct subs_world *w, void *arg)
{
    (void)arg;
    for (size_t n = w->n_open; n > 0; n--) {
        subs_world_end(w, 0, w->open[0].seq == 1 ? &subs_proxy : &subs_ok);
    }
}

static void a_fault_of_the_proxy_costs_no_attempt(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    for (int i = 0; i < 200; i++) {
        (void)subs_world_write(w, i % 10);
        subs_world_pass(w, 200, refused_by_the_proxy, NULL);
    }
    assert_string_equal(subs_case_state(w, 1, 1), "RETRY");
    assert_int_equal(subs_case_row(w, 1, 1)->attempts, 0);
}

static void what_was_never_tried_is_not_written(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0123");
    subs_case_end_all(w, &subs_unsent);
    assert_int_equal(w->n_open, 0); /* not at once again */
    subs_case_run(w, 60000, &subs_unsent);
    assert_int_equal(sim_subs_counts(w->store).ends, 0);
    assert_int_equal(subs_case_count(w, 1, SIM_PENDING), 4);
    assert_true(sim_subs_counts(w->store).takes < 300); /* probes, ever more slowly */
    subs_case_run(w, 3000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 4);
    assert_int_equal(sim_subs_counts(w->store).tries, 4);
}

static void a_row_given_back_while_others_are_read(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0");
    (void)subs_world_write(w, 1);
    for (int i = 0; i < 100 && sim_subs_counts(w->store).takes < 2; i++) {
        w->now_ms += 5;
        subs_world_step(w);
        subs_world_step(w);
        if (sim_subs_row(w->store, 1, 2)->state == SIM_NONE) {
            (void)sim_subs_pump(w->store, 1);
            continue;
        }
        subs_world_step(w); /* has asked for the second; the first is busy then */
        subs_world_end(w, subs_case_find(w, 1, 1), &subs_unsent);
        break;
    }
    subs_case_pass(w, 300); /* the pause of the first setback, not the next list */
    assert_true(w->n_open >= 1);
    subs_case_run(w, 500, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 2);
}

/* Its receiver dies of it each time, and takes all others. */
static void poison(struct subs_world *w, void *arg)
{
    (void)arg;
    for (size_t n = w->n_open; n > 0; n--) {
        subs_world_end(w, 0, w->open[0].seq == 1 ? &subs_down : &subs_ok);
    }
}

static void an_event_that_is_to_blame_pays(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    for (int i = 0; i < 200; i++) {
        (void)subs_world_write(w, i % 10);
        subs_world_pass(w, 200, poison, NULL);
    }
    subs_world_pass(w, 30000, poison, NULL);
    assert_string_equal(subs_case_state(w, 1, 1), "DEAD");
    assert_int_equal(subs_case_row(w, 1, 1)->attempts, 5);
    assert_in_range(subs_case_row(w, 1, 1)->setbacks, 3, 10);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 199);
}

/* Always in the way of the same ones. */
static void limiter(struct subs_world *w, void *arg)
{
    (void)arg;
    for (size_t n = w->n_open; n > 0; n--) {
        const struct subs_open *o = &w->open[0];
        bool over = o->seq % 8 == 1 && sim_subs_row(w->store, 1, o->seq)->setbacks < 6;
        subs_world_end(w, 0, over ? &subs_429 : &subs_ok);
    }
}

static void a_limiter_is_never_an_event_s_fault(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    for (int i = 0; i < 60; i++) {
        (void)subs_world_write(w, i % 10);
    }
    subs_world_pass(w, 3600000, limiter, NULL);
    assert_null(w->broken); /* not one was sent before its Retry-After */
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 60);
    for (int64_t seq = 1; seq <= 60; seq++) {
        assert_int_equal(subs_case_row(w, 1, seq)->attempts, 1);
    }
}

static void gone_is_gone(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    subs_case_write(w, "001");
    subs_case_end_one(w, 1, 1, &subs_410);
    assert_string_equal(subs_case_state(w, 1, 1), "DEAD");
    assert_int_equal(subs_case_row(w, 1, 1)->cause, RIDER_CAUSE_GONE_410);
    assert_int_equal(sim_subs_sub(w->store, 1)->status, SIM_DISABLED);
    assert_int_equal(sim_subs_sub(w->store, 1)->cause, RIDER_CAUSE_GONE_410);
    subs_case_write(w, "2");
    subs_case_run(w, 10000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 2), "PENDING"); /* for whom enables it */
    assert_string_equal(subs_case_state(w, 1, 4), "none");
    assert_int_equal(subs_case_count(w, 2, SIM_DELIVERED), 4);
    sim_subs_sub(w->store, 1)->status = SIM_ACTIVE;
    subs_case_run(w, 2000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 2);
}

static void a_secret_that_cannot_be_used(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    sim_subs_sub(w->store, 1)->problem = "no key of that number";
    subs_case_boot(w);
    subs_case_write(w, "0123");
    assert_string_equal(subs_case_open(w), "2:1 2:2 2:3 2:4");
    subs_case_run(w, 20000, &subs_ok);
    assert_int_equal(w->n_accepted, 4);
    assert_int_equal(subs_case_row(w, 1, 1)->cause, RIDER_CAUSE_SECRET_UNDECRYPTABLE);
    assert_int_equal(subs_case_row(w, 1, 1)->attempts, 0);
    assert_int_equal(subs_case_row(w, 1, 1)->tries, 0);
    assert_true(sim_subs_sub(w->store, 1)->failing);
    sim_subs_sub(w->store, 1)->problem = NULL;
    subs_case_run(w, 5000, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 4);
}

static void a_paused_one_queues(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(2);

    subs_case_boot(w);
    subs_case_write(w, "0");
    sim_subs_sub(w->store, 1)->status = SIM_PAUSED;
    subs_case_write(w, "01");
    subs_case_run(w, 5000, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED"); /* was out already */
    assert_string_equal(subs_case_state(w, 1, 2), "PENDING");
    assert_string_equal(subs_case_state(w, 1, 3), "PENDING");
    sim_subs_sub(w->store, 1)->status = SIM_ACTIVE;
    subs_case_run(w, 1500, &subs_ok);
    assert_int_equal(subs_case_count(w, 1, SIM_DELIVERED), 3);
    assert_int_equal(w->n_accepted, 6);
}

static void a_redelivery_asked_for_in_flight_goes_again(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(subs_case_end) struct subs_world *w = subs_case_begin(1);

    subs_case_boot(w);
    subs_case_write(w, "0");
    sim_subs_redeliver(w->store, 1, 1);
    subs_case_pass(w, 3000);
    assert_int_equal(w->n_open, 1); /* not a second time beside itself */
    subs_case_end_one(w, 1, 1, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "PENDING");
    subs_case_pass(w, 1500);
    assert_int_equal(w->n_open, 1);
    assert_int_equal(w->open[0].event->attempt, 1);
    subs_case_end_one(w, 1, 1, &subs_ok);
    assert_string_equal(subs_case_state(w, 1, 1), "DELIVERED");
    subs_case_run(w, 5000, &subs_ok);
    assert_int_equal(w->n_accepted, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_subscription_has_its_own_order),
        cmocka_unit_test(without_order_nothing_waits),
        cmocka_unit_test(retries_follow_the_schedule_and_then_it_is_dead),
        cmocka_unit_test(a_short_delay_is_not_a_list_s),
        cmocka_unit_test(a_dead_event_can_hold_its_key),
        cmocka_unit_test(an_unavailable_endpoint_costs_no_attempt),
        cmocka_unit_test(a_fault_of_the_proxy_is_not_the_endpoint_s),
        cmocka_unit_test(a_fault_of_the_proxy_costs_no_attempt),
        cmocka_unit_test(what_was_never_tried_is_not_written),
        cmocka_unit_test(a_row_given_back_while_others_are_read),
        cmocka_unit_test(an_event_that_is_to_blame_pays),
        cmocka_unit_test(a_limiter_is_never_an_event_s_fault),
        cmocka_unit_test(gone_is_gone),
        cmocka_unit_test(a_secret_that_cannot_be_used),
        cmocka_unit_test(a_paused_one_queues),
        cmocka_unit_test(a_redelivery_asked_for_in_flight_goes_again),
    };

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_HUMAN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
