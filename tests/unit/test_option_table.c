/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_option_table.c - values, defaults and every refusal of a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/env_expand.h"
#include "config/nearest.h"
#include "config/option_table.h"
#include "config/option_value.h"
#include "config/yaml_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sample {
    const char *text, *password, *topic;
    int64_t count;
    bool flag;
    uint64_t wait, size;
    uint32_t mode;
    struct rider_properties rest;
};

static const char *const modes[] = {"fast", "safe", NULL};

#define ROW(m, T) RIDER_FIELD(struct sample, m, T)
static const struct rider_option rows[] = {
    {.name = "text", .type = RIDER_STRING, .offset = ROW(text, const char *)},
    {.name = "password",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = ROW(password, const char *)},
    {.name = "topic",
     .type = RIDER_TEMPLATE,
     .flags = RIDER_OPT_REQUIRED,
     .offset = ROW(topic, const char *)},
    {.name = "count",
     .type = RIDER_INT,
     .offset = ROW(count, int64_t),
     .default_value = "7",
     .min = -5,
     .max = 100},
    {.name = "flag",
     .type = RIDER_BOOL,
     .offset = ROW(flag, bool),
     .default_value = "true"},
    {.name = "wait",
     .type = RIDER_MS,
     .offset = ROW(wait, uint64_t),
     .default_value = "2s",
     .min = 10,
     .max = 90000},
    {.name = "size",
     .type = RIDER_SIZE,
     .offset = ROW(size, uint64_t),
     .default_value = "64KB",
     .min = 1024,
     .max = 16 << 20},
    {.name = "mode",
     .type = RIDER_ENUM,
     .offset = ROW(mode, uint32_t),
     .default_value = "safe",
     .choices = modes},
    {0},
};
static const struct rider_option open_rows[] = {
    {.name = "topic", .type = RIDER_STRING, .offset = ROW(topic, const char *)},
    {.name = "password",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = ROW(password, const char *)},
    {.name = "*",
     .type = RIDER_PROPERTIES,
     .offset = ROW(rest, struct rider_properties)},
    {0},
};

static const struct option_table closed = {rows, sizeof(rows[0]), sizeof(struct sample),
                                           NULL};
static const struct option_table open_table = {open_rows, sizeof(open_rows[0]),
                                               sizeof(struct sample), NULL};

struct fixture {
    struct arena arena;
    struct problems problems;
    struct buf out;
    struct sample sample;
};

static void apply(struct fixture *f, const struct option_table *t, const char *text,
                  bool exposed)
{
    *f = (struct fixture){.problems = problems_make("f"), .out = buf_make(1 << 16)};
    struct option_scope scope = {&f->arena, &f->problems, exposed};
    struct yaml_node *root = yaml_read(text, strlen(text), &f->arena, &f->problems);

    assert_non_null(root);
    env_expand_tree(root, &f->arena, &f->problems);
    option_table_apply(t, root, &scope, &f->sample);
    problems_print(&f->problems, &f->out);
}

static void end(struct fixture *f)
{
    problems_done(&f->problems);
    buf_done(&f->out);
    arena_done(&f->arena);
}

static void test_values_and_defaults(void **state)
{
    struct fixture f;
    (void)state;

    apply(&f, &closed, "topic: \"e.{type}\"\n", false);
    assert_string_equal(buf_text(&f.out), "");
    assert_null(f.sample.text);
    assert_int_equal(f.sample.count, 7);
    assert_true(f.sample.flag);
    assert_int_equal(f.sample.wait, 2000);
    assert_int_equal(f.sample.size, 65536);
    assert_int_equal(f.sample.mode, 1);
    end(&f);

    apply(&f, &closed,
          "{text: \"\", topic: a, count: '-5', flag: \"false\", wait: 90s, size: 1MB, "
          "mode: fast, password: x}",
          false);
    assert_string_equal(buf_text(&f.out), "");
    assert_string_equal(f.sample.text, "");
    assert_int_equal(f.sample.count, -5);
    assert_false(f.sample.flag);
    assert_int_equal(f.sample.wait, 90000);
    assert_int_equal(f.sample.size, 1 << 20);
    assert_int_equal(f.sample.mode, 0);
    assert_string_equal(f.sample.password, "x");
    end(&f);
}

