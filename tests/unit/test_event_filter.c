/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_event_filter.c - filters become jsonpath, mistakes are pointed at, and nothing
 * that a client writes becomes syntax. What the paths select is tested on PostgreSQL.
 *
 * `test_event_filter FILTER` prints the path of one filter, for that test.
 */
#include "api/event_filter.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Compiles `text`; the caller ends *out. */
static void compile(const char *text, struct buf *out, struct api_problem *problem)
{
    struct json_tree *tree = NULL;
    struct json_fault fault;

    *out = buf_make(1 << 20);
    *problem = (struct api_problem){.code = NULL};
    assert_int_equal(json_tree_parse(text, strlen(text), &tree, &fault), 0);
    struct api_fields f = api_fields_of(json_tree_root(tree), problem);
    event_filter_compile(&f, json_tree_root(tree), out);
    json_tree_destroy(tree);
}

static void filters_become_paths(void **state)
{
    static const struct {
        const char *filter, *path;
    } cases[] = {
        {"{\"type\":\"a\"}", "(exists($.\"type\" ? (@ == \"a\")))"},
        {"{\"payload.x.y\":{\"$gte\":1.50,\"$lt\":-2e3}}",
         "(exists($.\"payload\".\"x\".\"y\" ? (@ >= 1.50)) && "
         "exists($.\"payload\".\"x\".\"y\" ? (@ < -2e3)))"},
        {"{\"payload\":{\"$exists\":true},\"version\":{\"$ne\":1}}",
         "(exists($.\"payload\") && !exists($.\"version\" ? (@ == 1)))"},
        {"{\"headers.a\":{\"$in\":[1,null,true,\"x\"]}}",
         "(exists($.\"headers\".\"a\" ? (@ == 1 || @ == null || @ == true || @ == "
         "\"x\")))"},
        {"{\"type\":{\"$nin\":[\"a\"]}}", "(!exists($.\"type\" ? (@ == \"a\")))"},
        {"{\"type\":{\"$prefix\":\"order.\"}}",
         "(exists($.\"type\" ? (@ starts with \"order.\")))"},
        {"{\"$or\":[{\"type\":\"a\"},{\"$not\":{\"type\":\"b\"}}],\"$and\":[{\"type\":"
         "\"c\"}]}",
         "(((exists($.\"type\" ? (@ == \"a\"))) || (!(exists($.\"type\" ? (@ == "
         "\"b\"))))) && ((exists($.\"type\" ? (@ == \"c\")))))"},
        /* attempts to break out */
        {"{\"type\":\"\\\") || exists($ ? (@ == \\\"\"}",
         "(exists($.\"type\" ? (@ == \"\\\") || exists($ ? (@ == \\\"\")))"},
        {"{\"payload.\\\") || true || exists($.\\\"a\":1}",
         "(exists($.\"payload\".\"\\\") || true || exists($\".\"\\\"a\" ? (@ == 1)))"},
        {"{\"type\":\"\\\\\"}", "(exists($.\"type\" ? (@ == \"\\\\\")))"},
        {"{\"type\":\"a\\n'; DROP TABLE outbox.event; --\"}",
         "(exists($.\"type\" ? (@ == \"a\\n'; DROP TABLE outbox.event; --\")))"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct api_problem problem;
        struct buf out;

        compile(cases[i].filter, &out, &problem);
        assert_int_equal(problem.n_faults, 0);
        assert_string_equal(buf_text(&out), cases[i].path);
        buf_done(&out);
    }
}

static void mistakes_are_pointed_at(void **state)
{
    static const struct {
        const char *filter, *pointer;
    } cases[] = {
        {"{}", ""},
        {"[]", ""},
        {"\"type\"", ""},
        {"{\"nothing\":1}", "/nothing"},
        {"{\"typex\":1}", "/typex"},
        {"{\"type.x\":1}", "/type.x"},
        {"{\"occurredAt\":1}", "/occurredAt"},
        {"{\"payload.\":1}", "/payload."},
        {"{\"payload..x\":1}", "/payload..x"},
        {"{\"payload.1.2.3.4.5.6.7.8.9.10\":1}", "/payload.1.2.3.4.5.6.7.8.9.10"},
        {"{\"type\":{}}", "/type"},
        {"{\"type\":[1]}", "/type"},
        {"{\"type\":{\"$regex\":\"x\"}}", "/type/$regex"},
        {"{\"type\":{\"eq\":\"x\"}}", "/type/eq"},
        {"{\"type\":{\"$eq\":{}}}", "/type/$eq"},
        {"{\"type\":{\"$in\":[]}}", "/type/$in"},
        {"{\"type\":{\"$in\":\"x\"}}", "/type/$in"},
        {"{\"type\":{\"$in\":[1,[2]]}}", "/type/$in/1"},
        {"{\"type\":{\"$gt\":null}}", "/type/$gt"},
        {"{\"type\":{\"$lte\":true}}", "/type/$lte"},
        {"{\"type\":{\"$prefix\":1}}", "/type/$prefix"},
        {"{\"type\":{\"$exists\":1}}", "/type/$exists"},
        {"{\"version\":1e101}", "/version"},
        {"{\"version\":{\"$lt\":1e-99999999999999999999}}", "/version/$lt"},
        {"{\"$or\":[]}", "/$or"},
        {"{\"$or\":{}}", "/$or"},
        {"{\"$or\":[{\"type\":\"a\"},{}]}", "/$or/1"},
        {"{\"$not\":[]}", "/$not"},
        {"{\"$where\":\"x\"}", "/$where"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct api_problem problem;
        struct buf out;

        compile(cases[i].filter, &out, &problem);
        if (problem.n_faults != 1 ||
            strcmp(problem.faults[0].pointer, cases[i].pointer) != 0) {
            fail_msg("%s: %zu faults, \"%s\"", cases[i].filter, problem.n_faults,
                     problem.faults[0].pointer);
        }
        assert_string_equal(problem.faults[0].code, "invalid-filter");
        buf_done(&out);
    }
}

static void all_mistakes_are_told(void **state)
{
    struct api_problem problem;
    struct buf out;

    (void)state;
    compile("{\"a\":1,\"type\":{\"$x\":1,\"$gt\":true},\"$or\":[{\"b\":1}]}", &out,
            &problem);
    assert_int_equal(problem.n_faults, 4);
    buf_done(&out);
}

static void filters_are_bounded(void **state)
{
    struct api_problem problem;
    struct buf text = buf_make(1 << 20);
    struct buf out;

    (void)state;
    buf_puts(&text, "{\"type\":{\"$in\":[1");
    for (int i = 0; i < EVENT_FILTER_MAX_TERMS; i++) {
        buf_puts(&text, ",1");
    }
    buf_puts(&text, "]}}");
    compile(buf_text(&text), &out, &problem);
    assert_int_equal(problem.n_faults, 1);
    buf_done(&out);

    buf_reset(&text);
    for (int i = 0; i < EVENT_FILTER_MAX_DEPTH; i++) {
        buf_puts(&text, "{\"$not\":");
    }
    buf_puts(&text, "{\"type\":1}");
    for (int i = 0; i < EVENT_FILTER_MAX_DEPTH; i++) {
        buf_putc(&text, '}');
    }
    compile(buf_text(&text), &out, &problem);
    assert_int_equal(problem.n_faults, 1);
    buf_done(&out);

    buf_reset(&text);
    buf_puts(&text, "{\"type\":{\"$in\":[\"\"");
    for (int i = 0; i < 20; i++) {
        buf_printf(&text, ",\"%01000d\"", i);
    }
    buf_puts(&text, "]}}");
    compile(buf_text(&text), &out, &problem);
    assert_int_equal(problem.n_faults, 1);
    buf_done(&out);
    buf_done(&text);
}

static int print_path(const char *filter)
{
    struct api_problem problem;
    struct buf out;

    compile(filter, &out, &problem);
    (void)puts(problem.n_faults == 0 ? buf_text(&out) : problem.faults[0].detail);
    buf_done(&out);
    return problem.n_faults == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_become_paths),
        cmocka_unit_test(mistakes_are_pointed_at),
        cmocka_unit_test(all_mistakes_are_told),
        cmocka_unit_test(filters_are_bounded),
    };

    return argc == 2 ? print_path(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
