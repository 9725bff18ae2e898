/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_publish.c - postrider publish: writes events from flags or JSON lines.
 *
 * All events of one call are written in one transaction, so a mistake in the
 * last line leaves nothing behind.
 */
#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/cli_command.h"
#include "cli/cli_input.h"
#include "cli/cli_settings.h"
#include "cli/event_line.h"
#include "outbox/admin_query.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_LIMIT ((size_t)64 * 1024 * 1024)
#define MAX_EVENTS  100000

/* Events and the texts they point into. */
struct work {
    struct buf input; /* JSON lines, or a payload file */
    struct outbox_new_event *events;
    char (*ids)[OUTBOX_ID_SIZE];
    char *trace_headers; /* made headers, TRACE_SIZE each */
    size_t n;
};

#define TRACE_SIZE 256

static void work_done(struct work *w)
{
    buf_done(&w->input);
    free(w->events);
    free(w->ids);
    free(w->trace_headers);
}

static int allocate(struct work *w, size_t n, struct rider_error *err)
{
    w->events = calloc(n, sizeof(*w->events));
    w->ids = calloc(n, sizeof(*w->ids));
    w->trace_headers = calloc(n, TRACE_SIZE);
    if (w->events == NULL || w->ids == NULL || w->trace_headers == NULL) {
        return rider_fail(err, RIDER_E_NOMEM,
                          "could not allocate memory for %zu events", n);
    }
    return 0;
}

static int from_flags(const struct cli_args *args, struct work *w,
                      struct rider_error *err)
{
    const char *version = cli_arg(args, "version");
    const char *payload = cli_arg(args, "payload");
    const char *payload_file = cli_arg(args, "payload-file");
    int64_t number = 0;
    int rc = allocate(w, 1, err);

    if (rc == 0 && version != NULL &&
        (parse_int(version, &number, NULL) != 0 || number < 1 || number > INT_MAX)) {
        rc = rider_fail(err, RIDER_E_CONFIG, "--version is not a whole number from 1");
    }
    if (rc == 0 && payload == NULL) {
        rc = cli_input_read(payload_file == NULL ? "-" : payload_file, &w->input, err);
    }
    if (rc == 0 && strlen(buf_text(&w->input)) != w->input.len) {
        rc = rider_fail(err, RIDER_E_CONFIG, "the payload contains a NUL byte");
    }
    if (rc != 0) {
        return rc;
    }
    if (w->input.len > 0 && w->input.data[w->input.len - 1] == '\n') {
        w->input.data[--w->input.len] = '\0'; /* the editor's, not the payload's */
    }
    w->n = 1;
    w->events[0] = (struct outbox_new_event){
        .type = cli_arg(args, "type"),
        .aggregate_id = cli_arg(args, "aggregate-id"),
        .aggregate_type = cli_arg(args, "aggregate-type"),
        .payload = payload == NULL ? buf_text(&w->input) : payload,
        .headers = cli_arg(args, "headers"),
        .event_id = cli_arg(args, "event-id"),
        .occurred_at = cli_arg(args, "occurred-at"),
        .version = (int)number,
    };
    return 0;
}

static int add_line(struct work *w, char *line, struct rider_error *err)
{
    struct event_line parsed;
    struct outbox_new_event *ev = &w->events[w->n];
    char *made = w->trace_headers + w->n * TRACE_SIZE;
    int rc = event_line_parse(line, &parsed, err);

    if (rc != 0) {
        return rc;
    }
    *ev = (struct outbox_new_event){
        .type = parsed.type,
        .aggregate_id = parsed.aggregate_id,
        .aggregate_type = parsed.aggregate_type,
        .payload = parsed.payload,
        .headers = parsed.headers,
        .event_id = parsed.event_id,
        .occurred_at = parsed.occurred_at,
        .version = parsed.version,
    };
    if (parsed.traceparent != NULL) {
        int len =
            snprintf(made, TRACE_SIZE, "{\"traceparent\":\"%s\"}", parsed.traceparent);

        if (len >= TRACE_SIZE) {
            return rider_fail(err, RIDER_E_CONFIG, "\"traceparent\" is too long");
        }
        ev->headers = made;
    }
    if (ev->type == NULL || ev->aggregate_id == NULL || ev->payload == NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is missing",
                          ev->type == NULL           ? "type"
                          : ev->aggregate_id == NULL ? "aggregateId"
                                                     : "payload");
    }
    w->n++;
    return 0;
}

