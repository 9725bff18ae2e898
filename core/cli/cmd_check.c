/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_check.c - postrider check: is the configuration right?
 *
 * Reads the file, lets every adapter look at its own options by creating and
 * destroying an instance (create() does no I/O by contract), and reports all
 * mistakes at once. The database is asked only when the user wants it.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "http/listen_address.h"
#include "outbox/admin_query.h"
#include "outbox/migrate.h"
#include "outbox/secret_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The host an instance sees while it is only being checked. It has to be the
 * first member: adapters hand it back by its address. */
struct check_host {
    struct rider_host host;
    struct cli_settings *s;
    unsigned int line;
};

static void ignore_completion(const struct rider_host *host, uint64_t ticket,
                              const struct rider_result *result)
{
    (void)host;
    (void)ticket;
    (void)result;
}

static void ignore_completions(const struct rider_host *host, const uint64_t *tickets,
                               size_t n, const struct rider_result *result)
{
    (void)host;
    (void)tickets;
    (void)n;
    (void)result;
}

static void ignore_writable(const struct rider_host *host)
{
    (void)host;
}

static uint64_t now_ms(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

static void add_problem(struct cli_settings *s, unsigned int line, const char *name,
                        const char *text)
{
    buf_printf(&s->problems, "%s:%u: destination \"%s\": %s\n", s->settings->path, line,
               name, text);
}

/* What an adapter has to say while it is created is for the user, too. */
RIDER_PRINTF(3, 4)
static void take_log(const struct rider_host *host, int level, const char *fmt, ...)
{
    struct check_host check;
    char text[512];
    char line[600];
    va_list ap;

    memcpy(&check, host, sizeof(check));
    if (level > RIDER_LOG_WARN) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)snprintf(line, sizeof(line), "warning: %s", text);
    add_problem(check.s, check.line, host->destination, line);
}

/* Returns whether the adapter accepts its options. */
static bool try_destination(struct cli_settings *s,
                            const struct destination_settings *d)
{
    const struct check_host check = {
        .host = {.struct_size = sizeof(struct rider_host),
                 .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
                 .destination = d->name,
                 .complete = ignore_completion,
                 .complete_many = ignore_completions,
                 .writable = ignore_writable,
                 .log = take_log,
                 .now_ms = now_ms,
                 .flags = d->subscriptions ? RIDER_HOST_SUBSCRIPTIONS : 0},
        .s = s,
        .line = d->line,
    };
    const struct publisher_vtable *vt = NULL;
    struct publisher *self = NULL;
    struct rider_error err;
    char text[256] = "";

    if (plugin_registry_get(s->source.registry, d->adapter, &vt, &err) != 0) {
        add_problem(s, d->line, d->name, err.text);
        return false;
    }
    if (vt->create(&check.host, d->options, &self, text, sizeof(text)) != 0) {
        add_problem(s, d->line, d->name,
                    text[0] == '\0' ? "the adapter refuses its options" : text);
        return false;
    }
    vt->destroy(self);
    return true;
}

static bool check_ops(struct cli_settings *s)
{
    const char *listen = s->settings->ops.listen;
    struct listen_address address;
    struct rider_error err;

    if (listen == NULL) {
        return true;
    }
    if (listen_address_parse(listen, &address, &err) != 0) {
        buf_printf(&s->problems, "%s: ops.listen: %s\n", s->settings->path, err.text);
        return false;
    }
    if (!listen_address_is_loopback(&address)) {
        buf_printf(
            &s->problems,
            "%s: ops.listen: warning: others can reach \"%s\", which asks for no "
            "password\n",
            s->settings->path, listen);
    }
    return true;
}

/* Whether the ring has every key that stored secrets need; an exit status. Who may not
 * look at the numbers learns that. */
