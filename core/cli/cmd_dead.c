/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_dead.c - postrider dead: look at dead letters, replay them, discard them.
 *
 * Counts come before anything happens, and a change without a filter is refused.
 *
 * Not here: filters and pages (outbox/dead_letters.h).
 */
#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/cli_change.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/dead_letters.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILTER_MAX ((size_t)128 * 1024)

/* What the command line says. */
struct request {
    const struct cli_args *args;
    const char *dsn;
    const char *filter;
    bool json;
};

static const struct cli_column list_columns[] = {
    {"DESTINATION", "destination", cli_cell_destination, 40},
    {"EVENT", "eventId", NULL, 0},
    {"TYPE", "type", NULL, 32},
    {"KEY", NULL, cli_cell_key, 32},
    {"TRIES", "attempts", NULL, 0},
    {"CAUSE", "cause", cli_cell_or_dash, 0},
    {"DEAD SINCE", "deadAt", cli_cell_time, 0},
    {"LAST ERROR", "lastError", cli_cell_or_dash, 60},
};

static const struct cli_column count_columns[] = {
    {"DESTINATION", "destination", NULL, 0},
    {"CAUSE", "cause", NULL, 0},
    {"COUNT", "count", NULL, 0},
    {"FROM", "oldest", cli_cell_time, 0},
    {"TO", "newest", cli_cell_time, 0},
};

static int number_flag(const struct cli_args *args, const char *name, int64_t max,
                       int64_t *value)
{
    const char *text = cli_arg(args, name);

    if (text != NULL &&
        (parse_int(text, value, NULL) != 0 || *value < 1 || *value > max)) {
        return cli_fail_text(CLI_USAGE, "dead: --%s takes a number from 1 to %" PRId64,
                             name, max);
    }
    return CLI_OK;
}

static int print_list_json(const struct row_set *rows, int64_t limit)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);
    size_t n = row_set_count(rows);

    jw_object(&w, NULL);
    row_set_write(rows, &w, "deadLetters");
    jw_string_or_null(
        &w, "next",
        n > 0 && (int64_t)n == limit ? row_set_text(rows, n - 1, "position") : NULL);
    jw_object_end(&w);
    return cli_print_json(&out);
}

static int list(const struct request *r)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    const char *after = cli_arg(r->args, "after");
    int64_t limit = 100;
    int status = number_flag(r->args, "limit", DEAD_LIST_MAX, &limit);

    if (status != CLI_OK) {
        return status;
    }
    if (dead_letters_list(r->dsn, r->filter, after == NULL ? "" : after, limit, &rows,
                          &err) != 0) {
        return cli_fail(&err);
    }
    if (r->json) {
        return print_list_json(rows, limit);
    }
    size_t n = row_set_count(rows);
    if (n == 0) {
        (void)puts("no dead letters match");
        return CLI_OK;
    }
    cli_table_print(rows, list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
    if ((int64_t)n == limit) {
        (void)printf("there may be more: --after %s\n",
                     row_set_text(rows, n - 1, "position"));
    }
    return CLI_OK;
}

static void show_one(const struct row_set *rows, size_t i)
{
    static const struct {
        const char *title, *column;
    } lines[] = {
        {"event", "eventId"},
        {"destination", "destination"},
        {"type", "type"},
        {"version", "version"},
        {"aggregate type", "aggregateType"},
        {"aggregate id", "aggregateId"},
        {"occurred at", "occurredAt"},
        {"dead since", "deadAt"},
        {"attempts", "attempts"},
        {"cause", "cause"},
        {"last error", "lastError"},
    };
    RIDER_CLEANUP(buf_done) struct buf cell = buf_make(CLI_OUTPUT_MAX);

    for (size_t l = 0; l < sizeof(lines) / sizeof(lines[0]); l++) {
        buf_reset(&cell);
        cli_cell_or_dash(rows, i, lines[l].column, &cell);
        (void)printf("%-15s %s\n", lines[l].title, buf_text(&cell));
    }
    (void)printf("payload         postrider explain %s\n",
                 row_set_text(rows, i, "eventId"));
}

static int show(const struct request *r)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (dead_letters_list(r->dsn, r->filter, "", DEAD_LIST_MAX, &rows, &err) != 0) {
        return cli_fail(&err);
    }
    if (row_set_count(rows) == 0) {
        return cli_fail_text(CLI_DATA,
                             "no dead letter matches; `postrider trace EVENT` "
                             "tells where an event is");
    }
    if (r->json) {
        return print_list_json(rows, DEAD_LIST_MAX);
    }
    for (size_t i = 0; i < row_set_count(rows); i++) {
        (void)fputs(i == 0 ? "" : "\n", stdout);
        show_one(rows, i);
    }
    return CLI_OK;
}

static int print_result(const struct request *r, const struct dead_order *order,
                        const struct row_set *groups, int64_t matched,
                        const struct dead_result *result)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);

    if (!r->json) {
        if (result != NULL) {
            (void)printf("%s %" PRId64 " dead letters (operation %" PRId64 ")\n",
                         order->discard ? "discarded" : "replayed", result->affected,
                         result->operation);
        }
        return CLI_OK;
    }
    jw_object(&w, NULL);
    jw_string(&w, "action", order->discard ? "discard" : "replay");
    jw_bool(&w, "dryRun", result == NULL);
    jw_int(&w, "matched", matched);
    row_set_write(groups, &w, "groups");
    if (result != NULL) {
        jw_int(&w, "affected", result->affected);
        jw_int(&w, "operation", result->operation);
    }
    jw_object_end(&w);
    return cli_print_json(&out);
}

