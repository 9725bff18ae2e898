/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pg_array.c - array literals, whatever is in their texts.
 */
#include "outbox/pg_array.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void literals_of_every_kind(void **state)
{
    (void)state;
    RIDER_CLEANUP(pg_array_done) struct pg_array a;

    pg_array_init(&a);
    assert_string_equal(pg_array_text(&a), "{}");
    pg_array_add_int(&a, INT64_MIN);
    pg_array_add_int(&a, 0);
    pg_array_add_int(&a, INT64_MAX);
    assert_string_equal(pg_array_text(&a),
                        "{-9223372036854775808,0,9223372036854775807}");
    pg_array_reset(&a);
    pg_array_add_text(&a, "", 0);
    pg_array_add_null(&a);
    pg_array_add_text(&a, "NULL", 4);
    assert_string_equal(pg_array_text(&a), "{\"\",NULL,\"NULL\"}");
    pg_array_reset(&a);
    assert_string_equal(pg_array_text(&a), "{}");
}

struct quoted {
    const char *text;
    size_t len;
    const char *expected;
};

static void texts_are_quoted(void **state)
{
    (void)state;
    static const struct quoted cases[] = {
        {"a,b}{", 5, "{\"a,b}{\"}"},
        {"\"", 1, "{\"\\\"\"}"},
        {"\\", 1, "{\"\\\\\"}"},
        {" a\n\t", 4, "{\" a\n\t\"}"},
        {"\xc3\xa9", 2, "{\"\xc3\xa9\"}"},
        {"abc", 2, "{\"ab\"}"},   /* no NUL behind it is needed */
        {"ab\0c", 4, "{\"ab\"}"}, /* the database takes no NUL */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP(pg_array_done) struct pg_array a;
        pg_array_init(&a);
        pg_array_add_text(&a, cases[i].text, cases[i].len);
        assert_string_equal(pg_array_text(&a), cases[i].expected);
    }
}

static void a_failed_array_has_no_text(void **state)
{
    (void)state;
    RIDER_CLEANUP(pg_array_done) struct pg_array a;

    pg_array_init(&a);
    a.text = buf_make(10);
    pg_array_add_text(&a, "0123456789", 10);
    assert_null(pg_array_text(&a));
    pg_array_reset(&a);
    pg_array_add_int(&a, 7);
    assert_string_equal(pg_array_text(&a), "{7}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_of_every_kind),
        cmocka_unit_test(texts_are_quoted),
        cmocka_unit_test(a_failed_array_has_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
