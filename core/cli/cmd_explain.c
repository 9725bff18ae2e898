/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_explain.c - postrider explain: where an event goes and what is sent there.
 *
 * Nothing is sent. The payload is shown, because the user asked for this event.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "cli/cli_command.h"
#include "cli/explanation.h"
#include "outbox/admin_query.h"

#include <stdio.h>
#include <string.h>

#define MAX_OUTPUT ((size_t)1024 * 1024 * 1024)
#define MIN_NAME   12
#define MAX_NAME   40

/* ---- for people ------------------------------------------------------------ */

/* What a terminal would obey is shown as \xNN. */
static void print_safe(struct buf *out, struct rider_bytes text)
{
    const unsigned char *p = text.data;

    for (size_t i = 0; i < text.len; i++) {
        if ((p[i] < 0x20 && p[i] != '\n' && p[i] != '\t') || p[i] == 0x7f) {
            buf_printf(out, "\\x%02x", p[i]);
        } else {
            buf_putc(out, (char)p[i]);
        }
    }
}

/* `width` is that of the column of names. */
static void print_line(struct buf *out, int width, const char *name,
                       struct rider_bytes value)
{
    buf_printf(out, "  %-*s  ", width, name);
    print_safe(out, value);
    buf_putc(out, '\n');
}

static void print_text(struct buf *out, int width, const char *name, const char *text)
{
    print_line(out, width, name, (struct rider_bytes){text, strlen(text)});
}

static int width_of(const struct explanation *e)
{
    size_t width = MIN_NAME;

    for (size_t i = 0; i < e->n_lines; i++) {
        size_t len = strlen(e->lines[i].name);

        width = len > width && len <= MAX_NAME ? len : width;
    }
    return (int)width;
}

static void put_globs(struct buf *out, const char *const *globs)
{
    for (size_t i = 0; globs != NULL && globs[i] != NULL; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", globs[i]);
    }
}

/* Why a route does not take the event. */
static void put_reason(struct buf *out, const struct explained_route *r,
                       const struct event_row *row)
{
    if (!r->type_fits) {
        buf_printf(out, "type \"%.*s\" fits none of: ", (int)row->type.len,
                   (const char *)row->type.data);
        put_globs(out, r->route->types);
    }
    if (!r->aggregate_type_fits) {
        buf_printf(
            out, "%saggregateType \"%.*s\" fits none of: ", r->type_fits ? "" : "; ",
            (int)row->aggregate_type.len, (const char *)row->aggregate_type.data);
        put_globs(out, r->route->aggregate_types);
    }
}

static void print_verdict(struct buf *out, const struct explanation *e)
{
    const char *separator = "";

    buf_printf(out, "\n%s (%s): ", e->destination->name, e->destination->adapter);
    if (!e->matches) {
        buf_puts(out, e->n_routes == 0 ? "not sent, no route leads here"
                                       : "not sent, no route matches");
        if (e->dead_letters_of != NULL) {
            buf_printf(out, ", unless it is dead for \"%s\"", e->dead_letters_of);
        }
        buf_putc(out, '\n');
        return;
    }
    buf_puts(out, "sent, matched by ");
    for (size_t i = 0; i < e->n_routes; i++) {
        if (explained_route_matches(&e->routes[i])) {
            buf_printf(out, "%sroutes[%zu]", separator, e->routes[i].index);
            separator = ", ";
        }
    }
    buf_putc(out, '\n');
}

static void print_explanation(struct buf *out, const struct explanation *e,
                              const struct event_row *row)
{
    int width = width_of(e);

    print_verdict(out, e);
    for (size_t i = 0; !e->matches && i < e->n_routes; i++) {
        RIDER_CLEANUP(buf_done) struct buf reason = buf_make(MAX_OUTPUT);
        char name[32];

        (void)snprintf(name, sizeof(name), "routes[%zu]", e->routes[i].index);
        put_reason(&reason, &e->routes[i], row);
        print_text(out, width, name, buf_text(&reason));
    }
    if (!e->matches) {
        return;
    }
    print_text(out, width, "envelope", e->envelope);
    for (size_t i = 0; i < e->n_lines; i++) {
        print_line(out, width, e->lines[i].name, e->lines[i].value);
    }
    if (e->problem[0] != '\0') {
        print_text(out, width, "problem", e->problem);
    }
}