static const struct {
    const char *text, *problems;
} refusals[] = {
    {"text: a\n", "f:1:1: topic: is required and not set\n"},
    {"- a\n", "f:1:1: top level: expected a mapping, got a list\n"},
    {"a\n", "f:1:1: top level: expected a mapping, got text\n"},
    {"topic: a\ncuont: 1\n",
     "f:2:1: cuont: unrecognized key; did you mean \"count\"?\n"},
    {"topic: a\nsomething: 1\n", "f:2:1: something: unrecognized key\n"},
    {"topic: a\ntopic_file: /x\n",
     "f:2:1: topic_file: unrecognized key\n"}, /* only secrets have a twin */
    {"topic: a\ncount: 1e3\n",
     "f:2:8: count: expected a decimal integer, got \"1e3\"\n"},
    {"topic: a\ncount: 0x1\n",
     "f:2:8: count: expected a decimal integer, got \"0x1\"\n"},
    {"topic: a\ncount: 101\n", "f:2:8: count: must be between -5 and 100, got 101\n"},
    {"topic: a\ncount: 99999999999999999999\n",
     "f:2:8: count: expected a decimal integer, got \"99999999999999999999\"\n"},
    {"topic: a\nflag: yes\n", "f:2:7: flag: expected true or false, got \"yes\"\n"},
    {"topic: a\nflag: TRUE\n", "f:2:7: flag: expected true or false, got \"TRUE\"\n"},
    {"topic: a\nwait: 5\n",
     "f:2:7: wait: expected a duration such as 250ms, 5s, 2m, 1h or 7d, got \"5\"\n"},
    {"topic: a\nwait: 2m\n", "f:2:7: wait: must be between 10ms and 90s, got 2m\n"},
    {"topic: a\nwait: 0\n", "f:2:7: wait: must be between 10ms and 90s, got 0\n"},
    {"topic: a\nsize: 1TB\n",
     "f:2:7: size: expected a size such as 512, 64KB, 16MB or 1GB, got \"1TB\"\n"},
    {"topic: a\nsize: 1\n", "f:2:7: size: must be between 1KB and 16MB, got 1\n"},
    {"topic: a\nmode: quick\n",
     "f:2:7: mode: expected one of fast, safe, got \"quick\"\n"},
    {"topic: a\ncount:\n", "f:2:7: count: has no value\n"},
    {"topic: a\ncount: ''\n", "f:2:8: count: expected a decimal integer, got \"\"\n"},
    {"topic: a\nmode: ''\n", "f:2:7: mode: expected one of fast, safe, got \"\"\n"},
    {"topic: ${T_UNSET:-}\n", "f:1:8: topic: must not be empty\n"},
    {"topic: a\ncount: [1]\n", "f:2:8: count: expected a single value, got a list\n"},
    {"topic: a\ncount: {x: 1}\n",
     "f:2:8: count: expected a single value, got a mapping\n"},
    {"topic: a\ncount: ${T_UNSET}\n",
     "f:2:8: count: environment variable \"T_UNSET\" is not set\n"},
    {"topic: a\ncount: !!int 1\n", "f:2:8: count: tags (!name) are not supported\n"},
    {"topic: \"a.{typ}\"\n",
     "f:1:8: topic: unrecognized field \"{typ}\"; did you mean \"{type}\"?\n"},
    {"topic: \"a.{whatever}\"\n",
     "f:1:8: topic: unrecognized field \"{whatever}\"; the fields are {type}, "
     "{aggregateType}, {aggregateId}, {eventId}, {version}\n"},
    {"topic: \"a.{type\"\n",
     "f:1:8: topic: \"{\" without \"}\" (write \"{{\" for a single brace)\n"},
    {"topic: \"a}\"\n",
     "f:1:8: topic: \"}\" without \"{\" (write \"}}\" for a single brace)\n"},
    {"topic: a\npassword: x\npassword_file: /y\n",
     "f:3:1: password_file: \"password\" is set as well; keep one\n"},
    {"topic: a\npassword_file: y\n",
     "f:2:16: password_file: expected an absolute path, got \"y\"\n"},
    {"topic: a\npassword_file: /no/such\n",
     "f:2:16: password_file: could not open file \"/no/such\": No such file or "
     "directory\n"},
    {"count: x\nflag: y\nzzzzzz: 1\n",
     "f:1:1: topic: is required and not set\n"
     "f:1:8: count: expected a decimal integer, got \"x\"\n"
     "f:2:7: flag: expected true or false, got \"y\"\n"
     "f:3:1: zzzzzz: unrecognized key\n"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct fixture f;
        apply(&f, &closed, refusals[i].text, false);
        assert_string_equal(buf_text(&f.out), refusals[i].problems);
        end(&f);
    }
}

