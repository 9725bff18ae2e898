/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_event_line.c - what is cut out of a line, byte for byte, and what is
 * refused.
 */
#include "cli/event_line.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(char out[1024], const char *line, struct event_line *ret,
                 struct rider_error *err)
{
    assert_true(strlen(line) < 1024);
    memcpy(out, line, strlen(line) + 1);
    return event_line_parse(out, ret, err);
}

static void an_envelope_is_taken_apart(void **state)
{
    (void)state;
    char text[1024];
    struct event_line ev;
    struct rider_error err = {.text = ""};

    if (parse(text,
              " { \"eventId\" : \"e\",\"type\":\"T\\u00e9\\ud83d\\ude00\\n\","
              "\"occurredAt\":\"now\",\"aggregateId\":\"a\\\"\\\\\\/\","
              "\"payload\":{\"a\": [1.0, \"}\\\"]\"] , \"b\":1e400},\"version\": 3 ,"
              "\"aggregateType\":\"\",\"headers\":{ \"x\":\"y\" } } ",
              &ev, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(ev.event_id, "e");
    assert_string_equal(ev.type, "T\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_string_equal(ev.occurred_at, "now");
    assert_string_equal(ev.aggregate_id, "a\"\\/");
    assert_string_equal(ev.payload, "{\"a\": [1.0, \"}\\\"]\"] , \"b\":1e400}");
    assert_int_equal(ev.version, 3);
    assert_string_equal(ev.aggregate_type, "");
    assert_string_equal(ev.headers, "{ \"x\":\"y\" }");
    assert_null(ev.traceparent);
}

static void scalars_are_payloads_too(void **state)
{
    (void)state;
    static const struct {
        const char *line, *payload;
    } cases[] = {
        {"{\"payload\":1}", "1"},
        {"{\"payload\":null ,\"type\":\"t\"}", "null"},
        {"{\"payload\":\"a,}\\\\\"}", "\"a,}\\\\\""},
        {"{\"payload\":[]}", "[]"},
        {"{\"type\":\"t\",\"payload\":-1.50 }", "-1.50"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        struct event_line ev;
        struct rider_error err = {.text = ""};

        if (parse(text, cases[i].line, &ev, &err) != 0) {
            fail_msg("%s: %s", cases[i].line, err.text);
        }
        assert_string_equal(ev.payload, cases[i].payload);
    }
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "[]",
        "x",
        "{",
        "{\"type\"}",
        "{\"type\":}",
        "{\"type\":1}",
        "{\"type\":\"t\"",
        "{\"type\":\"t\",}",
        "{\"type\":\"t\" \"version\":1}",
        "{\"type\":\"t\"} x",
        "{\"type\":\"t\"}{}",
        "{\"type\":\"t\",\"type\":\"u\"}",
        "{\"unknown\":1}",
        "{\"payload\":{\"a\":1}",
        "{\"payload\":\"open}",
        "{\"payload\":}",
        "{\"version\":0}",
        "{\"version\":1.5}",
        "{\"version\":\"1\"}",
        "{\"version\":99999999999}",
        "{\"type\":\"\\u0000\"}",
        "{\"type\":\"\\ud800\"}",
        "{\"type\":\"\\ud800\\u0041\"}",
        "{\"type\":\"\\udc00\"}",
        "{\"type\":\"\\u12g4\"}",
        "{\"type\":\"\\x41\"}",
        "{\"type\":\"tab\there\"}",
        "{\"type\":\"\xff\"}",
        "{\"type\":\"t\\",
        "{\"type\":\"\\u12",
        "{\"traceparent\":\"a\\\"b\"}",
        "{\"traceparent\":\"a\",\"headers\":{}}",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        struct event_line ev;
        struct rider_error err = {.code = RIDER_OK};

        if (parse(text, cases[i], &ev, &err) != RIDER_E_CONFIG) {
            fail_msg("\"%s\" passes", cases[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_is_taken_apart),
        cmocka_unit_test(scalars_are_payloads_too),
        cmocka_unit_test(malformed_lines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
