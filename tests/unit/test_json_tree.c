/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json_tree.c - JSON read strictly, mistakes found where they are, merge patches.
 */
#include "base/json_tree.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json_tree *parse(const char *text)
{
    struct json_tree *tree = NULL;
    struct json_fault fault;

    if (json_tree_parse(text, strlen(text), &tree, &fault) != 0) {
        fail_msg("%s: %s at \"%s\": %s", text, fault.code, fault.pointer, fault.detail);
    }
    return tree;
}

static void expect_written(const struct json_tree *tree, const char *text)
{
    struct buf out = buf_make(1 << 20);
    struct json_writer w = jw_begin(&out);

    json_node_write(json_tree_root(tree), &w, NULL);
    assert_string_equal(buf_text(&out), text);
    buf_done(&out);
}

static void values_survive(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"-0.10e+2", "-0.10e+2"},
        {"123456789012345678901234567890.5", "123456789012345678901234567890.5"},
        {"\"a\\u00e9\\ud83d\\ude00\\/\"", "\"a\xc3\xa9\xf0\x9f\x98\x80/\""},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"{\"a\" : [1 , {\"b\":\"\"}],\n\"c\":false}",
         "{\"a\":[1,{\"b\":\"\"}],\"c\":false}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_tree *tree = parse(cases[i].in);

        expect_written(tree, cases[i].out);
        json_tree_destroy(tree);
    }
}

static void mistakes_are_pointed_at(void **state)
{
    static const struct {
        const char *text, *code, *pointer;
    } cases[] = {
        {"", "invalid-json", ""},
        {"{", "invalid-json", ""},
        {"nul", "invalid-json", ""},
        {"NaN", "invalid-json", ""},
        {"{} {}", "invalid-json", ""},
        {"{\"a\":1,}", "invalid-json", ""},
        {"{\"a\":01}", "invalid-json", ""},
        {"{\"a\":+1}", "invalid-json", "/a"},
        {"{\"a\":1.}", "invalid-json", "/a"},
        {"{\"a\":-}", "invalid-json", "/a"},
        {"{\"a\":[1,2,x]}", "invalid-json", "/a/2"},
        {"{\"a\":'b'}", "invalid-json", "/a"},
        {"{\"a\":\"\\x\"}", "invalid-json", "/a"},
        {"{\"a\":\"\\u12\"}", "invalid-json", "/a"},
        {"{\"a\":\"\\u0000\"}", "invalid-json", "/a"},
        {"{\"a\":\"\\ud800\"}", "invalid-json", "/a"},
        {"{\"a\":\"\\udc00\\ud800\"}", "invalid-json", "/a"},
        {"{\"a\":\"\t\"}", "invalid-json", "/a"},
        {"{\"a\":\"b}", "invalid-json", "/a"},
        {"{\"a\":{\"b/c~\":\"\xff\"}}", "invalid-utf8", "/a/b~1c~0"},
        {"{\"a\":\"\xc0\xaf\"}", "invalid-utf8", "/a"},
        {"{\"a\":{\"b\":1,\"c\":2,\"b\":3}}", "duplicate-key", "/a/b"},
        {"{\"a\":1,\"\\u0061\":2}", "duplicate-key", "/a"},
        {"[{\"x\":1},{\"x\":1,\"x\":2}]", "duplicate-key", "/1/x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_tree *tree = NULL;
        struct json_fault fault;

        if (json_tree_parse(cases[i].text, strlen(cases[i].text), &tree, &fault) !=
            RIDER_E_CONFIG) {
            fail_msg("accepted: %s", cases[i].text);
        }
        assert_non_null(fault.detail);
        if (strcmp(fault.code, cases[i].code) != 0 ||
            strcmp(fault.pointer, cases[i].pointer) != 0) {
            fail_msg("%s: %s at \"%s\"", cases[i].text, fault.code, fault.pointer);
        }
    }
}

/* `text` n times; the caller frees it. */
static char *repeat(const char *text, size_t n)
{
    struct buf out = buf_make(1 << 24);

    for (size_t i = 0; i < n; i++) {
        buf_puts(&out, text);
    }
    char *repeated = buf_steal(&out);
    assert_non_null(repeated);
    return repeated;
}

static void bombs_are_refused(void **state)
{
    struct json_tree *tree = NULL;
    struct json_fault fault;
    char *deep = repeat("[", 500000);
    char *wide = repeat("[],", JSON_TREE_MAX_VALUES + 10);

    (void)state;
    assert_int_equal(json_tree_parse(deep, strlen(deep), &tree, &fault),
                     RIDER_E_CONFIG);
    assert_string_equal(fault.code, "too-deep");
    assert_int_equal(strlen(fault.pointer), 2 * JSON_TREE_MAX_DEPTH);
    wide[0] = '[';
    wide[1] = '1';
    wide[2] = ',';
    assert_int_equal(json_tree_parse(wide, strlen(wide), &tree, &fault),
                     RIDER_E_CONFIG);
    assert_string_equal(fault.code, "too-many-values");
    free(wide);
    free(deep);
    deep = repeat("[", JSON_TREE_MAX_DEPTH);
    char *close = repeat("]", JSON_TREE_MAX_DEPTH);
    char both[2 * JSON_TREE_MAX_DEPTH + 1];
    memcpy(both, deep, JSON_TREE_MAX_DEPTH);
    memcpy(both + JSON_TREE_MAX_DEPTH, close, JSON_TREE_MAX_DEPTH + 1);
    json_tree_destroy(parse(both));
    free(close);
    free(deep);
}

static void members_are_found(void **state)
{
    struct json_tree *tree = parse("{\"a\":{\"b\": [1, \"x\"]},\"t\":\"y\"}");
    const struct json_node *a = json_node_member(json_tree_root(tree), "a");
    const struct json_node *b = json_node_member(a, "b");
    char pointer[JSON_POINTER_SIZE];

    (void)state;
    assert_non_null(b);
    assert_int_equal(b->n, 2);
    assert_int_equal(b->raw_len, 8);
    assert_memory_equal(b->raw, "[1, \"x\"]", 8);
    assert_string_equal(b->first->next->text, "x");
    json_node_pointer(b->first->next, pointer);
    assert_string_equal(pointer, "/a/b/1");
    assert_null(json_node_member(a, "c"));
    assert_null(json_node_member(b, "c"));
    assert_null(json_node_member(NULL, "c"));
    json_tree_destroy(tree);
}

/* The cases of RFC 7396, appendix A, whose target and patch are objects, and more. */
static void patches_are_merged(void **state)
{
    static const struct {
        const char *target, *patch, *result;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
         "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":{\"x\":null,\"y\":1},\"a\":null,\"d\":4}",
         "{\"b\":2,\"c\":{\"y\":1},\"d\":4}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_tree *target = parse(cases[i].target);
        struct json_tree *patch = parse(cases[i].patch);

        json_node_merge(json_tree_root(target), json_tree_root(patch));
        expect_written(target, cases[i].result);
        json_tree_destroy(target);
        json_tree_destroy(patch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_survive),     cmocka_unit_test(mistakes_are_pointed_at),
        cmocka_unit_test(bombs_are_refused),  cmocka_unit_test(members_are_found),
        cmocka_unit_test(patches_are_merged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
