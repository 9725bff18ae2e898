/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rfc3339.c - times and entity tags as clients of the API write them.
 */
#include "api/api_etag.h"
#include "api/rfc3339.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void times(void **state)
{
    static const char *const good[] = {
        "2026-11-27T12:00:00Z",      "2026-11-27T23:59:59.123456789Z",
        "2026-01-01T00:00:00+00:00", "0001-12-31T00:00:00.1-11:30",
        "2024-02-29T00:00:00Z",      "2000-02-29T00:00:00Z"};
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-27",
                                      "2026-11-27 12:00:00Z",
                                      "2026-11-27T12:00:00",
                                      "2026-11-27T12:00Z",
                                      "0000-01-01T12:00:00Z",
                                      "2026-02-29T12:00:00Z",
                                      "1900-02-29T12:00:00Z",
                                      "2026-04-31T12:00:00Z",
                                      "2026-13-27T12:00:00Z",
                                      "2026-00-27T12:00:00Z",
                                      "2026-11-32T12:00:00Z",
                                      "2026-11-27T24:00:00Z",
                                      "2026-11-27T12:60:00Z",
                                      "2026-11-27T12:00:60Z",
                                      "2026-11-27T12:00:00.Z",
                                      "2026-11-27T12:00:00.1234567890Z",
                                      "2026-11-27T12:00:00ZZ",
                                      "2026-11-27T12:00:00+0000",
                                      "2026-11-27T12:00:00+15:00",
                                      "2026-11-27T12:00:00+01:60",
                                      "now",
                                      "2026-11-27T12:00:00Z'; DROP"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!rfc3339_is_time(good[i])) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (rfc3339_is_time(bad[i])) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void tags(void **state)
{
    (void)state;
    assert_true(api_etag_names("\"v7\"", 7, true));
    assert_true(api_etag_names("\"v6\", \"v7\"", 7, true));
    assert_true(api_etag_names("*", 7, true));
    assert_true(api_etag_names("W/\"v7\"", 7, false));
    assert_false(api_etag_names("W/\"v7\"", 7, true));
    assert_false(api_etag_names("\"v77\"", 7, true));
    assert_false(api_etag_names("v7", 7, true));
    assert_true(api_etag_names(" \"v6\" ,,\t\"v7\" ", 7, true));
    assert_true(api_etag_names("W/\"v7\", \"v7\"", 7, true));
    assert_true(api_etag_names("\"W/\", \"v7\"", 7, true));
    assert_true(api_etag_names(" *\t", 7, true));
    assert_true(api_etag_is_any("*"));
    assert_true(api_etag_is_any(" * "));
    static const char *const bad[] = {
        "",          "v1",        "\"v\"",   "\"v01\"",
        "\"v-1\"",   "\"x1\"",    "\"v1",    "\"v1x\"",
        "\"x\"v1\"", "*, \"v1\"", "\"v1\"x", "\"v1\"\"v1\"",
        "\"v1\" x",  "W/",        "\"",      "\"x\", v1, \"v1\"",
        "w/\"v1\"",  "\"v11\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (api_etag_names(bad[i], 1, true) || api_etag_is_any(bad[i])) {
            fail_msg("names version 1: %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
