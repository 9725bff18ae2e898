/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_options.c - declares the adapter's keys and builds configurations.
 *
 * Layers, later ones win: defaults below, properties of the file, secrets, and
 * for the single producer its two settings. Refused properties are found first,
 * so that no combination can undo idempotence or lose a report.
 *
 * Invariant: a configuration that comes out reports every message exactly once,
 * in finite time, and only after all in-sync replicas have it.
 */
#include "kafka/kafka_options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONFIG struct kafka_config
#define SECRET(property, member, text)                                       \
    {                                                                        \
        .name = (property), .type = RIDER_STRING, .flags = RIDER_OPT_SECRET, \
        .offset = RIDER_FIELD(CONFIG, member, const char *), .help = (text)  \
    }

/* In the order of enum kafka_headers_choice and of enum kafka_time. */
static const char *const headers_choices[] = {"all", "id", "debezium", NULL};
static const char *const times[] = {"sent", "occurred", NULL};

const struct rider_option kafka_options[] = {
    {.name = "topic",
     .type = RIDER_TEMPLATE,
     .flags = RIDER_OPT_REQUIRED,
     .offset = RIDER_FIELD(CONFIG, shape.topic, const char *),
     .help = "Topic of an event, for example \"events.{aggregateType}\"."},
    {.name = "key",
     .type = RIDER_TEMPLATE,
     .offset = RIDER_FIELD(CONFIG, shape.key, const char *),
     .default_value = "{aggregateId}",
     .help = "Message key, which selects the partition; an empty one is sent as "
             "no key."},
    {.name = "headers",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(CONFIG, shape.headers, uint32_t),
     .default_value = "all",
     .choices = headers_choices,
     .help = "`id` sends the header eventId alone, which costs half as much as `all`; "
             "`debezium` sends it as id, as Debezium's outbox event router does; "
             "CloudEvents attributes and the writer's own headers are sent anyway. "
             "A key `header.NAME` adds a header, whose value is a template."},
    {.name = "partition",
     .type = RIDER_TEMPLATE,
     .offset = RIDER_FIELD(CONFIG, shape.partition, const char *),
     .help = "Number of the partition, for example \"{aggregateId}\" where ids are "
             "such numbers; by default the partitioner hashes the key."},
    {.name = "timestamp",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(CONFIG, shape.timestamp, uint32_t),
     .default_value = "sent",
     .choices = times,
     .help = "Time of the record; with `occurred` the broker deletes events at once "
             "that are older than the topic's retention when they are sent."},
    {.name = "tombstone",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(CONFIG, shape.tombstone, const char *),
     .help = "Patterns of event types, separated by spaces, that are sent with a null "
             "value, for compacted topics: \"*.deleted\"."},
    {.name = "tombstone_on_null",
     .type = RIDER_BOOL,
     .offset = RIDER_FIELD(CONFIG, shape.tombstone_on_null, bool),
     .default_value = "false",
     .help = "Sends an event whose payload is JSON null with a null value."},
    SECRET("sasl.password", sasl_password, "Password for SASL PLAIN and SCRAM."),
    SECRET("ssl.key.password", ssl_key_password, "Passphrase of the private key."),
    SECRET("ssl.key.pem", ssl_key_pem, "Private key in PEM form."),
    SECRET("ssl.keystore.password", ssl_keystore_password,
           "Password of the PKCS#12 key store."),
    SECRET("sasl.oauthbearer.client.secret", oauth_client_secret,
           "Client secret for OAUTHBEARER with method oidc."),
    SECRET("sasl.oauthbearer.config", oauth_config,
           "Token settings for OAUTHBEARER with method default."),
    {.name = "properties",
     .type = RIDER_PROPERTIES,
     .offset = RIDER_FIELD(CONFIG, properties, struct rider_properties),
     .help = "Every other key is a librdkafka property, such as bootstrap.servers."},
    {0},
};

static const struct rider_property defaults[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"log.queue", "true"},
    /* As the Java client: the same key goes to the same partition. */
    {"partitioner", "murmur2_random"},
    {"linger.ms", "5"},
    {"message.timeout.ms", "30000"},
    /* How long a topic nobody has may still turn up (auto-creation). */
    {"topic.metadata.propagation.max.ms", "3000"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "262144"},
    {"reconnect.backoff.max.ms", "3000"},
    {"socket.keepalive.enable", "true"},
};