static void print_event(struct buf *out, const struct event_row *row)
{
    static const struct rider_bytes space = {" ", 1};
    char time[CLOCK_RFC3339_SIZE];

    (void)clock_format_rfc3339(row->occurred_at_us, time);
    buf_printf(out, "event %s: ", row->id);
    print_safe(out, row->type);
    buf_puts(out, " of ");
    print_safe(out, row->aggregate_type);
    print_safe(out, row->aggregate_type.len > 0 ? space : (struct rider_bytes){0});
    print_safe(out, row->aggregate_id);
    buf_printf(out, ", version %d, %s\n", row->version, time);
}

/* ---- for programs ---------------------------------------------------------- */

static void write_bytes(struct json_writer *w, const char *key,
                        struct rider_bytes bytes)
{
    jw_string_n(w, key, bytes.data, bytes.len);
}

static void write_event(struct json_writer *w, const struct event_row *row)
{
    char time[CLOCK_RFC3339_SIZE];
    size_t len = clock_format_rfc3339(row->occurred_at_us, time);

    jw_object(w, "event");
    jw_string(w, "eventId", row->id);
    write_bytes(w, "type", row->type);
    write_bytes(w, "aggregateType", row->aggregate_type);
    write_bytes(w, "aggregateId", row->aggregate_id);
    jw_int(w, "version", row->version);
    jw_string_n(w, "occurredAt", time, len);
    jw_object_end(w);
}

static void write_route(struct json_writer *w, const struct explained_route *r,
                        const struct event_row *row)
{
    RIDER_CLEANUP(buf_done) struct buf reason = buf_make(MAX_OUTPUT);
    bool matches = explained_route_matches(r);

    put_reason(&reason, r, row);
    jw_object(w, NULL);
    jw_int(w, "index", (int64_t)r->index);
    jw_bool(w, "matches", matches);
    jw_string_or_null(w, "reason", matches ? NULL : buf_text(&reason));
    jw_object_end(w);
}

