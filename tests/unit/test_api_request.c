/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api_request.c - queries and bodies of the API, read strictly; problem answers.
 */
#include "api/api_problem.h"
#include "api/api_request.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_query(const char *name, const char *value, struct api_parameter *p,
                      size_t n)
{
    const struct http_header query[] = {{name, value}};
    const struct http_request req = {.query = query, .n_query = 1};
    struct rider_error err;

    return api_request_parameters(&req, p, n, &err);
}

static void values_are_decoded(void **state)
{
    static const struct {
        const char *raw, *value;
    } cases[] = {
        {"plain", "plain"},     {"a%20b", "a b"},
        {"%C3%A9", "\xc3\xa9"}, {"2026-01-01T00%3a00", "2026-01-01T00:00"},
        {"100%25", "100%"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct api_parameter p = {"q", buf_make(64)};

        assert_int_equal(read_query("q", cases[i].raw, &p, 1), 0);
        assert_string_equal(buf_text(&p.value), cases[i].value);
        buf_done(&p.value);
    }
}

static void bad_values_are_refused(void **state)
{
    static const char *const cases[] = {
        "",    "%",   "%2",  "%zz",  "%00",      "%0a",
        "%7f", "%ff", "%C3", "\x01", "%ED%A0%80" /* half of a surrogate pair */};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct api_parameter p = {"q", buf_make(64)};

        if (read_query("q", cases[i], &p, 1) != RIDER_E_CONFIG) {
            fail_msg("accepted: %s", cases[i]);
        }
        buf_done(&p.value);
    }
    struct api_parameter p = {"q", buf_make(64)};
    assert_int_equal(read_query("other", "x", &p, 1), RIDER_E_CONFIG);
    assert_int_equal(read_query("q", "x", NULL, 0), RIDER_E_CONFIG);
    buf_done(&p.value);
}

static int read_two(const char *first, const char *second)
{
    const struct http_header query[] = {{first, "x"}, {second, "y"}};
    const struct http_request req = {.query = query, .n_query = 2};
    struct api_parameter p[] = {{"q", buf_make(64)}, {"m[]", buf_make(64)}};
    struct rider_error err;
    int rc = api_request_parameters(&req, p, 2, &err);

    buf_done(&p[0].value);
    buf_done(&p[1].value);
    return rc;
}

static void names_come_once(void **state)
{
    (void)state;
    assert_int_equal(read_two("m[a]", "m[b]"), 0);
    assert_int_equal(read_two("q", "m[q]"), 0);
    assert_int_equal(read_two("q", "q"), RIDER_E_CONFIG);
    assert_int_equal(read_two("m[a]", "m[a]"), RIDER_E_CONFIG);
    assert_int_equal(read_two("m[a]", "m%5B%61%5D"), RIDER_E_CONFIG);
}

static void a_problem_is_a_document(void **state)
{
    struct http_response res = {.status = 200, .body = buf_make(1024)};
    struct api_problem problem = {.code = NULL};

    (void)state;
    buf_puts(&res.body, "half an answer");
    (void)api_problem_set(&problem, "not-found", "no \"x\"");
    api_problem_write(&problem, "req_1", &res);
    assert_int_equal(res.status, 404);
    assert_string_equal(res.content_type, "application/problem+json");
    assert_string_equal(
        buf_text(&res.body),
        "{\"type\":\"urn:postrider:problem:not-found\",\"title\":\"Not Found\","
        "\"status\":404,\"code\":\"not-found\",\"detail\":\"no \\\"x\\\"\","
        "\"request_id\":\"req_1\"}\n");
    buf_done(&res.body);
}

static void faults_make_a_problem(void **state)
{
    struct http_response res = {.status = 200, .body = buf_make(65536)};
    struct api_problem problem = {.code = NULL};

    (void)state;
    assert_int_equal(api_problem_check(&problem), 0);
    api_problem_fault(&problem, "/url", "invalid-url", "no host");
    assert_int_equal(api_problem_check(&problem), RIDER_E_CONFIG);
    assert_string_equal(problem.code, "invalid-url");
    api_problem_fault(&problem, "/x", "unknown-member", "what\n\xff");
    assert_int_equal(api_problem_check(&problem), RIDER_E_CONFIG);
    assert_string_equal(problem.code, "invalid-request");
    api_problem_write(&problem, "req_1", &res);
    assert_int_equal(res.status, 422);
    assert_non_null(strstr(buf_text(&res.body),
                           "\"errors\":[{\"pointer\":\"/url\",\"code\":\"invalid-url\","
                           "\"detail\":\"no host\"},{\"pointer\":\"/x\",\"code\":"
                           "\"unknown-member\",\"detail\":\"what??\"}]"));
    for (int i = 0; i < 2 * API_MAX_FAULTS; i++) {
        api_problem_fault(&problem, "/x", "unknown-member", "again");
    }
    assert_int_equal(problem.n_faults, API_MAX_FAULTS);
    buf_done(&res.body);
}

static void maps_are_collected(void **state)
{
    const struct http_header query[] = {
        {"metadata%5Bteam%5D", "a%22b"}, {"metadata[x]", "y"}, {"limit", "3"}};
    const struct http_request req = {.query = query, .n_query = 3};
    struct api_parameter p[] = {{"limit", buf_make(64)}, {"metadata[]", buf_make(256)}};
    struct rider_error err;

    (void)state;
    assert_int_equal(api_request_parameters(&req, p, 2, &err), 0);
    assert_string_equal(buf_text(&p[0].value), "3");
    assert_string_equal(buf_text(&p[1].value), "\"team\":\"a\\\"b\",\"x\":\"y\"");
    buf_done(&p[0].value);
    buf_done(&p[1].value);
    struct api_parameter other = {"other[]", buf_make(64)};
    assert_int_equal(read_query("metadata[x]", "y", &other, 1), RIDER_E_CONFIG);
    assert_int_equal(read_query("other[]", "y", &other, 1), RIDER_E_CONFIG);
    assert_int_equal(read_query("other[x", "y", &other, 1), RIDER_E_CONFIG);
    buf_done(&other.value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(names_come_once),
        cmocka_unit_test(a_problem_is_a_document),
        cmocka_unit_test(faults_make_a_problem),
        cmocka_unit_test(maps_are_collected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
