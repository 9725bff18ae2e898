/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_patterns.c - lists of patterns.
 */
#include "common/patterns.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit_whole_texts),
        cmocka_unit_test(one_of_a_list_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
