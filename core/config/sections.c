/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sections.c - every key of the configuration file but the adapters' options.
 *
 * Tables only. A new key is one row here and one member in settings.h.
 */
#include "config/sections.h"

#include "config/option_value.h"

#define DAY_MS  INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

#define SOURCE(member, T)      RIDER_FIELD(struct source_settings, member, T)
#define DESTINATION(member, T) RIDER_FIELD(struct destination_settings, member, T)
#define RETRY(member, T)       RIDER_FIELD(struct retry_settings, member, T)
#define ROUTE(member)          RIDER_FIELD(struct route_keys, member, const char *const *)

#define KEYS(table, S, names)                                                    \
    {                                                                            \
        .rows = (table), .row_size = sizeof(*(table)), .config_size = sizeof(S), \
        .sections = (names),                                                     \
    }

static const char *const envelopes[] = {
    "canonical", "payload", "cloudevents-structured", "cloudevents-binary", NULL};
static const char *const orderings[] = {"key", "none", NULL};
static const char *const on_dead[] = {"skip", "hold", NULL};
static const char *const starts[] = {"beginning", "now", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"auto", "human", "json", NULL};

static const struct rider_option source_rows[] = {
    {.name = "dsn",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_REQUIRED | RIDER_OPT_SECRET,
     .offset = SOURCE(dsn, const char *),
     .help = "The database: a libpq connection string or URI. When it is not set, "
             "the environment variable DATABASE_URL."},
    {.name = "poll_min",
     .type = RIDER_MS,
     .offset = SOURCE(poll_min_ms, uint64_t),
     .default_value = "2ms",
     .min = 1,
     .max = 60000,
     .help = "The pause between two polls while events arrive."},
    {.name = "poll_max",
     .type = RIDER_MS,
     .offset = SOURCE(poll_max_ms, uint64_t),
     .default_value = "100ms",
     .min = 1,
     .max = 60000,
     .help = "The pause that polling backs off to when there is nothing to do."},
    {.name = "lease",
     .type = RIDER_MS,
     .offset = SOURCE(lease_ms, uint64_t),
     .default_value = "10s",
     .min = 1000,
     .max = HOUR_MS,
     .help = "How long a destination stays with a process that went silent."},
    {.name = "retention",
     .type = RIDER_MS,
     .offset = SOURCE(retention_ms, uint64_t),
     .default_value = "7d",
     .min = 0,
     .max = 3650 * DAY_MS,
     .help = "How long settled events are kept in the database."},
    {.name = "batch",
     .type = RIDER_INT,
     .offset = SOURCE(batch, int64_t),
     .default_value = "1000",
     .min = 1,
     .max = 1000,
     .help = "The number of events in one read."},
    {0},
};

static const struct rider_option retry_rows[] = {
    {.name = "initial",
     .type = RIDER_MS,
     .offset = RETRY(initial_ms, uint64_t),
     .default_value = "200ms",
     .min = 1,
     .max = HOUR_MS,
     .help = "The first delay; it doubles with each failure, with full jitter."},
    {.name = "max",
     .type = RIDER_MS,
     .offset = RETRY(max_ms, uint64_t),
     .default_value = "5m",
     .min = 1,
     .max = DAY_MS,
     .help = "The longest delay."},
    {.name = "max_attempts",
     .type = RIDER_INT,
     .offset = RETRY(max_attempts, int64_t),
     .default_value = "20",
     .min = 1,
     .max = 1000000,
     .help = "After so many failures of its own an event is dead. An unreachable "
             "destination does not count."},
    {0},
};