static int check_secrets(struct cli_settings *s)
{
    RIDER_CLEANUP(buf_done) struct buf missing = buf_make(1024);
    const struct key_ring *ring = s->configuration->key_ring;
    struct rider_error err;

    if (ring == NULL) {
        return CLI_OK;
    }
    if (secret_store_missing_keys(s->settings->source.dsn, ring, &missing, &err) != 0) {
        buf_printf(&s->problems,
                   "%s: webhooks.key_ring: warning: could not ask which keys stored "
                   "secrets need: %s\n",
                   s->settings->path, err.text);
        return CLI_OK;
    }
    if (missing.len == 0) {
        return CLI_OK;
    }
    buf_printf(
        &s->problems,
        "%s: webhooks.key_ring: \"%s\" lacks key %s, which stored secrets need\n",
        s->settings->path, s->settings->webhooks.key_ring, buf_text(&missing));
    return CLI_CONFIG;
}

/* An exit status; what is wrong with the database is its own class of problem. */
static int check_database(struct cli_settings *s)
{
    struct outbox_status *status = NULL;
    struct rider_error err;
    int rc = outbox_status_read(s->settings->source.dsn, &status, &err);

    if (rc == 0 && status->schema_version != outbox_schema_version()) {
        rc = rider_fail(&err, RIDER_E_SCHEMA,
                        "the outbox schema has version %d, this program needs %d: %s",
                        status->schema_version, outbox_schema_version(),
                        status->schema_version < outbox_schema_version()
                            ? "run \"postrider migrate\""
                            : "run a newer postrider");
    }
    outbox_status_destroy(status);
    if (rc == 0) {
        return check_secrets(s);
    }
    buf_printf(&s->problems, "%s: source.dsn: %s\n", s->settings->path, err.text);
    return cli_exit_of(err.code);
}

static int check_all(const struct cli_args *args, struct cli_settings *s)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    bool good = true;

    if (cli_settings_read(args, s, &err) != 0) {
        /* Without a line of its own the summary is all there is. */
        if (s->problems.len == 0) {
            buf_printf(&s->problems, "%s\n", err.text);
        }
        return CLI_CONFIG;
    }
    for (size_t i = 0; i < s->settings->n_destinations; i++) {
        good = try_destination(s, &s->settings->destinations[i]) && good;
    }
    good = check_ops(s) && good;
    if (!good) {
        return CLI_CONFIG;
    }
    return cli_given(args, "database") ? check_database(s) : CLI_OK;
}

static int print_json(const struct cli_settings *s, const char *path, int status)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make((size_t)4 * 1024 * 1024);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    jw_bool(&w, "ok", status == CLI_OK);
    jw_string(&w, "file", path);
    jw_array(&w, "problems");
    for (const char *p = buf_text(&s->problems); *p != '\0';) {
        size_t len = strcspn(p, "\n");

        jw_string_n(&w, NULL, p, len);
        p += len + (p[len] == '\n' ? 1 : 0);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    if (out.failed) {
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    (void)puts(buf_text(&out));
    return status;
}

static void print_text(const struct cli_settings *s, const char *path, int status)
{
    (void)fputs(buf_text(&s->problems), stderr);
    if (status != CLI_OK) {
        return;
    }
    (void)printf("%s is fine: %zu destinations, %zu routes\n", path,
                 s->settings->n_destinations, s->settings->n_routes);
}

static int run(const struct cli_args *args)
{
    struct cli_settings s;
    const char *path = cli_config_path(args);
    int status = check_all(args, &s);

    if (cli_given(args, "json")) {
        status = print_json(&s, path, status);
    } else {
        print_text(&s, path, status);
    }
    cli_settings_done(&s);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_ADAPTER_DIR,
    {"database", 'd', NULL,
     "also ask the database whether its schema fits, and the key ring"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "check the configuration without starting anything",
    .description =
        "Reads the configuration file, loads the adapters that it names and lets each\n"
        "one judge its options. All mistakes are printed at once, each with file, "
        "line,\n"
        "column and path. Nothing is connected or written, unless --database asks the\n"
        "database, too.",
    .examples = "  postrider check -c postrider.yaml\n"
                "  postrider check -c postrider.yaml --database\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
