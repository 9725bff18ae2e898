/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_held.c - postrider held: aggregates that wait behind one of their events.
 */
#include "base/cleanup.h"
#include "cli/cli_change.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/held_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILTER_MAX ((size_t)16 * 1024)
#define LIST_MAX   1000

static const struct cli_column columns[] = {
    {"DESTINATION", "destination", cli_cell_destination, 40},
    {"KEY", NULL, cli_cell_key, 32},
    {"WAITING", "waiting", NULL, 0},
    {"SINCE", "waitingSince", cli_cell_time, 0},
    {"HELD BY", "heldBy", cli_cell_or_dash, 0},
    {"STATE", "holderState", cli_cell_or_dash, 0},
    {"CAUSE", "cause", cli_cell_or_dash, 0},
    {"TRIES", "attempts", NULL, 0},
    {"NEXT TRY", "nextAttempt", cli_cell_time, 0},
};

static int print_json(const struct row_set *rows, const char *name)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    row_set_write(rows, &w, name);
    jw_object_end(&w);
    return cli_print_json(&out);
}

static int list(const struct cli_args *args, const char *dsn, const char *filter)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (held_query_list(dsn, filter, LIST_MAX, &rows, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_given(args, "json")) {
        return print_json(rows, "keys");
    }
    if (row_set_count(rows) == 0) {
        (void)puts("no key is held");
        return CLI_OK;
    }
    cli_table_print(rows, columns, sizeof(columns) / sizeof(columns[0]));
    return CLI_OK;
}

static int64_t count_keys(const struct row_set *rows, bool print)
{
    int64_t keys = 0;

    for (size_t i = 0; i < row_set_count(rows); i++) {
        keys += row_set_int(rows, i, "keys");
        if (print) {
            (void)printf("%s: %" PRId64 " held keys, %" PRId64 " events wait\n",
                         row_set_text(rows, i, "destination"),
                         row_set_int(rows, i, "keys"), row_set_int(rows, i, "events"));
        }
    }
    return keys;
}

static int apply(const struct cli_args *args, const char *dsn, const char *filter)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *done = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    bool discard = cli_given(args, "discard");
    char actor[160];

    cli_actor(actor, sizeof(actor));
    if (held_query_release(dsn, filter, discard, actor, &done, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_given(args, "json")) {
        return print_json(done, "released");
    }
    (void)printf("%s the events that held %" PRId64 " keys (operation %" PRId64 ")\n",
                 discard ? "gave up" : "try again now",
                 row_set_int(done, 0, "affected"), row_set_int(done, 0, "operation"));
    return CLI_OK;
}

static int release(const struct cli_args *args, const char *dsn, const char *filter)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *counts = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    bool json = cli_given(args, "json");
    int status = CLI_OK;

    if (held_query_count(dsn, filter, &counts, &err) != 0) {
        return cli_fail(&err);
    }
    int64_t keys = count_keys(counts, !json);
    if (keys == 0 && !json) {
        (void)puts("no key is held");
    }
    if (keys == 0 || cli_given(args, "dry-run")) {
        return json ? print_json(counts, "keys") : CLI_OK;
    }
    (void)fflush(stdout);
    if (!cli_confirm(args,
                     cli_given(args, "discard")
                         ? "give up the events that hold these keys?"
                         : "try the events that hold these keys again now?",
                     &status)) {
        return status;
    }
    return apply(args, dsn, filter);
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(buf_done) struct buf filter = buf_make(FILTER_MAX);
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    bool releases = strcmp(args->operands[0], "release") == 0;
    struct cli_settings s;
    const char *dsn;

    if (!releases && strcmp(args->operands[0], "list") != 0) {
        return cli_fail_text(CLI_USAGE, "held: \"%.40s\" is not one of list, release",
                             args->operands[0]);
    }
    if (cli_filter(args, args->n_operands, !releases, &filter, &err) != 0) {
        return cli_fail_text(CLI_USAGE,
                             "held release: name what is meant: --destination, "
                             "--aggregate-type or --aggregate-id");
    }
    int status = cli_dsn(args, &s, &dsn);
    if (status == CLI_OK) {
        status = releases ? release(args, dsn, buf_text(&filter))
                          : list(args, dsn, buf_text(&filter));
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"destination", 'd', "NAME", "keys of this destination"},
    {"aggregate-type", 0, "TYPE", "keys of this aggregate type"},
    {"aggregate-id", 0, "ID", "this aggregate"},
    {"discard", 0, NULL,
     "release: give the holding event up instead of trying it again"},
    {"dry-run", 'n', NULL, "release: count and change nothing"},
    {"yes", 'y', NULL, "release: do not ask"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_held = {
    .name = "held",
    .summary = "list or release aggregates that wait behind an event",
    .operands = "list|release",
    .description = "With ordering: key the events of an aggregate wait while an "
                   "earlier one of them\n"
                   "is retried, or, with on_dead: hold, is dead. list shows these "
                   "keys, the event\n"
                   "that holds each and why.\n"
                   "\n"
                   "release tries the holding events again now, dead ones from their "
                   "first attempt.\n"
                   "With --discard they are given up and the next event of each key "
                   "goes. Both ask,\n"
                   "and leave a row in outbox.audit.",
    .examples = "  postrider held list -c postrider.yaml\n"
                "  postrider held release --destination stream --dry-run\n"
                "  postrider held release --destination stream --aggregate-id R-17 "
                "--discard\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
