/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_trace.c - postrider trace EVENT: where one event is.
 */
#include "base/cleanup.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/trace_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A part of a split destination has a name of its own only when there are several. */
static void cell_place(const struct row_set *rows, size_t row, const char *column,
                       struct buf *out)
{
    cli_append_safe(out, row_set_text(rows, row, column));
    if (row_set_int(rows, row, "part") > 0) {
        buf_printf(out, "/%" PRId64, row_set_int(rows, row, "part"));
    }
    if (!row_set_is_null(rows, row, "subscriptionId")) {
        buf_puts(out, " > ");
        cli_append_safe(out, row_set_text(rows, row, "host"));
        buf_puts(out, " ");
        cli_append_safe(out, row_set_text(rows, row, "subscriptionId"));
    }
}

/* Where the cursor stands in relation to the event, while it decides. */
static void cell_lane(const struct row_set *rows, size_t row, const char *column,
                      struct buf *out)
{
    const char *owner = row_set_text(rows, row, "laneOwner");

    (void)column;
    cli_append_safe(out, row_set_text(rows, row, "laneState"));
    buf_puts(out, owner[0] == '\0' ? ", no owner" : ", ");
    cli_append_safe(out, owner);
    if (row_set_bool(rows, row, "byCursor") &&
        strcmp(row_set_text(rows, row, "state"), "PUBLISHED") != 0) {
        buf_printf(out, ", settled up to %" PRId64 ", sent up to %" PRId64,
                   row_set_int(rows, row, "laneSettledSeq"),
                   row_set_int(rows, row, "laneSentSeq"));
    }
}

static const struct cli_column columns[] = {
    {"DESTINATION", "destination", cell_place, 0},
    {"STATE", "state", NULL, 0},
    {"CAUSE", "cause", cli_cell_or_dash, 0},
    {"TRIES", "attempts", NULL, 0},
    {"SINCE", "since", cli_cell_time, 0},
    {"NEXT TRY", "nextAttempt", cli_cell_time, 0},
    {"LANE", NULL, cell_lane, 0},
};

static void print_errors(const struct row_set *places)
{
    RIDER_CLEANUP(buf_done) struct buf line = buf_make(CLI_OUTPUT_MAX);

    for (size_t i = 0; i < row_set_count(places); i++) {
        if (!row_set_is_null(places, i, "lastError")) {
            buf_reset(&line);
            cell_place(places, i, "destination", &line);
            buf_puts(&line, ": ");
            cli_append_safe(&line, row_set_text(places, i, "lastError"));
            (void)puts(buf_text(&line));
        }
    }
}

static void print_text(const struct row_set *event, const struct row_set *places)
{
    RIDER_CLEANUP(buf_done) struct buf key = buf_make(CLI_OUTPUT_MAX);
    RIDER_CLEANUP(buf_done) struct buf when = buf_make(64);
    RIDER_CLEANUP(buf_done) struct buf type = buf_make(CLI_OUTPUT_MAX);

    cli_cell_key(event, 0, NULL, &key);
    cli_cell_time(event, 0, "occurredAt", &when);
    cli_append_safe(&type, row_set_text(event, 0, "type"));
    (void)printf("%s %s v%" PRId64 " of %s, occurred %s, number %" PRId64
                 " in the log\n",
                 row_set_text(event, 0, "eventId"), buf_text(&type),
                 row_set_int(event, 0, "version"), buf_text(&key), buf_text(&when),
                 row_set_int(event, 0, "seq"));
    if (row_set_count(places) == 0) {
        (void)puts("no lanes yet: no relay has run");
        return;
    }
    cli_table_print(places, columns, sizeof(columns) / sizeof(columns[0]));
    print_errors(places);
}

static int print_json(const struct row_set *event, const struct row_set *places)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    row_set_write_row(event, 0, &w, "event");
    row_set_write(places, &w, "destinations");
    jw_object_end(&w);
    return cli_print_json(&out);
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *event = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *places = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct cli_settings s;
    const char *dsn;
    int status = cli_dsn(args, &s, &dsn);

    if (status == CLI_OK &&
        trace_query_read(dsn, args->operands[0], &event, &places, &err) != 0) {
        status = cli_fail(&err);
    } else if (status == CLI_OK && cli_given(args, "json")) {
        status = print_json(event, places);
    } else if (status == CLI_OK) {
        print_text(event, places);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_trace = {
    .name = "trace",
    .summary = "show where one event is, at every destination",
    .operands = "EVENT",
    .description =
        "Shows one event at every destination: its state, its attempts and the last\n"
        "error, why it waits, when it is tried next, and where the lane stands.\n"
        "\n"
        "PUBLISHED means that the lane has settled it: the destination confirmed it, "
        "or\n"
        "no route sends it there (`postrider explain EVENT` tells). It asks the\n"
        "database, so it works while no relay is running.",
    .examples = "  postrider trace 0193f2c1-7b5e-7cc1-a3a8-0d1f5c2b9e77\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
