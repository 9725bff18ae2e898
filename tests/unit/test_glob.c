/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_glob.c - patterns of routes, compared with a recursive matcher.
 */
#include "dispatch/glob.h"

#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct match {
    const char *pattern, *text;
    bool expected;
};

static void known_patterns(void **state)
{
    (void)state;
    static const struct match cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"REQUEST_*", "REQUEST_SUBMITTED", true},
        {"REQUEST_*", "REQUEST_", true},
        {"REQUEST_*", "REQUEST", false},
        {"request_*", "REQUEST_SUBMITTED", false},
        {"*_DECIDED", "TASK_DECIDED", true},
        {"*_DECIDED", "TASK_DECIDED_LATE", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"a**b", "ab", true},
        {"a*?b", "ab", false},
        {"a*?b", "acb", true},
        {"*ab", "aab", true},
        {"[ab]", "a", false}, /* no classes */
        {"[ab]", "[ab]", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool got = glob_match(cases[i].pattern, cases[i].text, strlen(cases[i].text));
        if (got != cases[i].expected) {
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
        }
    }
}

static bool naive(const char *pattern, const char *text, size_t len)
{
    if (*pattern == '\0') {
        return len == 0;
    }
    if (*pattern == '*') {
        return naive(pattern + 1, text, len) ||
               (len > 0 && naive(pattern, text + 1, len - 1));
    }
    return len > 0 && (*pattern == '?' || *pattern == *text) &&
           naive(pattern + 1, text + 1, len - 1);
}

static void random_patterns_as_a_recursive_matcher(void **state)
{
    (void)state;
    struct prng g = prng_make(6);
    int matched = 0;

    for (int i = 0; i < 100000; i++) {
        char pattern[9] = "";
        char text[11] = "";
        size_t p = (size_t)prng_below(&g, 8);
        size_t len = (size_t)prng_below(&g, 10);
        for (size_t c = 0; c < p; c++) {
            pattern[c] = "ab*?*"[prng_below(&g, 5)];
        }
        for (size_t c = 0; c < len; c++) {
            text[c] = "ab"[prng_below(&g, 2)];
        }
        bool expected = naive(pattern, text, len);
        matched += expected;
        if (glob_match(pattern, text, len) != expected) {
            fail_msg("\"%s\" and \"%s\"", pattern, text);
        }
    }
    assert_in_range(matched, 10000, 90000);
}

/* A recursive matcher would take until the end of time. */
static void many_stars_are_no_trap(void **state)
{
    (void)state;
    char text[4000];

    memset(text, 'a', sizeof(text));
    assert_false(glob_match("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text, sizeof(text)));
    assert_false(glob_match("*", text, 0) == false);
}

static void the_text_ends_where_its_length_says(void **state)
{
    (void)state;
    static const char text[3] = {'a', 'b', 'c'}; /* no NUL behind it */

    assert_true(glob_match("abc", text, 3));
    assert_true(glob_match("ab", text, 2));
    assert_false(glob_match("abcd", text, 3));
    assert_true(glob_match("a?c", "a\0c", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_patterns),
        cmocka_unit_test(random_patterns_as_a_recursive_matcher),
        cmocka_unit_test(many_stars_are_no_trap),
        cmocka_unit_test(the_text_ends_where_its_length_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