static void test_templates(void **state)
{
    static const char *const good[] = {
        "plain", "{type}",           "{aggregateType}.{aggregateId}-{eventId}{version}",
        "{{}}",  "a{{type}}{type}b", "{{{type}}}",
    };
    static const struct rider_option row = {.name = "t", .type = RIDER_TEMPLATE};
    struct arena arena = {0};
    (void)state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *text = NULL;
        struct rider_error err = {0};
        assert_int_equal(option_value_parse(&row, good[i], &arena, &text, &err), 0);
        assert_string_equal(text, good[i]);
    }
    arena_done(&arena);
}

static void test_secret_from_file(void **state)
{
    char path[] = "/tmp/postrider-opt-XXXXXX";
    char text[100];
    struct fixture f;
    (void)state;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "pa$s\n", 5), 5);
    assert_int_equal(close(fd), 0);
    (void)snprintf(text, sizeof(text), "{topic: a, password_file: %s}", path);
    apply(&f, &closed, text, true);
    assert_string_equal(buf_text(&f.out), "");
    assert_string_equal(f.sample.password, "pa$s");
    end(&f);
    assert_int_equal(unlink(path), 0);
}

#define EXPOSED(column)                                                            \
    "f:1:" column ": password: warning: a secret in a file that others can read; " \
    "use \"${NAME}\", \"password_file\" or a file of mode 0600\n"

static void test_exposed_secrets(void **state)
{
    static const struct {
        const char *text, *problems;
    } cases[] = {
        {"{password: hunter2, topic: a}", EXPOSED("12")},
        {"{password: \"amqp://u:p@host\", topic: a}", EXPOSED("12")},
        {"{password: \"host=db password=x\", topic: a}", EXPOSED("12")},
        {"{password: \"amqp://host:5672/v\", topic: a}", ""},
        {"{password: \"host=db dbname=x\", topic: a}", ""},
        {"{password: \"${T_UNSET:-x}\", topic: a}", ""},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        apply(&f, &closed, cases[i].text, true);
        assert_string_equal(buf_text(&f.out), cases[i].problems);
        assert_int_equal(f.problems.n_errors, 0);
        end(&f);
        apply(&f, &closed, cases[i].text, false);
        assert_string_equal(buf_text(&f.out), "");
        end(&f);
    }
}

static void test_secret_is_not_shown(void **state)
{
    static const struct rider_option row = {
        .name = "pin", .type = RIDER_INT, .flags = RIDER_OPT_SECRET};
    struct arena arena = {0};
    int64_t pin = 0;
    struct rider_error err = {0};
    (void)state;

    assert_true(option_value_parse(&row, "12x4", &arena, &pin, &err) < 0);
    assert_string_equal(err.text, "expected integer (the value is secret)");
    arena_done(&arena);
}

