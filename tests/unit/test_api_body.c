/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api_body.c - bodies of requests: media types, members, all mistakes at once.
 */
#include "api/api_body.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct reading {
    struct api_problem problem;
    struct json_tree *tree;
};

static int read_body(const char *type, const char *body, bool may_be_empty,
                     struct reading *r)
{
    const struct http_header headers[] = {{"Content-Type", type}};
    const struct http_request req = {.headers = headers,
                                     .n_headers = type == NULL ? 0 : 1,
                                     .body = body,
                                     .body_len = strlen(body)};
    struct api_call call = {.req = &req, .problem = &r->problem};
    struct rider_error err;

    *r = (struct reading){.tree = NULL};
    return api_body_read(&call, API_JSON, may_be_empty, &r->tree, &err);
}

static void media_types(void **state)
{
    static const char *const good[] = {
        "application/json", "Application/JSON", "application/json; charset=utf-8",
        "application/json;charset=UTF-8", "application/json; charset=\"utf-8\""};
    static const char *const bad[] = {NULL,
                                      "",
                                      "text/plain",
                                      "application/jsonx",
                                      "application/json; charset=latin1",
                                      "application/json; x",
                                      "application/merge-patch+json",
                                      "application/json,a/b"};
    struct reading r;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(read_body(good[i], "{}", false, &r), 0);
        json_tree_destroy(r.tree);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_body(bad[i], "{}", false, &r), RIDER_E_CONFIG);
        assert_string_equal(r.problem.code, "unsupported-media-type");
    }
    assert_int_equal(read_body(NULL, "", true, &r), 0);
    json_tree_destroy(r.tree);
}

static void documents(void **state)
{
    static const struct {
        const char *body, *code;
    } cases[] = {
        {"", "invalid-json"},
        {"[]", "invalid-request"},
        {"null", "invalid-request"},
        {"{\"a\":1,\"a\":2}", "duplicate-key"},
        {"{\"a\":\"\xff\"}", "invalid-utf8"},
    };
    struct reading r;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_body(API_JSON, cases[i].body, false, &r), RIDER_E_CONFIG);
        assert_string_equal(r.problem.code, cases[i].code);
        assert_int_equal(r.problem.n_faults, 1);
    }
}

static void expect_fault(const struct api_problem *problem, size_t i,
                         const char *pointer, const char *code)
{
    assert_true(i < problem->n_faults);
    assert_string_equal(problem->faults[i].pointer, pointer);
    assert_string_equal(problem->faults[i].code, code);
}

static void all_mistakes_are_told(void **state)
{
    static const char *const words[] = {"red", "green", NULL};
    const char *text = "as it was";
    int64_t number = 7;
    bool flag = true;
    struct reading r;

    (void)state;
    assert_int_equal(
        read_body(API_JSON,
                  "{\"text\":3,\"long\":\"123456\",\"number\":1.5,\"big\":100,"
                  "\"flag\":\"yes\",\"word\":\"blue\",\"list\":[],\"rate\":0,"
                  "\"object\":{\"in\":1,\"x/y\":2},\"more\":null}",
                  false, &r),
        0);
    struct api_fields f = api_fields_of(json_tree_root(r.tree), &r.problem);
    assert_false(api_fields_text(&f, "text", 0, 5, &text));
    assert_false(api_fields_text(&f, "long", 0, 5, &text));
    assert_false(api_fields_int(&f, "number", 0, 9, &number));
    assert_false(api_fields_int(&f, "big", 0, 9, &number));
    assert_false(api_fields_bool(&f, "flag", &flag));
    assert_false(api_fields_word(&f, "word", words, &text));
    assert_null(api_fields_list(&f, "list", 1, 3));
    assert_false(api_fields_positive(&f, "rate", 0.001, 10, &text));
    struct api_fields in = api_fields_object(&f, "object");
    assert_true(api_fields_int(&in, "in", 0, 9, &number));
    api_fields_finish(&in);
    api_fields_require(&f, "url");
    api_fields_finish(&f);
    assert_string_equal(text, "as it was");
    static const char *const pointers[] = {"/text", "/long", "/number", "/big",
                                           "/flag", "/word", "/list",   "/rate"};
    for (size_t i = 0; i < 8; i++) {
        expect_fault(&r.problem, i, pointers[i], "invalid-value");
    }
    expect_fault(&r.problem, 8, "/object/x~1y", "unknown-member");
    expect_fault(&r.problem, 9, "/url", "missing-member");
    expect_fault(&r.problem, 10, "/more", "unknown-member");
    assert_int_equal(r.problem.n_faults, 11);
    json_tree_destroy(r.tree);
}

static void good_values_are_read(void **state)
{
    static const char *const words[] = {"red", "green", NULL};
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;
    struct reading r;

    (void)state;
    assert_int_equal(
        read_body(API_JSON,
                  "{\"text\":\"abc\",\"n\":-3,\"flag\":true,\"nothing\":null,"
                  "\"word\":\"green\",\"rate\":0.10,\"list\":[1,2]}",
                  false, &r),
        0);
    struct api_fields f = api_fields_of(json_tree_root(r.tree), &r.problem);
    assert_true(api_fields_text(&f, "text", 1, 3, &text));
    assert_string_equal(text, "abc");
    assert_true(api_fields_int(&f, "n", -3, 9, &number));
    assert_int_equal(number, -3);
    assert_true(api_fields_bool(&f, "flag", &flag));
    assert_true(flag);
    assert_true(api_fields_word(&f, "word", words, &text));
    assert_ptr_equal(text, words[1]);
    assert_true(api_fields_positive(&f, "rate", 0.001, 10, &text));
    assert_string_equal(text, "0.10");
    assert_int_equal(api_fields_list(&f, "list", 1, 2)->n, 2);
    assert_false(api_fields_text(&f, "nothing", 1, 3, &text));
    assert_false(api_fields_text(&f, "missing", 1, 3, &text));
    assert_null(api_fields_object(&f, "missing").object);
    api_fields_finish(&f);
    assert_int_equal(r.problem.n_faults, 0);
    json_tree_destroy(r.tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_types),
        cmocka_unit_test(documents),
        cmocka_unit_test(all_mistakes_are_told),
        cmocka_unit_test(good_values_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