static const struct rider_option destination_rows[] = {
    {.name = "name",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_REQUIRED,
     .offset = DESTINATION(name, const char *),
     .help = "Names the destination in routes, metrics and the database: "
             "[a-z][a-z0-9_-]{0,62}. A new name is a new destination."},
    {.name = "adapter",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_REQUIRED,
     .offset = DESTINATION(adapter, const char *),
     .help = "The adapter: \"kafka\" is the file postrider-kafka.so in adapter_dir."},
    {.name = "envelope",
     .type = RIDER_ENUM,
     .offset = DESTINATION(envelope, uint32_t),
     .default_value = "canonical",
     .choices = envelopes,
     .help = "How an event is written: the canonical envelope, the payload alone, "
             "or CloudEvents."},
    {.name = "ordering",
     .type = RIDER_ENUM,
     .offset = DESTINATION(ordering, uint32_t),
     .default_value = "key",
     .choices = orderings,
     .help = "\"key\" delivers the events of one aggregate in commit order; \"none\" "
             "delivers as fast as it can."},
    {.name = "on_dead",
     .type = RIDER_ENUM,
     .offset = DESTINATION(on_dead, uint32_t),
     .default_value = "skip",
     .choices = on_dead,
     .help = "After a dead event, \"skip\" goes on with its aggregate; \"hold\" holds "
             "the aggregate until an operator decides."},
    {.name = "start_from",
     .type = RIDER_ENUM,
     .offset = DESTINATION(start_from, uint32_t),
     .default_value = "beginning",
     .choices = starts,
     .help = "Where a destination starts that has never run."},
    {.name = "max_in_flight",
     .type = RIDER_INT,
     .offset = DESTINATION(max_in_flight, int64_t),
     .default_value = "4096",
     .min = 1,
     .max = 1000000,
     .help = "Events handed to the adapter and not yet confirmed: at most so many "
             "can be sent twice after a crash."},
    {.name = "max_bytes",
     .type = RIDER_SIZE,
     .offset = DESTINATION(max_bytes, uint64_t),
     .default_value = "16MB",
     .min = 64 << 10,
     .max = INT64_C(64) << 30,
     .help = "Memory for the events of this destination."},
    {.name = "dead_letter",
     .type = RIDER_STRING,
     .offset = DESTINATION(dead_letter, const char *),
     .help = "The destination that gets this one's dead events too, with the cause in "
             "headers."},
    {.name = "partitions",
     .type = RIDER_INT,
     .offset = DESTINATION(partitions, int64_t),
     .default_value = "1",
     .min = 1,
     .max = 64,
     .help = "Splits the destination by aggregate, so that several processes carry it. "
             "Cannot change once it has run."},
    {.name = "subscriptions",
     .type = RIDER_BOOL,
     .offset = DESTINATION(subscriptions, bool),
     .default_value = "false",
     .help = "Deliver each event once for every matching subscription."},
    {0},
};

static const struct rider_option match_rows[] = {
    {.name = "type",
     .type = OPTION_TEXTS,
     .offset = ROUTE(types),
     .help = "Event types; \"*\" stands for any text. Without it, every type."},
    {.name = "aggregate_type",
     .type = OPTION_TEXTS,
     .offset = ROUTE(aggregate_types),
     .help = "Aggregate types; \"*\" stands for any text. Without it, every one."},
    {0},
};

static const struct rider_option route_rows[] = {
    {.name = "to",
     .type = OPTION_TEXTS,
     .flags = RIDER_OPT_REQUIRED,
     .offset = ROUTE(to),
     .help = "Names of the destinations that get the matching events."},
    {0},
};

static const struct rider_option ops_rows[] = {
    {.name = "listen",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct ops_settings, listen, const char *),
     .help = "Address and port of /metrics and the health probes, for example "
             "127.0.0.1:9464. Without it there is no listener."},
    {0},
};

static const struct rider_option api_rows[] = {
    {.name = "listen",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct api_settings, listen, const char *),
     .help = "Address and port of the HTTP API, for example 127.0.0.1:8080. Without it "
             "there is no API."},
    {.name = "token_file",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct api_settings, token_file, const char *),
     .help = "Who may use the API: a line for each principal with its name, its scopes "
             "(read, write, webhooks.read, webhooks.write, with commas between them) "
             "and the SHA-256 of its token in hex. Read again when it changes."},
    {.name = "hosts",
     .type = OPTION_TEXTS,
     .offset = RIDER_FIELD(struct api_settings, hosts, const char *const *),
     .help = "More names under which clients reach the API, such as that of a proxy. "
             "Requests whose Host header names anything else but these, the address "
             "itself or loopback are refused."},
    {.name = "plaintext",
     .type = RIDER_BOOL,
     .offset = RIDER_FIELD(struct api_settings, plaintext, bool),
     .default_value = "false",
     .help = "Listen on an address that other hosts reach, although the API speaks no "
             "TLS: for use behind a proxy that does."},
    {0},
};

