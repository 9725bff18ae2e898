/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api_route.c - paths with parameters, methods, pages and hosts of the API.
 */
#include "api/api_page.h"
#include "api/api_route.h"
#include "http/host_check.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int nothing(struct api_call *call, struct buf *out, struct rider_error *err)
{
    (void)call;
    (void)out;
    (void)err;
    return 0;
}

static const struct api_route first[] = {
    {"GET", "/things/{id}", API_READ, nothing},
    {"DELETE", "/things/{id}", API_WRITE, nothing},
    {"POST", "/things/{id}/parts/{part}/turn", API_WRITE, nothing},
};
static const struct api_route second[] = {
    {"GET", "/things", API_READ, nothing},
    {"POST", "/things", API_WRITE, nothing},
    {"GET", "/things/all", API_READ, nothing},
};
static const struct api_route_table first_table = API_ROUTES(first);
static const struct api_route_table second_table = API_ROUTES(second);
static const struct api_route_table *const tables[] = {&first_table, &second_table};

static struct api_match find(const char *method, const char *path)
{
    struct api_match match;

    api_route_find(tables, 2, method, path, &match);
    return match;
}

static void paths_are_found(void **state)
{
    struct api_match match = find("GET", "/things/a%20b");

    (void)state;
    assert_ptr_equal(match.route, &first[0]);
    assert_string_equal(match.values[0], "a b");
    match = find("HEAD", "/things/x");
    assert_ptr_equal(match.route, &first[0]);
    match = find("POST", "/things/x/parts/y/turn");
    assert_ptr_equal(match.route, &first[2]);
    assert_string_equal(match.values[0], "x");
    assert_string_equal(match.values[1], "y");
    match = find("GET", "/things/all");
    assert_ptr_equal(match.route, &second[2]);
    match = find("GET", "/things/allx");
    assert_ptr_equal(match.route, &first[0]);
}

static void others_are_not(void **state)
{
    static const char *const paths[] = {
        "/",           "/thing",          "/things/",
        "/things/x/",  "/things/x/parts", "/things/x/parts//turn",
        "/things/%00", "/things/%ff",     "/things/x/parts/y/turn/z"};
    char longest[600] = "/things/";

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct api_match match = find("GET", paths[i]);
        if (match.route != NULL || match.allow[0] != '\0') {
            fail_msg("found: %s", paths[i]);
        }
    }
    memset(longest + strlen(longest), 'x', 500);
    assert_string_equal(find("GET", longest).allow, "");
}

static void other_methods_are_told(void **state)
{
    struct api_match match = find("PUT", "/things/x");

    (void)state;
    assert_null(match.route);
    assert_string_equal(match.allow, "GET, HEAD, DELETE");
    match = find("DELETE", "/things/all");
    assert_null(match.route);
    assert_string_equal(match.allow, "GET, HEAD");
    assert_string_equal(find("X", "/things").allow, "GET, HEAD, POST");
}

static void cursors_are_their_own(void **state)
{
    static const struct api_list subscriptions = {"subscriptions", "bi"};
    static const struct api_list deliveries = {"deliveries", "bi"};
    static const struct api_list s = {"s", "b"};
    char cursor[API_CURSOR_SIZE];
    char key[API_PAGE_KEY_SIZE] = "?";

    (void)state;
    api_cursor_write(&subscriptions, "12.345", cursor);
    assert_true(strspn(cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789-_") == strlen(cursor));
    assert_true(api_cursor_read(cursor, &subscriptions, key));
    assert_string_equal(key, "12.345");
    assert_false(api_cursor_read(cursor, &deliveries, key));
    static const char *const bad[] = {"", "x", "MTpzOg", "MTpz!", "a b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(api_cursor_read(bad[i], &s, key));
    }
    api_cursor_write(&s, "1' OR 1=1", cursor);
    assert_false(api_cursor_read(cursor, &s, key));
    api_cursor_write(&s, "17", cursor); /* 1:s:17 leaves no bits over */
    assert_true(api_cursor_read(cursor, &s, key));
    api_cursor_write(&s, "1", cursor);
    cursor[strlen(cursor) - 1]++; /* the same bytes in another spelling */
    assert_false(api_cursor_read(cursor, &s, key));
}

static void keys_are_numbers_that_fit(void **state)
{
    static const char *const good[] = {"1.2.3", "0.0.0",
                                       "9223372036854775807.2147483647.7"};
    static const char *const bad[] = {"",
                                      "1",
                                      "1.2",
                                      "1.2.",
                                      "1.2.3.",
                                      "1.2.3.4",
                                      ".1.2.3",
                                      "1..3",
                                      "-1.2.3",
                                      "+1.2.3",
                                      "1e1.2.3",
                                      "9223372036854775808.2.3",
                                      " 1.2.3",
                                      "1.2.3 ",
                                      "1,2,3",
                                      "x",
                                      "1.2147483648.3",
                                      "1.2.99999999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(api_page_is_key(good[i], "bib"));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (api_page_is_key(bad[i], "bib")) {
            fail_msg("is a key: %s", bad[i]);
        }
    }
}

static void hosts_are_ours(void **state)
{
    static const char *const hosts[] = {"api.example.com", NULL};
    static const char *const good[] = {
        "localhost",     "LOCALHOST:80",        "127.0.0.1",
        "127.8.9.1:1",   "[::1]:8080",          "10.1.2.3",
        "10.1.2.3:8080", "api.example.com:443", "API.example.com"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "10.1.2.4",
                                      "[::2]",
                                      "127.0.0.1:x",
                                      "user@localhost",
                                      "127.0.0.1:1:2",
                                      "[::1",
                                      "2130706433"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!host_check(good[i], "10.1.2.3:8080", hosts)) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (host_check(bad[i], "10.1.2.3:8080", hosts)) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_true(host_check(NULL, "127.0.0.1:1", NULL));
    assert_false(host_check("api.example.com", "127.0.0.1:1", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_found),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(other_methods_are_told),
        cmocka_unit_test(cursors_are_their_own),
        cmocka_unit_test(keys_are_numbers_that_fit),
        cmocka_unit_test(hosts_are_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