/* One message a batch, at once: a broker's verdict then means that message. */
static const struct rider_property single_overrides[] = {
    {"batch.num.messages", "1"},
    {"linger.ms", "0"},
};

/* No broker is asked, no name resolved. */
static const struct rider_property trial_overrides[] = {
    {"bootstrap.servers", ""},
    {"log_level", "0"},
};

/* Properties with a fixed value (`allowed`, "|"-separated; NULL: none). */
struct owned_property {
    const char *name, *allowed, *why;
};

static const struct owned_property owned[] = {
    {"enable.idempotence", "true", "retries would duplicate and reorder"},
    {"acks", "all|-1", "an event counts as delivered only on all in-sync replicas"},
    {"request.required.acks", "all|-1",
     "an event counts as delivered only on all in-sync replicas"},
    {"delivery.report.only.error", "false", "each event needs its report"},
    {"transactional.id", NULL, "the adapter does not use transactions"},
    {"enabled_events", NULL, "the adapter selects the events it serves"},
    {"log.queue", "true", "the adapter forwards the library's log itself"},
    {"plugin.library.paths", NULL, "it would load foreign code into the relay"},
};

static int fail(char *err, size_t err_size, const char *name, const char *why)
{
    (void)snprintf(err, err_size, "property \"%s\": %s", name, why);
    return EINVAL;
}

static int allowed(const char *list, const char *value)
{
    size_t len = strlen(value);

    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t word = strcspn(at, "|");
        if (word == len && strncasecmp(at, value, len) == 0) {
            return 1;
        }
        at += word + (at[word] == '|');
    }
    return 0;
}

/* Whether the adapter may be run with this property. */
static int check_owned(const struct rider_property *property, char *err,
                       size_t err_size)
{
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        if (strcmp(owned[i].name, property->name) == 0 &&
            !allowed(owned[i].allowed, property->value)) {
            (void)snprintf(err, err_size, "property \"%s\" cannot be \"%s\": %s",
                           property->name, property->value, owned[i].why);
            return EINVAL;
        }
    }
    return 0;
}

static unsigned long long number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];

    kafka_options_get(conf, name, text, sizeof(text));
    return strtoull(text, NULL, 10);
}

/* A timeout of 0 means "never" to the library: a ticket could stay open for ever. */
static int check_timeout(const rd_kafka_conf_t *conf, char *err, size_t err_size)
{
    unsigned long long ms = number(conf, "message.timeout.ms");

    if (ms < 1000 || ms > 900000) {
        return fail(err, err_size, "message.timeout.ms",
                    "must be between 1000 and 900000");
    }
    return 0;
}

/* A message that never fits the queue would hold back all others. */
static int check_queue(const rd_kafka_conf_t *conf, char *err, size_t err_size)
{
    if (number(conf, "queue.buffering.max.kbytes") * 1024 <
        number(conf, "message.max.bytes")) {
        return fail(err, err_size, "queue.buffering.max.kbytes",
                    "cannot hold one message of message.max.bytes");
    }
    return 0;
}

static int check_brokers(const struct rider_properties *properties, char *err,
                         size_t err_size)
{
    static const char *const names[] = {"bootstrap.servers", "metadata.broker.list",
                                        "test.mock.num.brokers"};

    for (size_t i = 0; i < properties->n; i++) {
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            if (strcmp(properties->items[i].name, names[j]) == 0) {
                return 0;
            }
        }
    }
    return fail(err, err_size, "bootstrap.servers", "is required");
}

static bool is_header(const struct rider_property *property)
{
    return strncmp(property->name, KAFKA_EXTRA, strlen(KAFKA_EXTRA)) == 0;
}

static int set_all(rd_kafka_conf_t *conf, const struct rider_property *items, size_t n,
                   char *err, size_t err_size)
{
    for (size_t i = 0; i < n; i++) {
        char why[256];

        if (!is_header(&items[i]) &&
            rd_kafka_conf_set(conf, items[i].name, items[i].value, why, sizeof(why)) !=
                RD_KAFKA_CONF_OK) {
            return fail(err, err_size, items[i].name, why);
        }
    }
    return 0;
}