static bool on_progress(void *arg, int64_t done)
{
    cli_progress_show(arg, done);
    return true;
}

static int apply(const struct request *r, struct dead_order *order,
                 const struct row_set *groups, int64_t matched)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct dead_result result;
    char question[80];
    char actor[160];
    int status;

    (void)snprintf(question, sizeof(question), "%s these %" PRId64 " dead letters?",
                   order->discard ? "discard" : "replay", matched);
    if (!cli_confirm(r->args, question, &status)) {
        return status;
    }
    cli_actor(actor, sizeof(actor));
    order->actor = actor;
    struct cli_progress progress =
        cli_progress_start(order->discard ? "discarded" : "replayed", matched);
    int rc = dead_letters_apply(order, on_progress, &progress, &result, &err);
    cli_progress_end(&progress);
    if (rc != 0) {
        (void)fprintf(stderr, "postrider: stopped after %" PRId64 " of %" PRId64 "\n",
                      result.affected, matched);
        return cli_fail(&err);
    }
    return print_result(r, order, groups, matched, &result);
}

static int change(const struct request *r, bool discard)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *groups = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct dead_order order = {.dsn = r->dsn, .filter = r->filter, .discard = discard};
    int64_t matched = 0;
    int status = number_flag(r->args, "rate", INT_MAX, &order.per_second);

    if (status != CLI_OK) {
        return status;
    }
    if (discard && order.per_second != 0) {
        return cli_fail_text(CLI_USAGE, "dead: --rate goes with replay");
    }
    if (dead_letters_count(r->dsn, r->filter, &groups, &err) != 0) {
        return cli_fail(&err);
    }
    for (size_t i = 0; i < row_set_count(groups); i++) {
        matched += row_set_int(groups, i, "count");
    }
    if (!r->json && matched > 0) {
        cli_table_print(groups, count_columns,
                        sizeof(count_columns) / sizeof(count_columns[0]));
    }
    if (!r->json) {
        (void)printf("%" PRId64 " dead letters match\n", matched);
        (void)fflush(stdout);
    }
    if (matched == 0 || cli_given(r->args, "dry-run")) {
        return print_result(r, &order, groups, matched, NULL);
    }
    return apply(r, &order, groups, matched);
}

static int act(const struct request *r)
{
    const char *action = r->args->operands[0];

    if (strcmp(action, "list") == 0) {
        return list(r);
    }
    if (strcmp(action, "show") == 0) {
        return show(r);
    }
    return change(r, strcmp(action, "discard") == 0);
}

static bool is_action(const char *word)
{
    static const char *const words[] = {"list", "show", "replay", "discard"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(buf_done) struct buf filter = buf_make(FILTER_MAX);
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct cli_settings s;
    struct request r = {.args = args, .json = cli_given(args, "json")};

    if (!is_action(args->operands[0])) {
        return cli_fail_text(
            CLI_USAGE, "dead: \"%.40s\" is not one of list, show, replay, discard",
            args->operands[0]);
    }
    if (cli_filter(args, 1, strcmp(args->operands[0], "list") == 0, &filter, &err) !=
        0) {
        return cli_fail_text(CLI_USAGE, "dead %s: %s", args->operands[0], err.text);
    }
    r.filter = buf_text(&filter);
    int status = cli_dsn(args, &s, &r.dsn);
    if (status == CLI_OK) {
        status = act(&r);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"destination", 'd', "NAME", "those of this destination"},
    {"type", 't', "TYPE", "those of this event type; * stands for any text"},
    {"cause", 0, "WORD", "those with this cause, as `list` prints it"},
    {"event", 'e', "ID", "this event; may be given often"},
    {"aggregate-type", 0, "TYPE", "those of this aggregate type"},
    {"aggregate-id", 0, "ID", "those of this aggregate"},
    {"since", 0, "TIME", "dead since then or later: 2h, 7d, 2026-11-24T03:00:00Z"},
    {"until", 0, "TIME", "dead before then"},
    {"limit", 0, "N", "list: at most so many (100, up to 1000)"},
    {"after", 0, "POSITION", "list: go on behind this row"},
    {"rate", 0, "N", "replay: at most N a second become due"},
    {"dry-run", 'n', NULL, "replay, discard: count and change nothing"},
    {"yes", 'y', NULL, "replay, discard: do not ask"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_dead = {
    .name = "dead",
    .summary = "list, show, replay or discard dead letters",
    .operands = "list|show|replay|discard [EVENT...]",
    .description =
        "A dead letter is an event that a destination refused for good, or failed to\n"
        "take as often as its retry.max_attempts allows. It stays until it is "
        "replayed\n"
        "or discarded.\n"
        "\n"
        "replay sends the same bytes again, from the first attempt, those of one\n"
        "aggregate in their order. discard gives them up: nobody will send them. Both\n"
        "count first and ask, need a filter, and leave a row in outbox.audit. Filters\n"
        "are combined: an event must match all of them. A key that a dead letter "
        "holds\n"
        "(on_dead: hold) goes on after either.\n"
        "\n"
        "Works while no relay is running. Needs the rights of outbox_operator.",
    .examples =
        "  postrider dead list -c postrider.yaml\n"
        "  postrider dead show 0193f2c1-7b5e-7cc1-a3a8-0d1f5c2b9e77\n"
        "  postrider dead replay --destination stream --cause timeout --dry-run\n"
        "  postrider dead replay --destination stream --rate 50 --yes\n"
        "  postrider dead discard --type 'test.*' --until 30d\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .min_operands = 1,
    .max_operands = 1000,
    .run = run,
};
