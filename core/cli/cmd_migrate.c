/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_migrate.c - postrider migrate: brings the outbox schema up to date.
 */
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "outbox/migrate.h"

#include <stdio.h>

/* Progress goes to standard error, so that the SQL of a dry run can be piped. */
static void emit(void *arg, enum migrate_line line, const char *name, const char *text)
{
    (void)arg;
    switch (line) {
    case MIGRATE_APPLIED:
        (void)fprintf(stderr, "applied %s\n", name);
        break;
    case MIGRATE_SQL:
        (void)printf("-- %s\n%s\n", name, text);
        break;
    case MIGRATE_NOTICE:
        (void)fprintf(stderr, "%s: %s\n", name, text);
        break;
    }
}

static void report(const struct cli_args *args, const struct migrate_result *result,
                   bool dry_run)
{
    if (cli_given(args, "json")) {
        (void)printf("{\"before\":%d,\"after\":%d,\"dryRun\":%s}\n", result->before,
                     result->after, dry_run ? "true" : "false");
    } else if (dry_run) {
        (void)fprintf(stderr, "dry run: version %d would become %d\n", result->before,
                      result->after);
    } else if (result->before == result->after) {
        (void)printf("outbox schema is at version %d already\n", result->after);
    } else {
        (void)printf("outbox schema is at version %d now (was %d)\n", result->after,
                     result->before);
    }
}

static int run(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct migrate_result result = {0};
    struct cli_settings s;
    struct migrate_request request = {
        .dry_run = cli_given(args, "dry-run"),
        .no_roles = cli_given(args, "no-roles"),
        .emit = emit,
    };
    int status;

    if (request.dry_run && cli_given(args, "json")) {
        return cli_fail_text(CLI_USAGE, "--dry-run prints SQL: it goes without --json");
    }
    status = cli_dsn(args, &s, &request.dsn);
    if (status == CLI_OK && outbox_migrate(&request, &result, &err) != 0) {
        status = cli_fail(&err);
    } else if (status == CLI_OK) {
        report(args, &result, request.dry_run);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"dry-run", 'n', NULL, "print the SQL instead of running it"},
    {"no-roles", 0, NULL, "neither create roles nor grant rights"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_migrate = {
    .name = "migrate",
    .summary = "create the outbox schema, or bring it up to date",
    .description =
        "Applies what is missing of the outbox schema, each step in one transaction, "
        "and\n"
        "grants the roles outbox_writer, outbox_relay, outbox_api, outbox_operator "
        "and\n"
        "outbox_monitor their rights. Running it again changes nothing. A schema newer "
        "than\n"
        "this program is left alone. The user of the connection must be allowed to\n"
        "create a schema; roles that it cannot create are named and left out.",
    .examples = "  postrider migrate -c postrider.yaml\n"
                "  postrider migrate --dsn 'host=db dbname=app user=owner'\n"
                "  postrider migrate -c postrider.yaml --dry-run | less\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
