/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_patterns.c - lists of patterns.
 */
#include "common/patterns.h"
#include "dispatch/glob.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool fits(const char *list, const char *text)
{
    return patterns_match(list, (struct rider_bytes){text, strlen(text)});
}

static void patterns_fit_whole_texts(void **state)
{
    (void)state;
    assert_true(fits("a.b", "a.b"));
    assert_false(fits("a.b", "a.bc"));
    assert_false(fits("a.bc", "a.b"));
    assert_true(fits("*.deleted", "order.line.deleted"));
    assert_false(fits("*.deleted", "order.deleted.not"));
    assert_true(fits("a?c*", "abc"));
    assert_true(fits("*", ""));
    assert_false(fits("?", ""));
    assert_true(fits("*a*b*", "xxaxxabxx"));
    assert_false(fits("*a*b", "xxaxxabxx"));
}

static void one_of_a_list_is_enough(void **state)
{
    (void)state;
    assert_true(fits("x y,z", "y"));
    assert_true(fits("  x ,, z ", "z"));
    assert_false(fits("x y", "x y"));
    assert_false(fits("", ""));
    assert_false(fits(" , ", "x"));
}

/* One letter and both wildcards meet in every way that short texts allow. */
static void patterns_mean_what_they_mean_in_routes(void **state)
{
    static const char of_pattern[] = "ab*?";
    static const char of_text[] = "ab";
    (void)state;

    for (unsigned p = 0; p < 4 * 4 * 4 * 4; p++) {
        const char pattern[] = {of_pattern[p & 3], of_pattern[p >> 2 & 3],
                                of_pattern[p >> 4 & 3], of_pattern[p >> 6], '\0'};
        for (unsigned t = 0; t < 1u << 6; t++) {
            for (size_t len = 0; len <= 6; len++) {
                char text[6];
                for (size_t i = 0; i < len; i++) {
                    text[i] = of_text[t >> i & 1];
                }
                assert_int_equal(
                    patterns_match(pattern, (struct rider_bytes){text, len}),
                    glob_match(pattern, text, len));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit_whole_texts),
        cmocka_unit_test(one_of_a_list_is_enough),
        cmocka_unit_test(patterns_mean_what_they_mean_in_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