static int from_lines(const char *path, struct work *w, struct rider_error *err)
{
    size_t lines = 1;
    int rc = cli_input_read(path, &w->input, err);

    if (rc != 0) {
        return rc;
    }
    char *rest = w->input.data;
    if (rest != NULL && strlen(rest) != w->input.len) {
        return rider_fail(err, RIDER_E_CONFIG, "the input contains a NUL byte");
    }
    for (const char *p = rest; p != NULL && (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    if (lines > MAX_EVENTS) {
        return rider_fail(err, RIDER_E_CONFIG, "more than %d events at once",
                          MAX_EVENTS);
    }
    rc = allocate(w, lines, err);
    for (unsigned int number = 1; rc == 0 && rest != NULL; number++) {
        char *line = strsep(&rest, "\n");

        if (line[strspn(line, " \t\r")] != '\0') {
            rc = add_line(w, line, err);
        }
        if (rc != 0) {
            return rider_fail_in(err, "line %u", number);
        }
    }
    return rc;
}

static void print_ids(const struct work *w, bool json)
{
    for (size_t i = 0; i < w->n; i++) {
        (void)printf(json ? "{\"eventId\":\"%s\"}\n" : "%s\n", w->ids[i]);
    }
}

/* Everything that is wrong with the input is a matter of data, not of the
 * configuration. */
static int fail_data(const struct rider_error *err)
{
    return cli_fail_text(err->code == RIDER_E_CONFIG ? CLI_DATA
                                                     : cli_exit_of(err->code),
                         "%s", err->text);
}

static int write_events(const struct cli_args *args, struct work *w)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct cli_settings s;
    const char *dsn;
    int status = cli_dsn(args, &s, &dsn);

    if (status == CLI_OK &&
        outbox_events_insert(dsn, w->events, w->n, w->ids, &err) != 0) {
        status = fail_data(&err);
    }
    cli_settings_done(&s);
    if (status == CLI_OK) {
        print_ids(w, cli_given(args, "json"));
    }
    return status;
}

/* What is given on the command line has to be whole: an event by options, whose
 * payload may come from standard input, or lines, which may, too. */
static const char *find_misuse(const struct cli_args *args)
{
    bool payload = cli_given(args, "payload") || cli_given(args, "payload-file");
    bool event = cli_given(args, "type") || cli_given(args, "aggregate-id") || payload;

    if (cli_given(args, "lines") && event) {
        return "--lines goes without the options of a single event";
    }
    if (event && !(cli_given(args, "type") && cli_given(args, "aggregate-id"))) {
        return "--type and --aggregate-id are both needed";
    }
    if (cli_given(args, "payload") && cli_given(args, "payload-file")) {
        return "--payload and --payload-file are one too many";
    }
    if (!payload && !cli_given(args, "lines") && isatty(STDIN_FILENO) == 1) {
        return "what to write? `postrider publish --help` has examples";
    }
    return NULL;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(work_done) struct work w = {.input = buf_make(INPUT_LIMIT)};
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    const char *lines = cli_arg(args, "lines");
    const char *misuse = find_misuse(args);
    int rc;

    if (misuse != NULL) {
        return cli_fail_text(CLI_USAGE, "publish: %s", misuse);
    }
    rc = cli_given(args, "type") ? from_flags(args, &w, &err)
                                 : from_lines(lines == NULL ? "-" : lines, &w, &err);
    if (rc != 0) {
        return fail_data(&err);
    }
    return w.n == 0 ? CLI_OK : write_events(args, &w);
}

static const struct cli_flag flags[] = {
    {"type", 't', "TYPE", "what happened, for example REQUEST_SUBMITTED"},
    {"aggregate-id", 'a', "ID", "whose event it is: the ordering key"},
    {"aggregate-type", 0, "TYPE", "the kind of aggregate, for example request"},
    {"payload", 'p', "JSON", "the payload, kept byte for byte (standard input)"},
    {"payload-file", 0, "FILE", "the payload from a file; - is standard input"},
    {"version", 0, "N", "the version of the payload's schema (1)"},
    {"headers", 0, "JSON", "an object of strings that travels along"},
    {"event-id", 0, "UUID", "the id; the same id twice is written once"},
    {"occurred-at", 0, "TIME", "RFC 3339, for example 2026-01-31T12:00:00Z (now)"},
    {"lines", 'l', "FILE", "one event a line, as JSON (standard input)"},
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_publish = {
    .name = "publish",
    .summary = "write events into the outbox",
    .description =
        "Writes one event from options, or many from JSON lines, in one transaction, "
        "and\n"
        "prints their ids. It is for trying things out and for repairs: an "
        "application\n"
        "calls outbox.publish() in SQL or rider_outbox_write() in C inside its own\n"
        "transaction, because only that ties the event to the state change.\n"
        "\n"
        "A JSON line has the names of the canonical envelope: type, aggregateId and\n"
        "payload are required; eventId, occurredAt, aggregateType, version, "
        "traceparent\n"
        "and headers may be there.",
    .examples =
        "  postrider publish -c postrider.yaml -t REQUEST_SUBMITTED -a R-1 \\\n"
        "      -p '{\"title\":\"laptop\"}'\n"
        "  postrider publish --dsn 'dbname=app' --lines events.jsonl\n"
        "  echo '{\"type\":\"order.paid\",\"aggregateId\":\"7\",\"payload\":{}}' |\n"
        "      postrider publish -c postrider.yaml\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
