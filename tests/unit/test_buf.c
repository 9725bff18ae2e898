/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_buf.c - a buffer keeps its maximum, and remembers that it failed.
 */
#include "base/buf.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct buf b = buf_make(10);

    assert_string_equal(buf_text(&b), "");
    assert_null(b.data);
    buf_append(&b, NULL, 0);
    assert_null(b.data);
    RIDER_CLEANUP_FREE char *text = buf_steal(&b);
    assert_string_equal(text, "");
    buf_done(&b);
}

static void appends_follow_each_other(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf b = buf_make(1000);

    buf_puts(&b, "one");
    buf_putc(&b, ',');
    buf_append(&b, "t\0wo", 4);
    buf_printf(&b, "%s-%d", "three", 4);
    assert_false(b.failed);
    assert_int_equal(b.len, 15);
    assert_memory_equal(buf_text(&b), "one,t\0wothree-4", 16);
}

static void the_maximum_is_exact_and_failure_sticks(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf b = buf_make(5);

    buf_puts(&b, "12345");
    assert_false(b.failed);
    buf_putc(&b, '6');
    assert_true(b.failed);
    assert_string_equal(buf_text(&b), "12345");
    assert_null(buf_steal(&b));
    buf_reset(&b);
    assert_false(b.failed);
    assert_string_equal(buf_text(&b), "");
    buf_printf(&b, "%s", "123456");
    assert_true(b.failed);
    buf_puts(&b, "1"); /* would fit, but something is missing before it */
    assert_int_equal(b.len, 0);
}

static void it_grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf b = buf_make((size_t)1 << 20);

    for (int i = 0; i < 100000; i++) {
        buf_putc(&b, (char)('a' + i % 26));
    }
    assert_false(b.failed);
    assert_int_equal(b.len, 100000);
    assert_int_equal(strlen(buf_text(&b)), 100000);
    for (size_t i = 0; i < b.len; i += 997) {
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
    }
}

static void stealing_leaves_an_empty_buffer(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf b = buf_make(10);

    buf_puts(&b, "mine");
    RIDER_CLEANUP_FREE char *text = buf_steal(&b);
    assert_string_equal(text, "mine");
    assert_string_equal(buf_text(&b), "");
    buf_puts(&b, "0123456789");
    assert_false(b.failed); /* the same maximum */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(the_maximum_is_exact_and_failure_sticks),
        cmocka_unit_test(it_grows_and_keeps_what_it_has),
        cmocka_unit_test(stealing_leaves_an_empty_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
