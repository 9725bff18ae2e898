/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_clock.c - instants are printed as the calendar has them.
 */
#include "base/clock.h"

#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct instant {
    int64_t us;
    const char *text;
};

static void known_instants(void **state)
{
    (void)state;
    static const struct instant cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(951868799999999), "2000-02-29T23:59:59.999999Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
        {INT64_C(4107542399000001), "2100-02-28T23:59:59.000001Z"},
        {INT64_C(1709164800000000), "2024-02-29T00:00:00.000000Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
        {INT64_C(-62135596800000001), "0001-01-01T00:00:00.000000Z"},
        {INT64_C(253402300799000000), "9999-12-31T23:59:59.000000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.000000Z"},
        {INT64_MIN, "0001-01-01T00:00:00.000000Z"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLOCK_RFC3339_SIZE];
        assert_int_equal(clock_format_rfc3339(cases[i].us, text), 27);
        assert_string_equal(text, cases[i].text);
    }
}

static void any_instant_as_the_c_library_prints_it(void **state)
{
    (void)state;
    struct prng g = prng_make(3);

    for (int i = 0; i < 20000; i++) {
        int64_t seconds =
            (int64_t)prng_below(&g, UINT64_C(315537897599)) - INT64_C(62135596800);
        int64_t us = (int64_t)prng_below(&g, 1000000);
        char text[CLOCK_RFC3339_SIZE];
        char expected[128];
        struct tm tm;
        time_t t = (time_t)seconds;

        assert_non_null(gmtime_r(&t, &tm));
        (void)snprintf(expected, sizeof(expected),
                       "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                       (int)us);
        (void)clock_format_rfc3339(seconds * 1000000 + us, text);
        assert_string_equal(text, expected);
    }
}

static void clocks_run_and_agree(void **state)
{
    (void)state;
    uint64_t us = clock_mono_us();
    uint64_t ms = clock_mono_ms();

    assert_true(ms >= us / 1000);
    assert_true(clock_mono_us() >= us);
    int64_t before = time(NULL); /* may be late by a tick */
    int64_t wall = clock_wall_us() / 1000000;
    assert_true(before <= wall && wall <= (int64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants),
        cmocka_unit_test(any_instant_as_the_c_library_prints_it),
        cmocka_unit_test(clocks_run_and_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
