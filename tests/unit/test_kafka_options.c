/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_options.c - defaults, pass-through, refused properties, secrets.
 */
#include "kafka/kafka_options.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BROKER                             \
    {                                      \
        "bootstrap.servers", "127.0.0.1:1" \
    }

static int build(const struct kafka_config *config, enum kafka_role role,
                 rd_kafka_conf_t **ret, char err[300])
{
    return kafka_options_conf(config, "stream", role, ret, err, 300);
}

static struct kafka_config config_of(const struct rider_property *items, size_t n)
{
    return (struct kafka_config){.shape = {.topic = "t"}, .properties = {items, n}};
}

static void assert_value(const rd_kafka_conf_t *conf, const char *name,
                         const char *want)
{
    char text[128];

    kafka_options_get(conf, name, text, sizeof(text));
    assert_string_equal(text, want);
}

static void defaults_keep_the_promises(void **state)
{
    static const struct rider_property items[] = {BROKER};
    struct kafka_config config = config_of(items, 1);
    rd_kafka_conf_t *conf = NULL;
    char err[300];

    (void)state;
    assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    assert_value(conf, "enable.idempotence", "true");
    assert_value(conf, "acks", "-1");
    assert_value(conf, "partitioner", "murmur2_random");
    assert_value(conf, "message.timeout.ms", "30000");
    assert_value(conf, "client.id", "postrider-stream");
    assert_value(conf, "bootstrap.servers", "127.0.0.1:1");
    rd_kafka_conf_destroy(conf);
}

static void properties_win_over_defaults(void **state)
{
    static const struct rider_property items[] = {
        BROKER, {"linger.ms", "50"}, {"compression.type", "lz4"}, {"client.id", "me"}};
    struct kafka_config config = config_of(items, 4);
    rd_kafka_conf_t *conf = NULL;
    char err[300];

    (void)state;
    assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    assert_value(conf, "linger.ms", "50");
    assert_value(conf, "compression.type", "lz4");
    assert_value(conf, "client.id", "me");
    rd_kafka_conf_destroy(conf);
    assert_int_equal(build(&config, KAFKA_SINGLE, &conf, err), 0);
    assert_value(conf, "batch.num.messages", "1");
    assert_value(conf, "linger.ms", "0");
    rd_kafka_conf_destroy(conf);
}

static void what_breaks_a_promise_is_refused(void **state)
{
    static const struct rider_property bad[] = {
        {"enable.idempotence", "false"},
        {"acks", "1"},
        {"request.required.acks", "0"},
        {"delivery.report.only.error", "true"},
        {"transactional.id", "x"},
        {"enabled_events", "1"},
        {"log.queue", "false"},
        {"plugin.library.paths", "/tmp/x.so"},
        {"message.timeout.ms", "0"},
        {"delivery.timeout.ms", "999"},
        {"queue.buffering.max.kbytes", "1"},
        {"no.such.property", "1"},
        {"linger.ms", "soon"},
        {"dr_msg_cb", "1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rider_property items[] = {BROKER, bad[i]};
        struct kafka_config config = config_of(items, 2);
        rd_kafka_conf_t *conf = NULL;
        char err[300] = "";

        assert_int_not_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
        print_message("%s\n", err);
        assert_non_null(strchr(err, '"'));
        assert_null(conf);
    }
}

static void the_allowed_spelling_of_an_owned_value_passes(void **state)
{
    static const struct rider_property items[] = {
        BROKER, {"enable.idempotence", "True"}, {"acks", "-1"}};
    struct kafka_config config = config_of(items, 3);
    rd_kafka_conf_t *conf = NULL;
    char err[300];

    (void)state;
    assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    rd_kafka_conf_destroy(conf);
}

static void brokers_are_required(void **state)
{
    struct kafka_config config = config_of(NULL, 0);
    rd_kafka_conf_t *conf = NULL;
    char err[300];

    (void)state;
    assert_int_not_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    assert_non_null(strstr(err, "bootstrap.servers"));
}

/* What only a handle finds: files, and properties that contradict each other. */
static void the_library_checks_them_together(void **state)
{
    static const struct rider_property bad[][2] = {
        {{"security.protocol", "ssl"}, {"ssl.ca.location", "/no/such/file"}},
        {{"security.protocol", "ssl"}, {"ssl.certificate.location", "/no/such/file"}},
        {{"security.protocol", "sasl_ssl"}, {"sasl.mechanism", "NONSENSE"}},
        {{"max.in.flight", "6"}, {"linger.ms", "5"}},
        {{"retries", "0"}, {"linger.ms", "5"}},
        {{"message.timeout.ms", "1000"}, {"linger.ms", "2000"}},
    };
    static const struct rider_property fine[] = {BROKER,
                                                 {"security.protocol", "sasl_ssl"},
                                                 {"sasl.mechanism", "SCRAM-SHA-512"},
                                                 {"sasl.username", "rider"}};
    struct kafka_config config = config_of(fine, 4);
    char err[400] = "";

    (void)state;
    config.sasl_password = "hunter2";
    assert_int_equal(kafka_options_check(&config, "stream", err, sizeof(err)), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rider_property items[] = {BROKER, bad[i][0], bad[i][1]};
        rd_kafka_conf_t *conf = NULL;

        config = config_of(items, 3);
        config.sasl_password = "hunter2";
        assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
        rd_kafka_conf_destroy(conf);
        assert_int_not_equal(kafka_options_check(&config, "stream", err, 400), 0);
        print_message("%s\n", err);
        assert_null(strstr(err, "hunter2"));
    }
}

static void headers_are_no_properties(void **state)
{
    static const struct rider_property items[] = {BROKER, {"header.kind", "{type}"}};
    struct kafka_config config = config_of(items, 2);
    rd_kafka_conf_t *conf = NULL;
    char err[300];

    (void)state;
    assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    rd_kafka_conf_destroy(conf);
}

static void secrets_reach_the_library_and_no_message(void **state)
{
    static const struct rider_property items[] = {BROKER};
    struct kafka_config config = config_of(items, 1);
    rd_kafka_conf_t *conf = NULL;
    char err[300] = "";

    (void)state;
    config.sasl_password = "hunter2";
    assert_int_equal(build(&config, KAFKA_BATCH, &conf, err), 0);
    assert_value(conf, "sasl.password", "hunter2");
    rd_kafka_conf_destroy(conf);
    for (const struct rider_option *o = kafka_options; o->name != NULL; o++) {
        int secret = strstr(o->name, "password") != NULL ||
                     strstr(o->name, "secret") != NULL ||
                     strstr(o->name, "pem") != NULL;
        assert_true(!secret || (o->flags & RIDER_OPT_SECRET) != 0);
        assert_non_null(o->help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_keep_the_promises),
        cmocka_unit_test(properties_win_over_defaults),
        cmocka_unit_test(what_breaks_a_promise_is_refused),
        cmocka_unit_test(the_allowed_spelling_of_an_owned_value_passes),
        cmocka_unit_test(brokers_are_required),
        cmocka_unit_test(the_library_checks_them_together),
        cmocka_unit_test(headers_are_no_properties),
        cmocka_unit_test(secrets_reach_the_library_and_no_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
