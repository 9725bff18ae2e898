/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_parse.c - numbers, durations and sizes, and what is none.
 */
#include "base/parse.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct number {
    const char *text;
    bool good;
    int64_t value;
};

static void integers(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"007", true, 7},
        {"-12", true, -12},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775807", true, -INT64_MAX},
        {"9223372036854775808", false, 0},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"--1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.5", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
        {"\xd9\xa1", false, 0}, /* a digit, but of another script */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 4711;
        struct rider_error err = {.text = ""};
        int rc = parse_int(cases[i].text, &value, &err);
        assert_int_equal(rc, cases[i].good ? 0 : RIDER_E_CONFIG);
        assert_int_equal(value, cases[i].good ? cases[i].value : 4711);
        assert_true(cases[i].good || strstr(err.text, "decimal integer") != NULL);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", true, 0},
        {"0ms", true, 0},
        {"250ms", true, 250},
        {"5s", true, 5000},
        {"2m", true, 120000},
        {"1h", true, 3600000},
        {"7d", true, 604800000},
        {"106751991167d", true, INT64_C(106751991167) * 86400000},
        {"106751991168d", false, 0},
        {"5", false, 0},
        {"", false, 0},
        {"ms", false, 0},
        {"5 s", false, 0},
        {"5S", false, 0},
        {"-5s", false, 0},
        {"1h30m", false, 0},
        {"1.5s", false, 0},
        {"5sec", false, 0},
        {"9999999999999999999s", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 4711;
        struct rider_error err = {.text = ""};
        int rc = parse_duration_ms(cases[i].text, &value, &err);
        assert_int_equal(rc, cases[i].good ? 0 : RIDER_E_CONFIG);
        assert_int_equal(value, cases[i].good ? cases[i].value : 4711);
        assert_true(cases[i].good || strstr(err.text, "duration") != NULL);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", true, 0},
        {"512", true, 512},
        {"64KB", true, 65536},
        {"16MB", true, 16777216},
        {"1GB", true, 1073741824},
        {"8589934591GB", true, INT64_C(8589934591) << 30},
        {"8589934592GB", false, 0},
        {"1kb", false, 0},
        {"1K", false, 0},
        {"1TB", false, 0},
        {"-1", false, 0},
        {"", false, 0},
        {"1 MB", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 4711;
        struct rider_error err = {.text = ""};
        int rc = parse_size(cases[i].text, &value, &err);
        assert_int_equal(rc, cases[i].good ? 0 : RIDER_E_CONFIG);
        assert_int_equal(value, cases[i].good ? cases[i].value : 4711);
    }
}

static void a_very_long_text_is_quoted_short(void **state)
{
    (void)state;
    char text[2000];
    struct rider_error err;
    int64_t value;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(parse_int(text, &value, &err), RIDER_E_CONFIG);
    assert_in_range(strlen(err.text), 40, 100);
    assert_int_equal(parse_int(text, &value, NULL), RIDER_E_CONFIG);
}

static void truths(void **state)
{
    (void)state;
    static const char *const bad[] = {"yes", "no", "True", "1", "", "true ", "fals"};
    bool value = false;

    assert_int_equal(parse_bool("true", &value, NULL), 0);
    assert_true(value);
    assert_int_equal(parse_bool("false", &value, NULL), 0);
    assert_false(value);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value = true;
        assert_int_equal(parse_bool(bad[i], &value, NULL), RIDER_E_CONFIG);
        assert_true(value);
    }
}

static void uuids(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5",
        "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f0",
        "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5g",
        "0192f1e07c1a-7b3e-9d55-0a1b2c3d4e5f-",
        "{192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f",
        "0192f1e0-7c1a-7b3e-9d55_0a1b2c3d4e5f",
    };

    assert_true(parse_is_uuid("0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f"));
    assert_true(parse_is_uuid("0192F1E0-7C1A-7B3E-9D55-0A1B2C3D4E5F"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(parse_is_uuid(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(durations),
        cmocka_unit_test(sizes),    cmocka_unit_test(a_very_long_text_is_quoted_short),
        cmocka_unit_test(truths),   cmocka_unit_test(uuids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
