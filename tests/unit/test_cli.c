/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli.c - commands are found, explained and refused, and failures become
 * exit statuses.
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

static int cli(const char *line)
{
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
    return cli_main(argc, argv);
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    static const char *const commands[] = {"run",     "check",    "migrate",  "publish",
                                           "status",  "adapters", "receive",  "verify",
                                           "version", "explain",  "reference"};

    assert_int_equal(cli("postrider --help"), CLI_OK);
    assert_int_equal(cli("postrider --version"), CLI_OK);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "postrider %s --help", commands[i]);
        assert_int_equal(cli(line), CLI_OK);
        (void)snprintf(line, sizeof(line), "postrider help %s", commands[i]);
        assert_int_equal(cli(line), CLI_OK);
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
        "postrider explain",
        "postrider explain --payload x --json 0197a1de-0c8f-7cc4-b0c2-6e4a4f6d2f10",
        "postrider reference",
        "postrider reference nothing",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (cli(lines[i]) != CLI_USAGE) {
            fail_msg("\"%s\" passes", lines[i]);
        }
    }
}

static void what_is_missing_has_its_own_status(void **state)
{
    (void)state;
    assert_int_equal(cli("postrider check -c /nonexistent"), CLI_CONFIG);
    assert_int_equal(cli("postrider status -c /nonexistent"), CLI_CONFIG);
    assert_int_equal(cli("postrider run -c /nonexistent"), CLI_CONFIG);
    assert_int_equal(cli("postrider adapters --adapter-dir /nonexistent"), CLI_IO);
    assert_int_equal(cli("postrider receive -s /nonexistent"), CLI_IO);
    assert_int_equal(cli("postrider status --dsn bogus"), CLI_CONFIG);
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
        cmocka_unit_test(every_error_has_a_status),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
