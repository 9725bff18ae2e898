/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli_change.c - flags become the JSON filter of the schema's functions.
 */
#include "cli/cli_change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "0193f2c1-7b5e-7cc1-a3a8-0d1f5c2b9e77"

static const struct cli_flag flags[] = {
    {"destination", 'd', "NAME", ""},  {"type", 't', "TYPE", ""},
    {"cause", 0, "WORD", ""},          {"event", 'e', "ID", ""},
    {"aggregate-type", 0, "TYPE", ""}, {"aggregate-id", 0, "ID", ""},
    {"since", 0, "TIME", ""},          {"until", 0, "TIME", ""},
};

/* Parses the words behind "x" and returns cli_filter()'s code; `out` is the filter. */
static int filter(struct buf *out, struct rider_error *err, char **words, int n)
{
    char *argv[16] = {(char[]){"x"}};
    struct cli_args args;

    for (int i = 0; i < n; i++) {
        argv[i + 1] = words[i];
    }
    *out = buf_make(4096);
    assert_int_equal(cli_args_parse(flags, sizeof(flags) / sizeof(flags[0]), n + 1,
                                    argv, &args, err),
                     0);
    return cli_filter(&args, 1, false, out, err);
}

#define FILTER(out, err, ...)                 \
    filter(out, err, (char *[]){__VA_ARGS__}, \
           (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)))

static char list[] = "list";

static void flags_become_keys(void **state)
{
    struct rider_error err;
    struct buf out;
    char a[] = "--destination=s";
    char b[] = "--aggregate-id=R\"1";
    char c[] = "--since=2026-01-01";

    (void)state;
    assert_int_equal(FILTER(&out, &err, list, a, b, c), 0);
    assert_string_equal(buf_text(&out),
                        "{\"destination\":\"s\",\"aggregateId\":\"R\\\"1\","
                        "\"since\":\"2026-01-01\"}");
    buf_done(&out);
}

static void operands_and_flags_name_events(void **state)
{
    struct rider_error err;
    struct buf out;
    char flag[] = "--event=" ID;
    char operand[] = ID;

    (void)state;
    assert_int_equal(FILTER(&out, &err, list, flag, operand), 0);
    assert_string_equal(buf_text(&out), "{\"eventId\":[\"" ID "\",\"" ID "\"]}");
    buf_done(&out);
}

static void a_duration_becomes_a_time(void **state)
{
    struct rider_error err;
    struct buf out;
    char flag[] = "--until=2h";

    (void)state;
    assert_int_equal(FILTER(&out, &err, list, flag), 0);
    assert_non_null(strstr(buf_text(&out), "{\"until\":\"20"));
    assert_non_null(strstr(buf_text(&out), "Z\"}"));
    buf_done(&out);
}

static void mistakes_are_refused(void **state)
{
    struct rider_error err;
    struct buf out;
    char bad[] = "not-a-uuid";

    (void)state;
    assert_int_equal(FILTER(&out, &err, list, bad), RIDER_E_CONFIG);
    buf_done(&out);
    assert_int_equal(FILTER(&out, &err, list), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "name what is meant"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_become_keys),
        cmocka_unit_test(operands_and_flags_name_events),
        cmocka_unit_test(a_duration_becomes_a_time),
        cmocka_unit_test(mistakes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
