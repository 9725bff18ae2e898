/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_env_expand.c - what ${...} becomes, and how its mistakes are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/env_expand.h"
#include "config/yaml_reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_values(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"${T_SET}", "value"},
        {"a${T_SET}b${T_SET}", "avaluebvalue"},
        {"${T_EMPTY}", ""},
        {"${T_EMPTY:-other}", "other"},
        {"${T_UNSET:-}", ""},
        {"${T_UNSET:-host:5432/x?y=1}", "host:5432/x?y=1"},
        {"${T_SET:-other}", "value"},
        {"${T_SET:?say}", "value"},
        {"$$", "$"},
        {"$${T_SET}", "${T_SET}"},
        {"a$$b$$", "a$b$"},
        {"${T_DOLLAR}", "${T_SET}"}, /* not expanded again */
        {"${file:-fallback}", "fallback"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = buf_make(1000);
        struct rider_error err;
        assert_int_equal(env_expand(cases[i].text, &out, &err), 0);
        assert_string_equal(buf_text(&out), cases[i].expected);
        buf_done(&out);
    }
}

static void test_mistakes(void **state)
{
    static const char shapes[] =
        "expected ${NAME}, ${NAME:-text}, ${NAME:?message} or ${file:/path}";
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"${T_UNSET}", "environment variable \"T_UNSET\" is not set"},
        {"${T_UNSET:?set it}", "environment variable \"T_UNSET\": set it"},
        {"${T_EMPTY:?}", "environment variable \"T_EMPTY\": is not set"},
        {"${", "\"${\" without \"}\""},
        {"a ${T_SET", "\"${\" without \"}\""},
        {"${}", shapes},
        {"${1A}", shapes},
        {"${T_SET-x}", shapes},
        {"${T SET}", shapes},
        {"${A:-${B}}", "\"${...}\" cannot be nested"},
        {"pa$word", "a single \"$\" must be written \"$$\" (or \"${NAME}\")"},
        {"end$", "a single \"$\" must be written \"$$\" (or \"${NAME}\")"},
        {"${file:secret}", "expected an absolute path, got \"secret\""},
        {"${file:/no/such}",
         "could not open file \"/no/such\": No such file or directory"},
        {"${file:/dev/null}", "\"/dev/null\" is not a regular file"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = buf_make(1000);
        struct rider_error err = {0};
        assert_true(env_expand(cases[i].text, &out, &err) < 0);
        assert_string_equal(err.text, cases[i].expected);
        buf_done(&out);
    }
}

static void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(close(fd), 0);
}

static void test_files(void **state)
{
    char path[] = "/tmp/postrider-env-XXXXXX";
    char text[100];
    struct rider_error err;
    static const struct {
        const char *content;
        size_t len;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"secret\n", 7, "secret"},
        {"secret", 6, "secret"},
        {"a\n\n", 3, "a\n"},
        {"a\r\n", 3, "a"},
        {"pa$word\n", 8, "pa$word"},
        {"\n", 1, NULL},
        {"", 0, NULL},
        {"a\0b", 3, NULL},
    };
    (void)state;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(text, sizeof(text), "[${file:%s}]", path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = buf_make(1000);
        write_file(path, cases[i].content, cases[i].len);
        int rc = env_expand(text, &out, &err);
        assert_int_equal(rc == 0, cases[i].expected != NULL);
        if (rc == 0) {
            (void)snprintf(text, sizeof(text), "[%s]", cases[i].expected);
            assert_string_equal(buf_text(&out), text);
            (void)snprintf(text, sizeof(text), "[${file:%s}]", path);
        }
        buf_done(&out);
    }
    assert_int_equal(unlink(path), 0);
}

static void test_result_is_bounded(void **state)
{
    struct buf out = buf_make(3);
    struct rider_error err;
    (void)state;

    assert_int_equal(env_expand("${T_SET}", &out, &err), RIDER_E_NOMEM);
    buf_done(&out);
}

static void test_tree_is_expanded_after_parsing(void **state)
{
    static const char text[] = "${T_SET}: ${T_YAML}\nb: [x, \"${T_UNSET}\"]\n";
    struct arena arena = {0};
    struct problems problems = problems_make("f");
    struct buf out = buf_make(1000);
    (void)state;

    struct yaml_node *root = yaml_read(text, strlen(text), &arena, &problems);
    env_expand_tree(root, &arena, &problems);
    /* Keys stay as they are, and a value cannot become structure. */
    const struct yaml_node *node = yaml_node_find(root, "${T_SET}");
    assert_int_equal(node->kind, YAML_TEXT);
    assert_string_equal(node->text, "{x: 1}\ny: 2");
    assert_true(node->expanded);
    problems_print(&problems, &out);
    assert_string_equal(buf_text(&out),
                        "f:2:8: b[1]: environment variable \"T_UNSET\" is not set\n");
    problems_done(&problems);
    buf_done(&out);
    arena_done(&arena);
}

/* One thread only: nobody reads the environment meanwhile. */
static int set_variable(const char *name, const char *value)
{
    return value == NULL ? unsetenv(name)          /* NOLINT(concurrency-mt-unsafe) */
                         : setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe) */
}

static int set_variables(void **state)
{
    (void)state;
    return set_variable("T_SET", "value") | set_variable("T_EMPTY", "") |
           set_variable("T_DOLLAR", "${T_SET}") |
           set_variable("T_YAML", "{x: 1}\ny: 2") | set_variable("T_UNSET", NULL) |
           set_variable("file", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_result_is_bounded),
        cmocka_unit_test(test_tree_is_expanded_after_parsing),
    };

    return cmocka_run_group_tests(tests, set_variables, NULL);
}
