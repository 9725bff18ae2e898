/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_breaker.c - when a destination is left alone, and how it is tried again.
 */
#include "dispatch/breaker.h"

#include "postrider/publisher.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT   16
#define DOWN    RIDER_CAUSE_UNREACHABLE
#define INITIAL 100
#define MOST    10000

struct fixture {
    struct breaker b;
    struct prng g;
};

static struct fixture make(void)
{
    return (struct fixture){breaker_make(LIMIT, INITIAL, MOST), prng_make(1)};
}

static void a_new_one_lets_everything_through(void **state)
{
    (void)state;
    struct fixture f = make();

    assert_int_equal(breaker_allows(&f.b, 0), LIMIT);
    assert_int_equal(f.b.state, BREAKER_CLOSED);
}

static void an_outage_opens_at_once_and_probes_with_one(void **state)
{
    (void)state;
    struct fixture f = make();

    breaker_unavailable(&f.b, &f.g, 1000, DOWN, 0);
    assert_int_equal(f.b.state, BREAKER_OPEN);
    assert_int_equal(f.b.cause, DOWN);
    assert_in_range(f.b.retry_at_ms, 1000 + INITIAL / 4, 1000 + INITIAL);
    assert_int_equal(breaker_allows(&f.b, f.b.retry_at_ms - 1), 0);
    assert_int_equal(breaker_allows(&f.b, f.b.retry_at_ms), 1);
    assert_int_equal(f.b.state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_allows(&f.b, f.b.retry_at_ms), 1);
}

static void pauses_grow_to_the_maximum(void **state)
{
    (void)state;
    struct fixture f = make();
    uint64_t now = 1000;
    uint64_t longest = 0;

    for (uint32_t i = 1; i <= 200; i++) {
        breaker_unavailable(&f.b, &f.g, now, DOWN, 0);
        assert_int_equal(f.b.trips, i);
        uint64_t pause = f.b.retry_at_ms - now;
        assert_in_range(pause, INITIAL / 4, MOST);
        longest = pause > longest ? pause : longest;
        now = f.b.retry_at_ms;
        assert_int_equal(breaker_allows(&f.b, now), 1);
    }
    assert_in_range(longest, MOST * 9 / 10, MOST);
    breaker_success(&f.b, 1);
    assert_int_equal(f.b.trips, 0);
    breaker_unavailable(&f.b, &f.g, now, DOWN, 0);
    assert_in_range(f.b.retry_at_ms - now, INITIAL / 4, INITIAL); /* from the start */
}

static void it_ramps_up_after_a_recovery(void **state)
{
    (void)state;
    struct fixture f = make();
    static const size_t expected[] = {2, 4, 8, 16, 16};

    breaker_unavailable(&f.b, &f.g, 0, DOWN, 0);
    size_t open = breaker_allows(&f.b, f.b.retry_at_ms);
    for (size_t i = 0; i < 5; i++) {
        breaker_success(&f.b, open);
        open = breaker_allows(&f.b, 0);
        assert_int_equal(open, expected[i]);
    }
}

static void a_ramp_of_one(void **state)
{
    (void)state;
    struct prng g = prng_make(1);
    struct breaker b = breaker_make(1, INITIAL, MOST);

    breaker_unavailable(&b, &g, 0, DOWN, 0);
    breaker_success(&b, 5);
    assert_int_equal(breaker_allows(&b, 0), 1);
    assert_int_equal(b.ramp, 1);
}

static void retry_after_is_a_floor(void **state)
{
    (void)state;
    struct fixture f = make();

    breaker_unavailable(&f.b, &f.g, 1000, DOWN, 7000);
    assert_int_equal(f.b.retry_at_ms, 8000);
    breaker_unavailable(&f.b, &f.g, 1500, DOWN, 0); /* one that was still out */
    assert_int_equal(f.b.retry_at_ms, 8000);
    assert_int_equal(f.b.trips, 1);
    breaker_unavailable(&f.b, &f.g, 2000, DOWN, 9000);
    assert_int_equal(f.b.retry_at_ms, 11000);
}

