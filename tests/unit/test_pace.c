/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pace.c - how fast one endpoint is sent to, and when it is left alone.
 */
#include "dispatch/pace.h"

#include "postrider/publisher.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define INITIAL  100
#define MOST     10000
#define START    5000
#define OVERLOAD RIDER_CAUSE_RATE_LIMITED

struct fixture {
    struct pace p;
    struct prng g;
    uint64_t now;
};

static struct fixture make(size_t max_in_flight, double rate, double burst)
{
    const struct pace_limits limits = {max_in_flight, rate, burst};

    return (struct fixture){pace_make(&limits, INITIAL, MOST, START), prng_make(3),
                            START};
}

/* Sends as much as it may; returns how much that was. */
static size_t send_all(struct fixture *f)
{
    size_t n = pace_allows(&f->p, f->now);

    for (size_t i = 0; i < n; i++) {
        pace_sent(&f->p, f->now);
    }
    return n;
}

/* Sends and succeeds for `ms`, waiting as pace_next_ms() says; returns how many. */
static size_t run(struct fixture *f, uint64_t ms)
{
    uint64_t end = f->now + ms;
    size_t total = 0;

    while (f->now < end) {
        size_t n = send_all(f);
        for (size_t i = 0; i < n; i++) {
            pace_succeeded(&f->p, f->now);
        }
        total += n;
        uint64_t next = n > 0 ? f->now + 1 : pace_next_ms(&f->p, f->now);
        assert_true(next > f->now); /* who waits for it must not spin */
        f->now = next;
    }
    return total;
}

static void unavailable(struct fixture *f, uint64_t retry_after_ms, bool overloaded)
{
    pace_unavailable(&f->p, &f->g, f->now, overloaded ? OVERLOAD : RIDER_CAUSE_TIMEOUT,
                     retry_after_ms, overloaded);
}

static void no_more_are_out_than_asked_for(void **state)
{
    (void)state;
    struct fixture f = make(3, 0, 0);

    assert_int_equal(send_all(&f), 3);
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_true(pace_next_ms(&f.p, f.now) == UINT64_MAX); /* only an end helps */
    pace_succeeded(&f.p, f.now);
    assert_int_equal(send_all(&f), 1);
    pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_FAILED_5XX, true);
    pace_unsent(&f.p);
    assert_int_equal(send_all(&f), 2);
}

struct bucket {
    double rate, burst;
    size_t at_once, in_10_s;
};

static void a_bucket_lets_a_burst_go_and_then_its_rate(void **state)
{
    (void)state;
    static const struct bucket cases[] = {
        {10, 0, 10, 110}, /* a second's worth at once */
        {10, 1, 1, 101},  {10, 25, 25, 125}, {0.5, 0, 1, 6},
        {0.3, 2, 2, 5},   {0, 0, 256, 0},
    };

    for (size_t i = 0; i < 5; i++) {
        struct fixture f = make(256, cases[i].rate, cases[i].burst);
        assert_int_equal(pace_allows(&f.p, f.now), cases[i].at_once);
        size_t n = run(&f, 10000);
        assert_in_range(n, cases[i].in_10_s - 1, cases[i].in_10_s + 1);
    }
    struct fixture f = make(256, cases[5].rate, cases[5].burst);
    assert_int_equal(pace_allows(&f.p, f.now), cases[5].at_once);
}

static void what_was_not_sent_costs_nothing(void **state)
{
    (void)state;
    struct fixture f = make(8, 2, 2);

    assert_int_equal(send_all(&f), 2);
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    pace_unsent(&f.p);
    assert_int_equal(f.p.in_flight, 1);
    assert_int_equal(pace_allows(&f.p, f.now), 1);
    pace_unsent(&f.p);
    assert_int_equal(send_all(&f), 2);
    f.now += 60000;
    assert_int_equal(send_all(&f), 2); /* never more than the burst */
}

static void an_overloaded_endpoint_is_asked_for_less(void **state)
{
    (void)state;
    struct fixture f = make(64, 0, 0);

    for (int i = 0; i < 100; i++) { /* 100 a second are fine with it */
        pace_sent(&f.p, f.now);
        f.now += 10;
        pace_succeeded(&f.p, f.now);
    }
    assert_int_equal(send_all(&f), 64);
    for (int i = 0; i < 64; i++) {
        unavailable(&f, 0, true); /* one burst of answers is one answer */
    }
    assert_in_range(f.p.lowered, 49, 51);
    f.now = pace_next_ms(&f.p, f.now);
    assert_int_equal(send_all(&f), 1); /* the probe */
    unavailable(&f, 0, true);
    assert_in_range(f.p.lowered, 24, 26);
    for (int i = 0; i < 12; i++) {
        f.now = f.p.breaker.retry_at_ms + 10000;
        assert_int_equal(send_all(&f), 1);
        unavailable(&f, 0, true);
    }
    assert_true(f.p.lowered > 0.19 && f.p.lowered < 0.21); /* it still hears */
}

