/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_backoff.c - the delay stays within its bounds and is really random.
 */
#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bounds {
    uint64_t initial, max;
    uint32_t attempt;
    uint64_t low, high;
};

static void delays_stay_within_their_bounds(void **state)
{
    (void)state;
    static const struct bounds cases[] = {
        {100, 10000, 0, 25, 100},
        {100, 10000, 1, 25, 100},
        {100, 10000, 2, 25, 200},
        {100, 10000, 5, 25, 1600},
        {100, 10000, 8, 25, 10000},
        {100, 10000, UINT32_MAX, 25, 10000},
        {1, 1, 9, 0, 1},
        {0, 0, 3, 0, 0},
        {0, 1000, 1, 0, 1},
        {100, 10, 1, 10, 10},
        {4000, 500, 7, 500, 500},
        {1000, 3600000, 20, 250, 3600000},
    };
    struct prng g = prng_make(1);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bounds *c = &cases[i];
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        for (int n = 0; n < 2000; n++) {
            uint64_t ms = backoff_ms(&g, c->initial, c->max, c->attempt);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_in_range(least, c->low, c->low + (c->high - c->low) / 20);
        assert_in_range(most, c->high - (c->high - c->low) / 20, c->high);
    }
}

static void a_seed_gives_one_sequence(void **state)
{
    (void)state;
    struct prng a = prng_make(42);
    struct prng b = prng_make(42);
    struct prng c = prng_make(43);
    int same = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t next = prng_next(&a);
        assert_true(next == prng_next(&b));
        same += next == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void seeds_of_the_kernel_differ(void **state)
{
    (void)state;
    struct prng a = prng_random();
    struct prng b = prng_random();

    assert_true(prng_next(&a) != prng_next(&b));
}

static void numbers_below_n_take_every_value(void **state)
{
    (void)state;
    struct prng g = prng_make(7);
    int seen[10] = {0};

    for (int i = 0; i < 10000; i++) {
        seen[prng_below(&g, 10)]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(seen[i], 800, 1200);
    }
    assert_int_equal(prng_below(&g, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_stay_within_their_bounds),
        cmocka_unit_test(a_seed_gives_one_sequence),
        cmocka_unit_test(seeds_of_the_kernel_differ),
        cmocka_unit_test(numbers_below_n_take_every_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