struct streak {
    uint32_t cause, limit;
};

static void a_streak_of_failures_opens(void **state)
{
    (void)state;
    static const struct streak cases[] = {
        {RIDER_CAUSE_FAILED_5XX, BREAKER_STREAK},
        {RIDER_CAUSE_NO_ROUTE, BREAKER_UNROUTABLE},
    };

    for (size_t c = 0; c < 2; c++) {
        struct fixture f = make();
        for (uint32_t i = 1; i < cases[c].limit; i++) {
            breaker_event_failed(&f.b, &f.g, 0, cases[c].cause, cases[c].limit);
        }
        assert_int_equal(f.b.state, BREAKER_CLOSED);
        breaker_success(&f.b, 1); /* ends the streak */
        for (uint32_t i = 1; i < cases[c].limit; i++) {
            breaker_event_failed(&f.b, &f.g, 0, cases[c].cause, cases[c].limit);
        }
        assert_int_equal(f.b.state, BREAKER_CLOSED);
        breaker_event_failed(&f.b, &f.g, 0, cases[c].cause, cases[c].limit);
        assert_int_equal(f.b.state, BREAKER_OPEN);
        assert_int_equal(f.b.cause, cases[c].cause);
        breaker_event_failed(&f.b, &f.g, 0, DOWN, cases[c].limit); /* was still out */
        assert_int_equal(f.b.cause, cases[c].cause);
        assert_int_equal(f.b.trips, 1);
    }
}

static void a_failed_probe_opens_again(void **state)
{
    (void)state;
    struct fixture f = make();

    breaker_unavailable(&f.b, &f.g, 0, DOWN, 0);
    (void)breaker_allows(&f.b, f.b.retry_at_ms);
    breaker_event_failed(&f.b, &f.g, 500, RIDER_CAUSE_TIMEOUT, BREAKER_STREAK);
    assert_int_equal(f.b.state, BREAKER_OPEN);
    assert_int_equal(f.b.trips, 2);
    assert_int_equal(f.b.cause, RIDER_CAUSE_TIMEOUT);
}

static void a_probe_without_an_address_proves_a_recovery(void **state)
{
    (void)state;
    struct fixture f = make();

    breaker_unavailable(&f.b, &f.g, 0, DOWN, 0);
    (void)breaker_allows(&f.b, f.b.retry_at_ms);
    breaker_event_failed(&f.b, &f.g, 500, RIDER_CAUSE_TOPIC_MISSING,
                         BREAKER_UNROUTABLE);
    assert_int_equal(f.b.state, BREAKER_CLOSED);

    for (int i = 0; i < BREAKER_UNROUTABLE; i++) {
        breaker_event_failed(&f.b, &f.g, 500, RIDER_CAUSE_TOPIC_MISSING,
                             BREAKER_UNROUTABLE);
    }
    assert_int_equal(f.b.state, BREAKER_OPEN);
    (void)breaker_allows(&f.b, f.b.retry_at_ms);
    breaker_event_failed(&f.b, &f.g, 500, RIDER_CAUSE_TOPIC_MISSING,
                         BREAKER_UNROUTABLE);
    assert_int_equal(f.b.state, BREAKER_OPEN); /* for just that it stands still */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_lets_everything_through),
        cmocka_unit_test(an_outage_opens_at_once_and_probes_with_one),
        cmocka_unit_test(pauses_grow_to_the_maximum),
        cmocka_unit_test(it_ramps_up_after_a_recovery),
        cmocka_unit_test(a_ramp_of_one),
        cmocka_unit_test(retry_after_is_a_floor),
        cmocka_unit_test(a_streak_of_failures_opens),
        cmocka_unit_test(a_failed_probe_opens_again),
        cmocka_unit_test(a_probe_without_an_address_proves_a_recovery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