static void successes_raise_the_rate_until_there_is_none(void **state)
{
    (void)state;
    struct fixture f = make(64, 0, 0);

    pace_sent(&f.p, f.now);
    unavailable(&f, 0, true); /* nothing was measured: half of 20 a second */
    assert_in_range(f.p.lowered, 10, 10);
    f.now = f.p.breaker.retry_at_ms;
    size_t first = run(&f, 1000);
    assert_in_range(first, 8, 16);
    size_t later = run(&f, 1000);
    assert_true(later > first);
    (void)run(&f, 10000);
    assert_true(f.p.lowered == 0);
    assert_int_equal(pace_allows(&f.p, f.now), 64);
}

static void a_lowered_rate_ends_at_the_owner_s_own(void **state)
{
    (void)state;
    struct fixture f = make(64, 12, 1);

    (void)run(&f, 5000);
    f.now += 100;
    assert_int_equal(send_all(&f), 1);
    unavailable(&f, 0, true);
    assert_in_range(f.p.lowered, 5, 7); /* half of what it was */
    f.now = f.p.breaker.retry_at_ms;
    (void)run(&f, 10000);
    assert_true(f.p.lowered == 0);
    assert_in_range(run(&f, 10000), 118, 122);
}

static void failures_that_are_no_overload_leave_the_rate(void **state)
{
    (void)state;
    struct fixture f = make(64, 0, 0);

    assert_int_equal(send_all(&f), 64);
    unavailable(&f, 0, false);
    assert_true(f.p.lowered == 0);
    assert_int_equal(f.p.breaker.state, BREAKER_OPEN);
}

static void nothing_goes_before_retry_after(void **state)
{
    (void)state;
    struct fixture f = make(16, 0, 0);

    assert_int_equal(send_all(&f), 16);
    unavailable(&f, 60000, true);
    for (int i = 0; i < 14; i++) {
        pace_succeeded(&f.p, f.now); /* was out before it said so */
    }
    pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_TOO_LARGE, false);
    assert_int_equal(f.p.in_flight, 0);
    assert_int_equal(pace_allows(&f.p, START + 59999), 0);
    assert_int_equal(pace_next_ms(&f.p, f.now), START + 60000);
    assert_int_equal(pace_allows(&f.p, START + 60000), 1);
}

static void one_probe_and_then_a_ramp(void **state)
{
    (void)state;
    struct fixture f = make(8, 0, 0);
    static const size_t expected[] = {2, 4, 8, 8};

    assert_int_equal(send_all(&f), 8);
    for (int i = 0; i < 8; i++) {
        unavailable(&f, 0, false);
    }
    f.now = f.p.breaker.retry_at_ms;
    assert_int_equal(pace_next_ms(&f.p, f.now), f.now);
    size_t out = send_all(&f);
    assert_int_equal(out, 1);
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_true(pace_next_ms(&f.p, f.now) == UINT64_MAX);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < out; k++) {
            pace_succeeded(&f.p, f.now);
        }
        out = send_all(&f);
        assert_int_equal(out, expected[i]);
    }
}

static void what_still_hangs_is_the_probe(void **state)
{
    (void)state;
    struct fixture f = make(4, 0, 0);

    assert_int_equal(send_all(&f), 4);
    unavailable(&f, 0, false);
    f.now = f.p.breaker.retry_at_ms;
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_true(pace_next_ms(&f.p, f.now) == UINT64_MAX);
    pace_succeeded(&f.p, f.now); /* since the pause is over, it counts */
    assert_int_equal(f.p.breaker.state, BREAKER_CLOSED);
}

static void a_streak_of_failed_events_opens(void **state)
{
    (void)state;
    struct fixture f = make(64, 0, 0);

    assert_int_equal(send_all(&f), 64);
    for (int i = 0; i < BREAKER_STREAK - 1; i++) {
        pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_FAILED_5XX, true);
    }
    pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_TOO_LARGE, false);
    assert_int_equal(f.p.breaker.state, BREAKER_CLOSED);
    for (int i = 0; i < BREAKER_STREAK; i++) {
        pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_FAILED_5XX, true);
    }
    assert_int_equal(f.p.breaker.state, BREAKER_OPEN);
    assert_int_equal(f.p.in_flight, 0);
}