static void write_explanation(struct json_writer *w, const struct explanation *e,
                              const struct event_row *row)
{
    jw_object(w, NULL);
    jw_string(w, "destination", e->destination->name);
    jw_string(w, "adapter", e->destination->adapter);
    jw_string(w, "envelope", e->envelope);
    jw_bool(w, "matches", e->matches);
    jw_array(w, "routes");
    for (size_t i = 0; i < e->n_routes; i++) {
        write_route(w, &e->routes[i], row);
    }
    jw_array_end(w);
    jw_string_or_null(w, "deadLettersOf", e->dead_letters_of);
    jw_string_or_null(w, "problem", e->problem[0] == '\0' ? NULL : e->problem);
    jw_array(w, "sends");
    for (size_t i = 0; i < e->n_lines; i++) {
        jw_object(w, NULL);
        jw_string(w, "name", e->lines[i].name);
        write_bytes(w, "value", e->lines[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

/* ---- the command ------------------------------------------------------------ */

/* The answer as it grows. */
struct answer {
    bool json;
    struct buf out;
    struct json_writer w;
};

static int explain_all(const struct cli_settings *s, const struct event_row *row,
                       struct answer *a)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    bool refused = false;

    for (size_t i = 0; i < s->settings->n_destinations; i++) {
        RIDER_CLEANUP(explanation_done) struct explanation e;

        if (explanation_make(s, &s->settings->destinations[i], row, &e, &err) != 0) {
            return cli_fail(&err);
        }
        if (a->json) {
            write_explanation(&a->w, &e, row);
        } else {
            print_explanation(&a->out, &e, row);
        }
        refused = refused || e.problem[0] != '\0';
    }
    return refused ? CLI_CONFIG : CLI_OK;
}

static int explain(const struct cli_settings *s, const struct event_row *row, bool json)
{
    struct answer a = {.json = json, .out = buf_make(MAX_OUTPUT)};
    int status;

    a.w = jw_begin(&a.out);
    if (json) {
        jw_object(&a.w, NULL);
        write_event(&a.w, row);
        jw_array(&a.w, "destinations");
    } else {
        print_event(&a.out, row);
    }
    status = explain_all(s, row, &a);
    if (json) {
        jw_array_end(&a.w);
        jw_object_end(&a.w);
        buf_putc(&a.out, '\n');
    }
    if (a.out.failed) {
        status = cli_fail_text(CLI_TEMPORARY, "out of memory");
    } else if (status == CLI_OK || status == CLI_CONFIG) {
        (void)fputs(buf_text(&a.out), stdout);
    }
    buf_done(&a.out);
    return status;
}

static struct rider_bytes text_or(const struct cli_args *args, const char *flag,
                                  const char *otherwise)
{
    const char *text = cli_arg(args, flag);

    text = text == NULL ? otherwise : text;
    return (struct rider_bytes){text, strlen(text)};
}

static int explain_sample(const struct cli_args *args, const struct cli_settings *s)
{
    const struct event_row row = {
        .id = "00000000-0000-7000-8000-000000000000",
        .version = 1,
        .occurred_at_us = clock_wall_us(),
        .type = text_or(args, "sample", ""),
        .aggregate_type = text_or(args, "aggregate-type", ""),
        .aggregate_id = text_or(args, "aggregate-id", "sample"),
        .payload = text_or(args, "payload", "{}"),
    };

    return explain(s, &row, cli_given(args, "json"));
}

static int explain_stored(const struct cli_args *args, const struct cli_settings *s)
{
    struct outbox_stored_event *event = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (outbox_event_read(s->settings->source.dsn, args->operands[0], &event, &err) !=
        0) {
        return cli_fail(&err);
    }
    int status = explain(s, &event->row, cli_given(args, "json"));
    outbox_stored_event_destroy(event);
    return status;
}

static const char *find_misuse(const struct cli_args *args)
{
    bool sample = cli_given(args, "sample");
    bool parts = cli_given(args, "aggregate-type") || cli_given(args, "aggregate-id") ||
                 cli_given(args, "payload");

    if (sample == (args->n_operands > 0)) {
        return "an EVENT-ID or --sample TYPE is needed, and not both";
    }
    return parts && !sample
               ? "--aggregate-type, --aggregate-id and --payload go with --sample"
               : NULL;
}

static int run(const struct cli_args *args)
{
    const char *misuse = find_misuse(args);
    struct cli_settings s;
    int status;

    if (misuse != NULL) {
        return cli_fail_text(CLI_USAGE, "explain: %s", misuse);
    }
    if (args->n_operands > 0 && !parse_is_uuid(args->operands[0])) {
        return cli_fail_text(CLI_DATA, "\"%.80s\" is not an event id (a UUID)",
                             args->operands[0]);
    }
    status = cli_settings_load(args, &s);
    if (status == CLI_OK) {
        status =
            args->n_operands > 0 ? explain_stored(args, &s) : explain_sample(args, &s);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    {"sample", 's', "TYPE", "an event of this type that does not exist"},
    {"aggregate-type", 0, "TYPE", "its kind of aggregate (none)"},
    {"aggregate-id", 'a', "ID", "its aggregate (\"sample\")"},
    {"payload", 'p', "JSON", "its payload, taken as it is ({})"},
    CLI_FLAG_CONFIG,
    CLI_FLAG_ADAPTER_DIR,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_explain = {
    .name = "explain",
    .summary = "show where an event goes and what is sent, without sending",
    .operands = "[EVENT-ID]",
    .description =
        "Shows for every destination whether a route takes the event there, or which\n"
        "key of the route does not fit, and for each match what is sent: topic, key,\n"
        "headers and body, as the relay and the adapter would make them now. Nothing "
        "is\n"
        "connected but the database, and nothing is sent or changed.\n"
        "\n"
        "The event is read from the outbox, as outbox_relay, whether or not a relay "
        "is\n"
        "running. With --sample it is made up, and no database is asked: a way to try\n"
        "routes before there are events. The payload is printed. Secrets are not, and "
        "a\n"
        "webhook's signature is left out. --json gives the bytes exactly.",
    .examples =
        "  postrider explain -c postrider.yaml 0197a1de-0c8f-7cc4-b0c2-6e4a4f6d2f10\n"
        "  postrider explain -c postrider.yaml --sample REQUEST_SUBMITTED \\\n"
        "      --aggregate-type request --aggregate-id R-1 --payload '{\"n\":1}'\n"
        "  postrider explain -c postrider.yaml -s order.paid --json |\n"
        "      jq '.destinations[] | select(.matches) | .destination'\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .max_operands = 1,
    .run = run,
};