static const struct rider_option webhooks_rows[] = {
    {.name = "key_ring",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct webhooks_settings, key_ring, const char *),
     .help = "The file of the keys that secrets of subscriptions are encrypted with in "
             "the database, by absolute path: `postrider secrets new-key` makes its "
             "lines. Required where a destination has subscriptions."},
    {.name = "signing_key",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = RIDER_FIELD(struct webhooks_settings, signing_key, const char *),
     .help = "The whsk_ key of the v1a signatures, for subscriptions that want them. "
             "Its public key is published by the API."},
    {0},
};

static const struct rider_option log_rows[] = {
    {.name = "level",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(struct log_settings, level, uint32_t),
     .default_value = "info",
     .choices = levels,
     .help = "The least severe lines that are written."},
    {.name = "format",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(struct log_settings, format, uint32_t),
     .default_value = "auto",
     .choices = formats,
     .help = "\"auto\" is for people on a terminal and JSON elsewhere."},
    {0},
};

static const struct rider_option root_rows[] = {
    {.name = "adapter_dir",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct settings, adapter_dir, const char *),
     .help = "The folder of the adapters. Without it, the one that was built in."},
    {.name = "drain",
     .type = RIDER_MS,
     .offset = RIDER_FIELD(struct settings, drain_ms, uint64_t),
     .default_value = "10s",
     .min = 0,
     .max = HOUR_MS,
     .help = "How long a stop waits for open deliveries."},
    {0},
};

static const char *const destination_names[] = {"retry", "options", NULL};
static const char *const route_names[] = {"match", NULL};
static const char *const root_names[] = {"source", "destinations", "routes", "ops",
                                         "api",    "webhooks",     "log",    NULL};

static const struct section source = {
    .name = "source",
    .help = "The database the events come from.",
    .keys = KEYS(source_rows, struct source_settings, NULL),
};
static const struct section retry = {
    .name = "retry",
    .help = "What happens after a delivery failed.",
    .keys = KEYS(retry_rows, struct retry_settings, NULL),
};
static const struct section options = {
    .name = "options",
    .help = "The adapter's own keys: `postrider adapters` lists them.",
    .open = true,
};
static const struct section *const destination_sections[] = {&retry, &options, NULL};
static const struct section destination = {
    .name = "destinations",
    .help = "Where events go. Each destination reads the events at its own pace.",
    .list = true,
    .keys = KEYS(destination_rows, struct destination_settings, destination_names),
    .sections = destination_sections,
};
static const struct section match = {
    .name = "match",
    .help = "Which events a route takes: those that fit every key given here.",
    .keys = KEYS(match_rows, struct route_keys, NULL),
};
static const struct section *const route_sections[] = {&match, NULL};
static const struct section route = {
    .name = "routes",
    .help = "Which events go where. An event goes to every destination of every "
            "route that matches it.",
    .list = true,
    .keys = KEYS(route_rows, struct route_keys, route_names),
    .sections = route_sections,
};
static const struct section ops = {
    .name = "ops",
    .help = "Metrics and health probes.",
    .keys = KEYS(ops_rows, struct ops_settings, NULL),
};
static const struct section api = {
    .name = "api",
    .help = "The HTTP API: status, stuck events, dead letters, webhook subscriptions.",
    .keys = KEYS(api_rows, struct api_settings, NULL),
};
static const struct section webhooks = {
    .name = "webhooks",
    .help = "What all subscriptions share.",
    .keys = KEYS(webhooks_rows, struct webhooks_settings, NULL),
};
static const struct section log_section = {
    .name = "log",
    .help = "What is written to standard error.",
    .keys = KEYS(log_rows, struct log_settings, NULL),
};
static const struct section *const root_sections[] = {
    &source, &destination, &route, &ops, &api, &webhooks, &log_section, NULL};
static const struct section root = {
    .help = "The configuration of Postrider.",
    .keys = KEYS(root_rows, struct settings, root_names),
    .sections = root_sections,
};

const struct section *section_root(void)
{
    return &root;
}

const struct section *section_source(void)
{
    return &source;
}

const struct section *section_ops(void)
{
    return &ops;
}

const struct section *section_api(void)
{
    return &api;
}

const struct section *section_webhooks(void)
{
    return &webhooks;
}

const struct section *section_log(void)
{
    return &log_section;
}

const struct section *section_destination(void)
{
    return &destination;
}

const struct section *section_retry(void)
{
    return &retry;
}

const struct section *section_options(void)
{
    return &options;
}

const struct section *section_route(void)
{
    return &route;
}

const struct section *section_match(void)
{
    return &match;
}