static void another_process_has_learnt_to_wait(void **state)
{
    (void)state;
    struct fixture f = make(4, 0, 0);

    pace_hold(&f.p, START + 3000, RIDER_CAUSE_UNREACHABLE);
    assert_int_equal(pace_allows(&f.p, START + 2999), 0);
    assert_int_equal(pace_next_ms(&f.p, START), START + 3000);
    pace_hold(&f.p, START + 2000, RIDER_CAUSE_UNREACHABLE); /* the later one holds */
    assert_int_equal(pace_next_ms(&f.p, START), START + 3000);
    pace_hold(&f.p, START + 4000, RIDER_CAUSE_UNREACHABLE);
    assert_int_equal(pace_allows(&f.p, START + 3999), 0);
    assert_int_equal(pace_allows(&f.p, START + 4000), 1);
    pace_hold(&f.p, START + 9000, RIDER_CAUSE_UNREACHABLE); /* the probe goes on */
    assert_int_equal(pace_allows(&f.p, START + 4000), 1);
}

static void limits_change_at_any_time(void **state)
{
    (void)state;
    struct fixture f = make(1, 0, 0);

    assert_int_equal(send_all(&f), 1);
    unavailable(&f, 1000, false);
    pace_set_limits(&f.p, &(struct pace_limits){16, 0, 0});
    f.now += 1000;
    assert_int_equal(send_all(&f), 1); /* still one probe */
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_true(pace_next_ms(&f.p, f.now) == UINT64_MAX);
    pace_succeeded(&f.p, f.now);
    assert_int_equal(pace_allows(&f.p, f.now), 2);

    f = make(16, 0, 0);
    assert_int_equal(send_all(&f), 16);
    pace_set_limits(&f.p, &(struct pace_limits){4, 0, 0});
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_true(pace_next_ms(&f.p, f.now) == UINT64_MAX);
    for (int i = 0; i < 13; i++) {
        pace_succeeded(&f.p, f.now);
    }
    assert_int_equal(pace_allows(&f.p, f.now), 1);
    pace_set_limits(&f.p, &(struct pace_limits){8, 2, 1}); /* a window grows at once */
    assert_int_equal(send_all(&f), 1);
    assert_int_equal(pace_allows(&f.p, f.now), 0);
    assert_in_range(pace_next_ms(&f.p, f.now), f.now + 499, f.now + 502);
    pace_set_limits(&f.p, &(struct pace_limits){8, 0, 0});
    assert_int_equal(pace_allows(&f.p, f.now), 4);
}

static void a_pace_at_rest_is_as_a_new_one(void **state)
{
    (void)state;
    struct fixture f = make(4, 0.1, 3);

    assert_true(pace_is_at_rest(&f.p, f.now));
    assert_int_equal(send_all(&f), 3);
    assert_false(pace_is_at_rest(&f.p, f.now));
    for (int i = 0; i < 3; i++) {
        pace_succeeded(&f.p, f.now);
    }
    assert_false(pace_is_at_rest(&f.p, f.now + 29000)); /* its bucket is not full */
    assert_true(pace_is_at_rest(&f.p, f.now + 30100));

    f = make(4, 0, 0);
    pace_sent(&f.p, f.now);
    pace_event_failed(&f.p, &f.g, f.now, RIDER_CAUSE_FAILED_5XX, true);
    assert_false(pace_is_at_rest(&f.p, f.now)); /* a streak has begun */
    pace_sent(&f.p, f.now);
    unavailable(&f, 0, true);
    assert_false(pace_is_at_rest(&f.p, f.now + 100000));
    f.now = f.p.breaker.retry_at_ms;
    assert_int_equal(send_all(&f), 1);
    pace_succeeded(&f.p, f.now);
    assert_false(pace_is_at_rest(&f.p, f.now)); /* it ramps up, and slowly */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_are_out_than_asked_for),
        cmocka_unit_test(a_bucket_lets_a_burst_go_and_then_its_rate),
        cmocka_unit_test(what_was_not_sent_costs_nothing),
        cmocka_unit_test(an_overloaded_endpoint_is_asked_for_less),
        cmocka_unit_test(successes_raise_the_rate_until_there_is_none),
        cmocka_unit_test(a_lowered_rate_ends_at_the_owner_s_own),
        cmocka_unit_test(failures_that_are_no_overload_leave_the_rate),
        cmocka_unit_test(nothing_goes_before_retry_after),
        cmocka_unit_test(one_probe_and_then_a_ramp),
        cmocka_unit_test(what_still_hangs_is_the_probe),
        cmocka_unit_test(a_streak_of_failed_events_opens),
        cmocka_unit_test(another_process_has_learnt_to_wait),
        cmocka_unit_test(limits_change_at_any_time),
        cmocka_unit_test(a_pace_at_rest_is_as_a_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