static int set_secrets(rd_kafka_conf_t *conf, const struct kafka_config *config,
                       char *err, size_t err_size)
{
    const struct rider_property secrets[KAFKA_N_SECRETS] = {
        {"sasl.password", config->sasl_password},
        {"ssl.key.password", config->ssl_key_password},
        {"ssl.key.pem", config->ssl_key_pem},
        {"ssl.keystore.password", config->ssl_keystore_password},
        {"sasl.oauthbearer.client.secret", config->oauth_client_secret},
        {"sasl.oauthbearer.config", config->oauth_config},
    };

    for (size_t i = 0; i < KAFKA_N_SECRETS; i++) {
        if (secrets[i].value == NULL) {
            continue;
        }
        /* The library's own text could repeat the value. */
        if (rd_kafka_conf_set(conf, secrets[i].name, secrets[i].value, NULL, 0) !=
            RD_KAFKA_CONF_OK) {
            return fail(err, err_size, secrets[i].name, "was refused by librdkafka");
        }
    }
    return 0;
}

static int fill(rd_kafka_conf_t *conf, const struct kafka_config *config,
                const char *destination, enum kafka_role role, char *err,
                size_t err_size)
{
    const struct rider_properties *properties = &config->properties;
    char client_id[128];
    const struct rider_property name = {"client.id", client_id};

    (void)snprintf(client_id, sizeof(client_id), "postrider-%s", destination);
    int rc =
        set_all(conf, defaults, sizeof(defaults) / sizeof(defaults[0]), err, err_size);
    if (rc == 0) {
        rc = set_all(conf, &name, 1, err, err_size);
    }
    if (rc == 0) {
        rc = set_all(conf, properties->items, properties->n, err, err_size);
    }
    if (rc == 0) {
        rc = set_secrets(conf, config, err, err_size);
    }
    if (rc == 0 && role == KAFKA_SINGLE) {
        rc = set_all(conf, single_overrides,
                     sizeof(single_overrides) / sizeof(single_overrides[0]), err,
                     err_size);
    }
    if (rc == 0 && role == KAFKA_TRIAL) {
        rc = set_all(conf, trial_overrides,
                     sizeof(trial_overrides) / sizeof(trial_overrides[0]), err,
                     err_size);
    }
    if (rc == 0) {
        rc = check_timeout(conf, err, err_size);
    }
    return rc == 0 ? check_queue(conf, err, err_size) : rc;
}

int kafka_options_conf(const struct kafka_config *config, const char *destination,
                       enum kafka_role role, rd_kafka_conf_t **ret, char *err,
                       size_t err_size)
{
    const struct rider_properties *properties = &config->properties;
    int rc = check_brokers(properties, err, err_size);

    for (size_t i = 0; rc == 0 && i < properties->n; i++) {
        rc = check_owned(&properties->items[i], err, err_size);
    }
    if (rc != 0) {
        return rc;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rc = fill(conf, config, destination, role, err, err_size);
    if (rc != 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    *ret = conf;
    return 0;
}

int kafka_options_check(const struct kafka_config *config, const char *destination,
                        char *err, size_t err_size)
{
    rd_kafka_conf_t *conf = NULL;
    char text[400];
    int rc = kafka_options_conf(config, destination, KAFKA_TRIAL, &conf, err, err_size);

    if (rc != 0) {
        return rc;
    }
    kafka_options_get(conf, "sasl.oauthbearer.method", text, sizeof(text));
    if (strcmp(text, "oidc") == 0 || number(conf, "test.mock.num.brokers") > 0) {
        rd_kafka_conf_destroy(conf); /* such a handle asks for a token, or listens */
        return 0;
    }
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (rk == NULL) {
        (void)snprintf(err, err_size, "librdkafka refuses these properties: %s", text);
        rd_kafka_conf_destroy(conf);
        return EINVAL;
    }
    rd_kafka_destroy(rk);
    return 0;
}

void kafka_options_get(const rd_kafka_conf_t *conf, const char *name, char *out,
                       size_t out_size)
{
    size_t size = out_size;

    out[0] = '\0';
    if (rd_kafka_conf_get(conf, name, out, &size) != RD_KAFKA_CONF_OK) {
        out[0] = '\0';
    }
    out[out_size - 1] = '\0';
}
