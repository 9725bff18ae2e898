/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli_args.c - the forms people write options in, and the texts they get
 * for a wrong one.
 */
#include "cli/cli_args.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct cli_flag flags[] = {
    {"config", 'c', "FILE", "a file"},
    {"secret-file", 0, "FILE", "a file"},
    {"json", 0, NULL, "a switch"},
    {"dry-run", 'n', NULL, "a switch"},
};
#define N_FLAGS (sizeof(flags) / sizeof(flags[0]))

#define MAX_WORDS 100

/* argv of a command line: words separated by spaces. */
struct words {
    char text[2048];
    char *argv[MAX_WORDS + 1];
    int argc;
};

static void split(struct words *w, const char *line)
{
    char *rest = w->text;

    assert_true(strlen(line) < sizeof(w->text));
    memcpy(w->text, line, strlen(line) + 1);
    for (w->argc = 0; rest != NULL && w->argc < MAX_WORDS; w->argc++) {
        w->argv[w->argc] = strsep(&rest, " ");
    }
    w->argv[w->argc] = NULL;
}

static int parse(struct words *w, const char *line, struct cli_args *args,
                 struct rider_error *err)
{
    split(w, line);
    return cli_args_parse(flags, N_FLAGS, w->argc, w->argv, args, err);
}

static void all_forms_are_understood(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "check --config x.yaml --json op", "check --config=x.yaml --json op",
        "check -c x.yaml op --json",       "check -cx.yaml --json -- op",
        "check op --json -c x.yaml",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct words w;
        struct cli_args args;
        struct rider_error err;

        assert_int_equal(parse(&w, lines[i], &args, &err), 0);
        assert_string_equal(cli_arg(&args, "config"), "x.yaml");
        assert_true(cli_given(&args, "json"));
        assert_false(cli_given(&args, "dry-run"));
        assert_null(cli_arg(&args, "secret-file"));
        assert_false(args.help);
        assert_int_equal(args.n_operands, 1);
        assert_string_equal(args.operands[0], "op");
    }
}

static void a_flag_may_be_repeated(void **state)
{
    (void)state;
    struct words w;
    struct cli_args args;
    struct rider_error err;
    size_t at = 0;

    assert_int_equal(
        parse(&w, "x --secret-file a -n --secret-file=b --secret-file c", &args, &err),
        0);
    assert_string_equal(cli_arg(&args, "secret-file"), "c");
    assert_string_equal(cli_arg_next(&args, "secret-file", &at), "a");
    assert_string_equal(cli_arg_next(&args, "secret-file", &at), "b");
    assert_string_equal(cli_arg_next(&args, "secret-file", &at), "c");
    assert_null(cli_arg_next(&args, "secret-file", &at));
}

static void help_is_always_known(void **state)
{
    (void)state;
    struct words w;
    struct cli_args args;
    struct rider_error err;

    assert_int_equal(parse(&w, "x -h", &args, &err), 0);
    assert_true(args.help);
    assert_int_equal(parse(&w, "x --json --help", &args, &err), 0);
    assert_true(args.help);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"x --nothing", "\"--nothing\" is not an option here"},
        {"x --nothing=1", "\"--nothing\" is not an option here, or takes no value"},
        {"x -q", "\"-q\" is not an option here"},
        {"x -nq", "\"-q\" is not an option here"},
        {"x --config", "\"--config\" needs a value"},
        {"x -c", "\"-c\" needs a value"},
        {"x --json=yes", "\"--json\" is not an option here, or takes no value"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct words w;
        struct cli_args args;
        struct rider_error err = {.text = ""};

        assert_int_equal(parse(&w, cases[i].line, &args, &err), RIDER_E_CONFIG);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void the_number_of_options_is_bounded(void **state)
{
    (void)state;
    struct words w;
    struct cli_args args;
    struct rider_error err;
    char line[1024] = "x";

    for (int i = 0; i <= CLI_MAX_GIVEN; i++) {
        memcpy(line + 1 + (size_t)i * 3, " -n", 4);
    }
    assert_int_equal(parse(&w, line, &args, &err), RIDER_E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_are_understood),
        cmocka_unit_test(a_flag_may_be_repeated),
        cmocka_unit_test(help_is_always_known),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_number_of_options_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
