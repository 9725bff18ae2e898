/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli.c - commands are found, explained and refused; `run` gets its paths
 * and its failures become exit statuses.
 */
#include "cli/cli.h"
#include "cli/cli_exit.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_WORDS 10

static int cli(const struct cli_hooks *hooks, const char *line)
{
    static const struct cli_hooks none = {.run = NULL};
    char text[256];
    char *argv[MAX_WORDS + 1];
    char *rest = text;
    int argc = 0;

    assert_true(strlen(line) < sizeof(text));
    memcpy(text, line, strlen(line) + 1);
    while (rest != NULL && argc < MAX_WORDS) {
        argv[argc++] = strsep(&rest, " ");
    }
    argv[argc] = NULL;
    return cli_main(argc, argv, hooks == NULL ? &none : hooks);
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    static const char *const commands[] = {"run",     "check",  "migrate",
                                           "publish", "status", "adapters",
                                           "receive", "verify", "version"};

    assert_int_equal(cli(NULL, "postrider --help"), CLI_OK);
    assert_int_equal(cli(NULL, "postrider --version"), CLI_OK);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "postrider %s --help", commands[i]);
        assert_int_equal(cli(NULL, line), CLI_OK);
        (void)snprintf(line, sizeof(line), "postrider help %s", commands[i]);
        assert_int_equal(cli(NULL, line), CLI_OK);
    }
}

static void misuse_is_64(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "postrider",
        "postrider statsu",
        "postrider help statsu",
        "postrider version extra",
        "postrider version --nothing",
        "postrider check -c",
        "postrider verify",
        "postrider verify --secret-file x --request y --id z",
        "postrider verify --secret-file x --tolerance soon",
        "postrider receive",
        "postrider receive --no-verify --secret-file x",
        "postrider receive --no-verify --count 0",
        "postrider publish --type t",
        "postrider publish --lines x --type t",
        "postrider migrate --dry-run --json --dsn x",
        "postrider adapters a b",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (cli(NULL, lines[i]) != CLI_USAGE) {
            fail_msg("\"%s\" passes", lines[i]);
        }
    }
}

static void what_is_missing_has_its_own_status(void **state)
{
    (void)state;
    assert_int_equal(cli(NULL, "postrider check -c /nonexistent"), CLI_CONFIG);
    assert_int_equal(cli(NULL, "postrider status -c /nonexistent"), CLI_CONFIG);
    assert_int_equal(cli(NULL, "postrider run -c /nonexistent"), CLI_INTERNAL);
    assert_int_equal(cli(NULL, "postrider adapters --adapter-dir /nonexistent"),
                     CLI_IO);
    assert_int_equal(cli(NULL, "postrider receive -s /nonexistent"), CLI_IO);
    assert_int_equal(cli(NULL, "postrider status --dsn bogus"), CLI_CONFIG);
}

static int fake_run(const struct cli_run_paths *paths, struct rider_error *err)
{
    assert_string_equal(paths->config_path, "/dev/null");
    assert_non_null(paths->default_adapter_dir);
    if (paths->adapter_dir == NULL) {
        return 0;
    }
    return rider_fail(err, RIDER_E_PERMISSION, "no entry to \"%s\"",
                      paths->adapter_dir);
}

static void run_hands_over_and_maps_failures(void **state)
{
    (void)state;
    const struct cli_hooks hooks = {.run = fake_run};

    assert_int_equal(cli(&hooks, "postrider run -c /dev/null"), CLI_OK);
    assert_int_equal(cli(&hooks, "postrider run -c /dev/null --adapter-dir /x"),
                     CLI_PERMISSION);
    assert_int_equal(cli(&hooks, "postrider run -c /nonexistent"), CLI_CONFIG);
}

static void every_error_has_a_status(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(RIDER_OK), CLI_OK);
    for (int code = RIDER_E_INTERNAL; code < 0; code++) {
        assert_true(cli_exit_of((enum rider_code)code) >= CLI_USAGE);
    }
    assert_int_equal(cli_exit_of(RIDER_E_DB_LOST), CLI_UNAVAILABLE);
    assert_int_equal(cli_exit_of(RIDER_E_SCHEMA), CLI_CONFIG);
}

static int set_up(void **state)
{
    (void)state;
    /* What the machine's own environment says must not matter. */
    int failed = unsetenv("POSTRIDER_ADAPTER_DIR"); /* NOLINT(concurrency-mt-unsafe) */

    return failed | unsetenv("POSTRIDER_CONFIG"); /* NOLINT(concurrency-mt-unsafe) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(misuse_is_64),
        cmocka_unit_test(what_is_missing_has_its_own_status),
        cmocka_unit_test(run_hands_over_and_maps_failures),
        cmocka_unit_test(every_error_has_a_status),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
