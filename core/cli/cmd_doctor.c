/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_doctor.c - postrider doctor: what stops progress, and who holds it.
 *
 * Not here: the checks (outbox/doctor.h).
 */
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/doctor.h"

#include <stdio.h>
#include <string.h>

#define SLOW_MS 60000

static void print_finding(void *arg, const struct doctor_finding *f)
{
    RIDER_CLEANUP(buf_done) struct buf line = buf_make(65536);

    (void)arg;
    buf_printf(&line, "%-9s %-13s ", doctor_severity_word(f->severity), f->check);
    if (f->subject[0] != '\0') {
        cli_append_safe(&line, f->subject);
        buf_puts(&line, ": ");
    }
    cli_append_safe(&line, f->text);
    (void)puts(buf_text(&line));
    if (f->advice[0] != '\0') {
        buf_reset(&line);
        cli_append_safe(&line, f->advice);
        (void)printf("%24s-> %s\n", "", buf_text(&line));
    }
}

static void write_finding(void *arg, const struct doctor_finding *f)
{
    struct json_writer *w = arg;

    jw_object(w, NULL);
    jw_string(w, "severity", doctor_severity_word(f->severity));
    jw_string(w, "check", f->check);
    jw_string(w, "subject", f->subject);
    jw_string(w, "text", f->text);
    jw_string(w, "advice", f->advice);
    jw_object_end(w);
}

static int examine(const struct doctor_options *options, bool json)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);
    enum doctor_severity worst;

    if (!json) {
        return (int)doctor_examine(options, print_finding, NULL);
    }
    jw_object(&w, NULL);
    jw_array(&w, "findings");
    worst = doctor_examine(options, write_finding, &w);
    jw_array_end(&w);
    jw_string(&w, "status", doctor_severity_word(worst));
    jw_object_end(&w);
    int status = cli_print_json(&out);
    return status == CLI_OK ? (int)worst : status;
}

/* {"stream","hook"}: names need no escapes. */
static void list_destinations(const struct settings *settings, struct buf *out)
{
    buf_putc(out, '{');
    for (size_t i = 0; i < settings->n_destinations; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        buf_puts(out, settings->destinations[i].name);
    }
    buf_putc(out, '}');
}

static const char *key_ring_of(const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_destinations; i++) {
        if (settings->destinations[i].subscriptions) {
            return settings->webhooks.key_ring;
        }
    }
    return NULL;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(buf_done) struct buf names = buf_make(1 << 20);
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct doctor_options options = {.retention_ms = -1, .slow_ms = SLOW_MS};
    const char *slow = cli_arg(args, "slow");
    uint64_t slow_ms = 0;
    struct cli_settings s;

    if (slow != NULL && parse_duration_ms(slow, &slow_ms, &err) != 0) {
        return cli_fail_text(CLI_USAGE, "doctor: --slow: %s", err.text);
    }
    options.slow_ms = slow == NULL ? SLOW_MS : (int64_t)slow_ms;
    int status = cli_dsn(args, &s, &options.dsn);
    if (status == CLI_OK && s.settings != NULL) {
        list_destinations(s.settings, &names);
        options.destinations = buf_text(&names);
        options.retention_ms = (int64_t)s.settings->source.retention_ms;
        options.key_ring = key_ring_of(s.settings);
        options.is_relay = true;
    }
    if (status == CLI_OK) {
        status = examine(&options, cli_given(args, "json"));
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"slow", 0, "DURATION", "what is open, silent or held for longer counts (1m)"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .summary = "find what stops progress, and who holds it",
    .description =
        "Looks for everything that keeps events from being delivered, or soon will, "
        "and\n"
        "names the holder: sessions with old transactions in any database of the\n"
        "cluster, prepared transactions nobody ended, relays that do not renew their\n"
        "lease, lanes without an owner, paused destinations, destinations that are "
        "down\n"
        "and why, held keys, dead letters, bloat, a wrong clock, missing privileges, "
        "a\n"
        "pooler in between, retention that cannot go on. Each finding says what to "
        "do.\n"
        "\n"
        "With a configuration file it also compares that with the database, and "
        "checks\n"
        "the rights of the relay's own user. The exit status is 0 when all is well, 1\n"
        "with warnings, 2 when something critical was found; others as below.",
    .examples = "  postrider doctor -c postrider.yaml\n"
                "  postrider doctor --dsn 'host=db dbname=app user=ops' --slow 10s\n"
                "  postrider doctor --json | jq '.findings[] | select(.severity != "
                "\"ok\")'\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
