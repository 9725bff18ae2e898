/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json_writer.c - commas, escapes, and payloads kept byte for byte.
 */
#include "base/json_writer.h"

#include "base/cleanup.h"

#include <math.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_document_with_everything(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1000);
    struct json_writer w = jw_begin(&out);
    static const char raw[] = "{ \"z\":1.0,  \"a\":[] }";

    jw_object(&w, NULL);
    jw_string(&w, "text", "a");
    jw_int(&w, "least", INT64_MIN);
    jw_double(&w, "half", 0.5);
    jw_bool(&w, "yes", true);
    jw_bool(&w, "no", false);
    jw_null(&w, "none");
    jw_string_or_null(&w, "missing", NULL);
    jw_string_or_null(&w, "there", "b");
    jw_raw(&w, "raw", raw, sizeof(raw) - 1);
    jw_array(&w, "list");
    jw_array_end(&w);
    jw_array(&w, "items");
    jw_int(&w, NULL, 1);
    jw_object(&w, NULL);
    jw_object_end(&w);
    jw_string(&w, NULL, "x");
    jw_array_end(&w);
    jw_object(&w, "empty");
    jw_object_end(&w);
    jw_object_end(&w);
    assert_false(out.failed);
    assert_string_equal(
        buf_text(&out),
        "{\"text\":\"a\",\"least\":-9223372036854775808,\"half\":0.5,\"yes\":true,"
        "\"no\":false,\"none\":null,\"missing\":null,\"there\":\"b\","
        "\"raw\":{ \"z\":1.0,  \"a\":[] },\"list\":[],\"items\":[1,{},\"x\"],"
        "\"empty\":{}}");
}

struct escape {
    const char *value;
    size_t len;
    const char *expected;
};

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct escape cases[] = {
        {"", 0, ""},
        {"plain", 5, "plain"},
        {"\"\\/", 3, "\\\"\\\\/"},
        {"\n\r\t", 3, "\\n\\r\\t"},
        {"\b\f\x01\x1f", 4, "\\u0008\\u000c\\u0001\\u001f"},
        {"a\0b", 3, "a\\u0000b"},
        {"\x7f", 1, "\x7f"},
        {"\xc3\xa9\xf0\x9f\x93\xae", 6, "\xc3\xa9\xf0\x9f\x93\xae"},
        {"a\xff"
         "b",
         3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP(buf_done) struct buf out = buf_make(1000);
        jw_escape(&out, cases[i].value, cases[i].len);
        assert_string_equal(buf_text(&out), cases[i].expected);
    }
}

static void a_key_is_escaped_too(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(100);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    jw_string_n(&w, "a\"b", "c\0d", 3);
    jw_object_end(&w);
    assert_string_equal(buf_text(&out), "{\"a\\\"b\":\"c\\u0000d\"}");
}

static void numbers_that_json_lacks_are_null(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(100);
    struct json_writer w = jw_begin(&out);

    jw_array(&w, NULL);
    jw_double(&w, NULL, (double)NAN);
    jw_double(&w, NULL, (double)INFINITY);
    jw_double(&w, NULL, 1e21);
    jw_double(&w, NULL, -0.001);
    jw_array_end(&w);
    assert_string_equal(buf_text(&out), "[null,null,1e+21,-0.001]");
}

static void a_full_buffer_shows(void **state)
{
    (void)state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(10);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    jw_string(&w, "key", "a value that is too long");
    jw_object_end(&w);
    assert_true(out.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_with_everything),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(a_key_is_escaped_too),
        cmocka_unit_test(numbers_that_json_lacks_are_null),
        cmocka_unit_test(a_full_buffer_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
