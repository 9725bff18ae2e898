/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_stuck.c - postrider stuck: what is not delivered, grouped by cause.
 */
#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/stuck_query.h"

#include <stdio.h>

#define LIST_MAX 1000

/* "20000+" where the search ended at its cap. */
static void cell_count(const struct row_set *rows, size_t row, const char *column,
                       struct buf *out)
{
    buf_puts(out, row_set_text(rows, row, column));
    buf_puts(out, row_set_bool(rows, row, "capped") ? "+" : "");
}

static const struct cli_column group_columns[] = {
    {"DESTINATION", "destination", NULL, 24},
    {"CAUSE", "cause", NULL, 0},
    {"STATE", "state", NULL, 0},
    {"COUNT", "count", cell_count, 0},
    {"OLDEST", "ageMs", cli_cell_age, 0},
    {"NEXT TRY", "nextAttempt", cli_cell_time, 0},
    {"FIRST EVENT", "eventId", NULL, 0},
    {"LAST ERROR", "lastError", cli_cell_or_dash, 60},
};

static const struct cli_column event_columns[] = {
    {"DESTINATION", "destination", cli_cell_destination, 40},
    {"EVENT", "eventId", NULL, 0},
    {"TYPE", "type", NULL, 32},
    {"KEY", "key", NULL, 32},
    {"STATE", "state", NULL, 0},
    {"CAUSE", "cause", NULL, 0},
    {"SINCE", "since", cli_cell_time, 0},
    {"TRIES", "attempts", NULL, 0},
    {"NEXT TRY", "nextAttempt", cli_cell_time, 0},
};

#define PRINT(rows, columns) \
    cli_table_print(rows, columns, sizeof(columns) / sizeof((columns)[0]))

static int print(const struct cli_args *args, const struct row_set *rows, bool events)
{
    if (cli_given(args, "json")) {
        RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
        struct json_writer w = jw_begin(&out);

        jw_object(&w, NULL);
        row_set_write(rows, &w, events ? "events" : "groups");
        jw_object_end(&w);
        return cli_print_json(&out);
    }
    if (row_set_count(rows) == 0) {
        (void)puts("nothing waits");
    } else if (events) {
        PRINT(rows, event_columns);
    } else {
        PRINT(rows, group_columns);
    }
    return CLI_OK;
}

static int read_flags(const struct cli_args *args, struct stuck_filter *filter,
                      int64_t *limit)
{
    const char *older = cli_arg(args, "older-than");
    const char *list = cli_arg(args, "list");
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    uint64_t ms = 0;

    filter->destination =
        cli_given(args, "destination") ? cli_arg(args, "destination") : "";
    filter->cause = cli_given(args, "cause") ? cli_arg(args, "cause") : "";
    if (older != NULL && parse_duration_ms(older, &ms, &err) != 0) {
        return cli_fail_text(CLI_USAGE, "stuck: --older-than: %s", err.text);
    }
    filter->older_ms = (int64_t)ms;
    if (list != NULL &&
        (parse_int(list, limit, NULL) != 0 || *limit < 1 || *limit > LIST_MAX)) {
        return cli_fail_text(CLI_USAGE, "stuck: --list takes a number from 1 to %d",
                             LIST_MAX);
    }
    return CLI_OK;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct stuck_filter filter;
    struct cli_settings s;
    const char *dsn;
    int64_t limit = 0;
    int status = read_flags(args, &filter, &limit);

    if (status != CLI_OK) {
        return status;
    }
    status = cli_dsn(args, &s, &dsn);
    if (status == CLI_OK) {
        int rc = limit > 0 ? stuck_events(dsn, &filter, limit, &rows, &err)
                           : stuck_groups(dsn, &filter, &rows, &err);

        status = rc == 0 ? print(args, rows, limit > 0) : cli_fail(&err);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"destination", 'd', "NAME", "of this destination only"},
    {"cause", 0, "WORD", "of this cause only"},
    {"older-than", 0, "DURATION", "occurred at least so long ago: 30s, 10m"},
    {"list", 'l', "N", "the first N events instead of groups"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_stuck = {
    .name = "stuck",
    .summary = "show why events are not delivered, by cause",
    .description = "Shows every event that a destination does not have, grouped by "
                   "destination and\n"
                   "cause. in_progress is a backlog that a relay works on and dead "
                   "letters wait for\n"
                   "you; every other cause is a word of docs/operations.md, which says "
                   "what to do.\n"
                   "Counts stop at 20000 for each lane, and then show a plus sign.\n"
                   "\n"
                   "It asks the database, so it works while no relay is running.",
    .examples = "  postrider stuck -c postrider.yaml\n"
                "  postrider stuck --destination stream --list 20\n"
                "  postrider stuck --older-than 5m --json | jq '.groups[].cause'\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