static void test_properties(void **state)
{
    struct fixture f;
    (void)state;

    apply(&f, &open_table, "{b.c: 1, topic: t, password: p, a: \"x y\"}", false);
    assert_string_equal(buf_text(&f.out), "");
    assert_int_equal(f.sample.rest.n, 2);
    assert_string_equal(f.sample.rest.items[0].name, "b.c");
    assert_string_equal(f.sample.rest.items[0].value, "1");
    assert_string_equal(f.sample.rest.items[1].name, "a");
    assert_string_equal(f.sample.rest.items[1].value, "x y");
    end(&f);

    apply(&f, &open_table, "a: {b: 1}\nc:\n", false);
    assert_string_equal(buf_text(&f.out),
                        "f:1:4: a: expected a single value, got a mapping\n"
                        "f:2:3: c: has no value\n");
    end(&f);
}

/* A table of an older adapter has shorter rows; one of a broken adapter would
 * write beside its struct. */
static void test_foreign_tables(void **state)
{
    struct short_row {
        const char *name;
        uint32_t type, flags;
        size_t offset;
        const char *default_value;
    };
    static const struct short_row old[] = {
        {"topic", RIDER_STRING, 0, ROW(topic, const char *), "d"},
        {NULL, 0, 0, 0, NULL},
    };
    const struct option_table table = {(const struct rider_option *)(const void *)old,
                                       sizeof(old[0]), sizeof(struct sample), NULL};
    const struct option_table small = {rows, sizeof(rows[0]), sizeof(char *), NULL};
    struct fixture f;
    (void)state;

    apply(&f, &table, "{}", false);
    assert_string_equal(buf_text(&f.out), "");
    assert_string_equal(f.sample.topic, "d");
    end(&f);

    apply(&f, &small, "{text: a}", false);
    assert_string_equal(f.sample.text, "a");
    assert_null(f.sample.topic);
    assert_int_equal(f.problems.n_errors, 7);
    assert_non_null(strstr(buf_text(&f.out),
                           "top level: the adapter's option table is broken at "
                           "\"password\"\n"));
    end(&f);
}

static void test_hash_follows_meaning(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{topic: a, count: 1}", "{count: '1', topic: \"a\"}", true},
        {"{topic: a}", "{topic: a, count: 7}", true}, /* its default */
        {"{topic: a}", "{topic: b}", false},
        {"{topic: a, text: ''}", "{topic: a}", false},
        {"{topic: a, password: x}", "{topic: a, password: y}", false},
        {"{topic: a, mode: fast}", "{topic: a, mode: safe}", false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture a, b;
        apply(&a, &closed, cases[i].a, false);
        apply(&b, &closed, cases[i].b, false);
        uint64_t x = option_table_hash(&closed, &a.sample, OPTION_TABLE_HASH_START);
        uint64_t y = option_table_hash(&closed, &b.sample, OPTION_TABLE_HASH_START);
        assert_int_equal(x == y, cases[i].equal);
        end(&a);
        end(&b);
    }
}

static void test_nearest(void **state)
{
    static const struct {
        const char *word, *best;
    } cases[] = {
        {"tpye", "type"}, {"types", "type"}, {"bootstrap.server", "bootstrap.servers"},
        {"ab", NULL},     {"xyz", NULL},     {"", NULL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nearest near = nearest_to(cases[i].word);
        nearest_offer(&near, "bootstrap.servers");
        nearest_offer(&near, "type");
        if (cases[i].best == NULL) {
            assert_null(near.best);
        } else {
            assert_string_equal(near.best, cases[i].best);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_secret_from_file),
        cmocka_unit_test(test_exposed_secrets),
        cmocka_unit_test(test_secret_is_not_shown),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_foreign_tables),
        cmocka_unit_test(test_hash_follows_meaning),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
