/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_yaml_reader.c - the accepted part of YAML, and the exact words and place
 * of every refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/yaml_reader.h"

#include <string.h>

struct fixture {
    struct arena arena;
    struct problems problems;
    struct buf out;
    struct yaml_node *root;
};

static void read_n(struct fixture *f, const char *text, size_t len)
{
    f->arena = (struct arena){0};
    f->problems = problems_make("f");
    f->out = buf_make(1 << 20);
    f->root = yaml_read(text, len, &f->arena, &f->problems);
    problems_print(&f->problems, &f->out);
}

static void end(struct fixture *f)
{
    problems_done(&f->problems);
    buf_done(&f->out);
    arena_done(&f->arena);
}

static void assert_problems(const char *text, const char *expected)
{
    struct fixture f;

    read_n(&f, text, strlen(text));
    assert_string_equal(buf_text(&f.out), expected);
    end(&f);
}

static void test_tree_has_places_and_paths(void **state)
{
    static const char text[] = "a: 1\nb:\n  - x\n  - c: \"010\"\n    d:\n";
    struct fixture f;
    (void)state;

    read_n(&f, text, strlen(text));
    assert_string_equal(buf_text(&f.out), "");
    assert_int_equal(f.root->kind, YAML_MAP);
    assert_string_equal(yaml_node_find(f.root, "a")->text, "1");

    const struct yaml_node *list = yaml_node_find(f.root, "b");
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->n_children, 2);
    const struct yaml_node *c = yaml_node_find(list->children->next, "c");
    assert_string_equal(c->text, "010");
    assert_true(c->quoted);
    assert_int_equal(c->key_at.line, 4);
    assert_int_equal(c->key_at.column, 5);
    assert_int_equal(c->at.line, 4);
    assert_int_equal(c->at.column, 8);
    assert_true(yaml_node_is_empty(c->next));

    struct buf path = buf_make(100);
    yaml_node_path(c, &path);
    assert_string_equal(buf_text(&path), "b[1].c");
    buf_done(&path);
    end(&f);
}

static void test_words_are_only_text(void **state)
{
    static const char *const words[] = {"no",   "010",  "1e3", "~",
                                        "null", "0x1F", "1:30"};
    (void)state;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct fixture f;
        read_n(&f, words[i], strlen(words[i]));
        assert_string_equal(f.root->text, words[i]);
        end(&f);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text, *problems;
    } cases[] = {
        {"", "f:1:1: yaml: the file is empty\n"},
        {"# only a comment\n", "f:1:1: yaml: the file is empty\n"},
        {"a: 1\nb: 2\na: 3\n", "f:3:1: a: key is already set on line 1\n"},
        {"x:\n  k: 1\n  k: 2\n", "f:3:3: x.k: key is already set on line 2\n"},
        {"a: &n 1\n", "f:1:4: a: anchors (&name) are not supported\n"},
        {"a: &n 1\nb: *n\n", "f:1:4: a: anchors (&name) are not supported\n"
                             "f:2:4: b: aliases (*name) are not supported\n"},
        {"a: &x [*x]\n", "f:1:4: a: anchors (&name) are not supported\n"
                         "f:1:8: a[0]: aliases (*name) are not supported\n"},
        {"a: !!int 1\n", "f:1:4: a: tags (!name) are not supported\n"},
        {"a: !x {b: 1}\n", "f:1:4: a: tags (!name) are not supported\n"},
        {"&k a: 1\n", "f:1:1: yaml: anchors (&name) are not supported\n"},
        {"a: 1\n---\nb: 2\n", "f:3:1: yaml: a second document is not supported\n"},
        {"? [a]\n: 1\n", "f:1:3: yaml: a key must be plain text\n"},
        {"a: \"x\\0y\"\n", "f:1:4: a: text must not contain a NUL character\n"},
        {"a:\n\tb: 1\n",
         "f:2:1: yaml: found character that cannot start any token while scanning for "
         "the next token\n"},
        {"a: [1, 2\n",
         "f:2:1: yaml: did not find expected ',' or ']' while parsing a flow "
         "sequence\n"},
        {"a: 1\nb: \xff\n", "f:2:4: yaml: invalid leading UTF-8 octet\n"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_problems(cases[i].text, cases[i].problems);
    }
}

static void test_depth_is_limited(void **state)
{
    char text[200001];
    struct fixture f;
    (void)state;

    memset(text, '[', YAML_READER_MAX_DEPTH);
    memset(text + YAML_READER_MAX_DEPTH, ']', YAML_READER_MAX_DEPTH);
    read_n(&f, text, 2 * (size_t)YAML_READER_MAX_DEPTH);
    assert_string_equal(buf_text(&f.out), "");
    end(&f);

    memset(text, '[', sizeof(text));
    read_n(&f, text, sizeof(text));
    assert_null(f.root);
    assert_non_null(strstr(buf_text(&f.out), "nested deeper than 32 levels\n"));
    end(&f);
}

static void fill_lines(struct buf *text, const char *fmt_start, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        buf_printf(text, "%s%u:\n", fmt_start, i);
    }
}

static void test_size_is_limited(void **state)
{
    struct buf text = buf_make(1 << 20);
    struct fixture f;
    (void)state;

    fill_lines(&text, "k", YAML_READER_MAX_KEYS + 1);
    read_n(&f, buf_text(&text), text.len);
    assert_string_equal(buf_text(&f.out),
                        "f:1001:1: yaml: a mapping has more than 1000 keys\n");
    end(&f);

    buf_reset(&text);
    fill_lines(&text, "- k", YAML_READER_MAX_NODES);
    read_n(&f, buf_text(&text), text.len);
    assert_string_equal(buf_text(&f.out),
                        "f:10000:3: yaml: the file has more than 20000 values\n");
    end(&f);
    buf_done(&text);
}

static void test_many_problems_are_counted(void **state)
{
    struct buf text = buf_make(1 << 20);
    struct fixture f;
    (void)state;

    for (int i = 0; i < PROBLEMS_MAX + 7; i++) {
        buf_puts(&text, "- !t x\n");
    }
    read_n(&f, buf_text(&text), text.len);
    assert_int_equal(f.problems.n_errors, PROBLEMS_MAX + 7);
    assert_non_null(strstr(buf_text(&f.out), "f: and 7 more\n"));
    end(&f);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_has_places_and_paths),
        cmocka_unit_test(test_words_are_only_text),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_size_is_limited),
        cmocka_unit_test(test_many_problems_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
