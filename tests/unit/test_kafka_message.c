/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_message.c - topic, key, headers, timestamp and size of a message.
 */
#include "kafka/kafka_message.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text)              \
    {                            \
        (text), sizeof(text) - 1 \
    }

static struct rider_event sample(void)
{
    return (struct rider_event){
        .struct_size = sizeof(struct rider_event),
        .ticket = 1,
        .occurred_at_us = 1700000000123456,
        .version = 2,
        .id = BYTES("0190a2b4-1111-7222-8333-123456789abc"),
        .type = BYTES("ORDER_PLACED"),
        .aggregate_type = BYTES("order"),
        .aggregate_id = BYTES("A-17"),
        .body = BYTES("{}"),
        .content_type = BYTES("application/json"),
    };
}

static struct kafka_addressing addressing(const char *topic, const char *key)
{
    struct kafka_addressing to;
    char err[200];

    assert_int_equal(kafka_addressing_init(&to, topic, key, 10000, err, sizeof(err)),
                     0);
    return to;
}

static const char *header(const struct kafka_message *m, const char *name,
                          size_t *ret_len)
{
    for (size_t i = 0; i < m->headers.n; i++) {
        const struct rider_header *h = &m->headers.items[i];
        if (h->name.len == strlen(name) &&
            memcmp(h->name.data, name, h->name.len) == 0) {
            *ret_len = h->value.len;
            return h->value.data;
        }
    }
    return NULL;
}

static void assert_header(const struct kafka_message *m, const char *name,
                          const char *want)
{
    size_t len = 0;
    const char *value = header(m, name, &len);

    assert_non_null(value);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(value, want, len);
}

static void an_event_becomes_a_message(void **state)
{
    struct kafka_addressing to = addressing("events.{aggregateType}", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_string_equal(m.topic, "events.order");
    assert_int_equal(m.key_len, 4);
    assert_memory_equal(m.key, "A-17", 4);
    assert_int_equal(m.timestamp_ms, 1700000000123);
    assert_header(&m, "eventId", "0190a2b4-1111-7222-8333-123456789abc");
    assert_header(&m, "occurredAt", "2023-11-14T22:13:20.123456Z");
    assert_header(&m, "version", "2");
    assert_header(&m, "content-type", "application/json");
}

static void a_destination_may_send_the_id_alone(void **state)
{
    struct kafka_addressing to = addressing("events", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    to.id_only = true;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_int_equal(m.headers.n, 1);
    assert_header(&m, "eventId", "0190a2b4-1111-7222-8333-123456789abc");
}

static void cloudevents_attributes_become_headers(void **state)
{
    static const struct rider_header attributes[] = {{BYTES("id"), BYTES("7")},
                                                     {BYTES("source"), BYTES("/app")}};
    struct kafka_addressing to = addressing("t", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.envelope = RIDER_ENVELOPE_CE_BINARY;
    event.attributes = attributes;
    event.n_attributes = 2;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_header(&m, "ce_id", "7");
    assert_header(&m, "ce_source", "/app");
}

static void keys_come_from_the_template(void **state)
{
    struct kafka_addressing to = addressing("t", "{type}/{aggregateId}");
    struct kafka_addressing none = addressing("t", "");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_int_equal(m.key_len, strlen("ORDER_PLACED/A-17"));
    assert_memory_equal(m.key, "ORDER_PLACED/A-17", m.key_len);
    assert_int_equal(kafka_message_build(&m, &none, &event, &no), 0);
    assert_null(m.key);
    event.aggregate_id.len = 0;
    to = addressing("t", "{aggregateId}");
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_null(m.key);
}

static void a_bad_topic_name_is_no_route(void **state)
{
    static const char *const types[] = {"a b", "", "..", "\xc3\xa4", "a/b", "a\nb"};
    struct kafka_addressing to = addressing("{aggregateType}", "");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;
    char long_type[300];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        event.aggregate_type = (struct rider_bytes){types[i], strlen(types[i])};
        assert_int_equal(kafka_message_build(&m, &to, &event, &no), -1);
        assert_int_equal(no.result.outcome, RIDER_UNROUTABLE);
        assert_int_equal(no.result.cause, RIDER_CAUSE_NO_ROUTE);
        assert_null(strchr(no.result.reason, '\n'));
    }
    memset(long_type, 'a', sizeof(long_type));
    event.aggregate_type = (struct rider_bytes){long_type, KAFKA_TOPIC_MAX};
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    event.aggregate_type.len++;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), -1);
    assert_int_equal(no.result.cause, RIDER_CAUSE_NO_ROUTE);
}

static void size_counts_body_key_and_headers(void **state)
{
    static char text[20000];
    struct rider_header big = {BYTES("big"), {text, 9000}};
    struct kafka_addressing to = addressing("t", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.headers = &big;
    event.n_headers = 1;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    event.body = (struct rider_bytes){text, 1000};
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), -1);
    assert_int_equal(no.result.outcome, RIDER_REJECTED);
    assert_int_equal(no.result.cause, RIDER_CAUSE_TOO_LARGE);
    event.n_headers = 0;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
}

static void a_time_before_1970_is_left_to_the_sender(void **state)
{
    struct kafka_addressing to = addressing("t", "");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.occurred_at_us = -5000000;
    assert_int_equal(kafka_message_build(&m, &to, &event, &no), 0);
    assert_int_equal(m.timestamp_ms, 0);
}

static void bad_templates_are_refused(void **state)
{
    struct kafka_addressing to;
    char err[200];

    (void)state;
    assert_int_not_equal(kafka_addressing_init(&to, "", "", 1000, err, sizeof(err)), 0);
    assert_int_not_equal(kafka_addressing_init(&to, "{x}", "", 1000, err, sizeof(err)),
                         0);
    assert_int_not_equal(kafka_addressing_init(&to, "t", "{", 1000, err, sizeof(err)),
                         0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_becomes_a_message),
        cmocka_unit_test(a_destination_may_send_the_id_alone),
        cmocka_unit_test(cloudevents_attributes_become_headers),
        cmocka_unit_test(keys_come_from_the_template),
        cmocka_unit_test(a_bad_topic_name_is_no_route),
        cmocka_unit_test(size_counts_body_key_and_headers),
        cmocka_unit_test(a_time_before_1970_is_left_to_the_sender),
        cmocka_unit_test(bad_templates_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
