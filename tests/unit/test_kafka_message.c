/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_message.c - topic, key, partition, headers, time, value and size.
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

static const struct rider_properties no_properties = {NULL, 0};

/* What a test parses lives until it makes the next. */
struct made {
    struct kafka_shape shape;
    struct kafka_addressing to;
};

static int parse(struct made *made, struct kafka_shape shape,
                 const struct rider_properties *properties)
{
    char err[200] = "";

    made->shape = shape;
    int rc = kafka_addressing_init(&made->to, &made->shape, properties, 10000, err,
                                   sizeof(err));
    assert_true((rc == 0) == (err[0] == '\0'));
    return rc;
}

static const struct kafka_addressing *shaped(struct kafka_shape shape)
{
    static struct made made;

    assert_int_equal(parse(&made, shape, &no_properties), 0);
    return &made.to;
}

static const struct kafka_addressing *addressing(const char *topic, const char *key)
{
    return shaped((struct kafka_shape){.topic = topic, .key = key});
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
    const struct kafka_addressing *to =
        addressing("events.{aggregateType}", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_string_equal(m.topic, "events.order");
    assert_int_equal(m.key_len, 4);
    assert_memory_equal(m.key, "A-17", 4);
    assert_int_equal(m.timestamp_ms, 0); /* the time of sending */
    assert_int_equal(m.partition, -1);
    assert_ptr_equal(m.value.data, event.body.data);
    assert_header(&m, "eventId", "0190a2b4-1111-7222-8333-123456789abc");
    assert_header(&m, "occurredAt", "2023-11-14T22:13:20.123456Z");
    assert_header(&m, "version", "2");
    assert_header(&m, "content-type", "application/json");
}

static void a_destination_may_send_the_id_alone(void **state)
{
    const struct kafka_addressing *to =
        shaped((struct kafka_shape){.topic = "events", .headers = KAFKA_HEADERS_ID});
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_int_equal(m.headers.n, 1);
    assert_header(&m, "eventId", "0190a2b4-1111-7222-8333-123456789abc");
}

static void cloudevents_attributes_become_headers(void **state)
{
    static const struct rider_header attributes[] = {{BYTES("id"), BYTES("7")},
                                                     {BYTES("source"), BYTES("/app")}};
    const struct kafka_addressing *to = addressing("t", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.envelope = RIDER_ENVELOPE_CE_BINARY;
    event.attributes = attributes;
    event.n_attributes = 2;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_header(&m, "ce_id", "7");
    assert_header(&m, "ce_source", "/app");
}

static void keys_come_from_the_template(void **state)
{
    const struct kafka_addressing *to = addressing("t", "{type}/{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_int_equal(m.key_len, strlen("ORDER_PLACED/A-17"));
    assert_memory_equal(m.key, "ORDER_PLACED/A-17", m.key_len);
    to = addressing("t", "");
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_null(m.key);
    event.aggregate_id.len = 0;
    to = addressing("t", "{aggregateId}");
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_null(m.key);
}

static void a_bad_topic_name_is_no_route(void **state)
{
    static const char *const types[] = {"a b", "", "..", "\xc3\xa4", "a/b", "a\nb"};
    const struct kafka_addressing *to = addressing("{aggregateType}", "");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;
    char long_type[300];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        event.aggregate_type = (struct rider_bytes){types[i], strlen(types[i])};
        assert_int_equal(kafka_message_build(&m, to, &event, &no), -1);
        assert_int_equal(no.result.outcome, RIDER_UNROUTABLE);
        assert_int_equal(no.result.cause, RIDER_CAUSE_NO_ROUTE);
        assert_null(strchr(no.result.reason, '\n'));
    }
    memset(long_type, 'a', sizeof(long_type));
    event.aggregate_type = (struct rider_bytes){long_type, KAFKA_TOPIC_MAX};
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    event.aggregate_type.len++;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), -1);
    assert_int_equal(no.result.cause, RIDER_CAUSE_NO_ROUTE);
}

static void size_counts_body_key_and_headers(void **state)
{
    static char text[20000];
    struct rider_header big = {BYTES("big"), {text, 9000}};
    const struct kafka_addressing *to = addressing("t", "{aggregateId}");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.headers = &big;
    event.n_headers = 1;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    event.body = (struct rider_bytes){text, 1000};
    assert_int_equal(kafka_message_build(&m, to, &event, &no), -1);
    assert_int_equal(no.result.outcome, RIDER_REJECTED);
    assert_int_equal(no.result.cause, RIDER_CAUSE_TOO_LARGE);
    event.n_headers = 0;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
}

static void the_time_can_be_the_event_s(void **state)
{
    const struct kafka_addressing *to =
        shaped((struct kafka_shape){.topic = "t", .timestamp = KAFKA_TIME_OCCURRED});
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_int_equal(m.timestamp_ms, 1700000000123);
    event.occurred_at_us = -5000000; /* before 1970 */
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_int_equal(m.timestamp_ms, 0);
}

static void a_partition_can_be_named(void **state)
{
    static const char *const bad[] = {"", "A-17", "-1", "+1", " 1", "2147483648", "1 "};
    const struct kafka_addressing *to =
        shaped((struct kafka_shape){.topic = "t", .partition = "{aggregateId}"});
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    event.aggregate_id = (struct rider_bytes)BYTES("2147483647");
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_int_equal(m.partition, 2147483647);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        event.aggregate_id = (struct rider_bytes){bad[i], strlen(bad[i])};
        assert_int_equal(kafka_message_build(&m, to, &event, &no), -1);
        assert_int_equal(no.result.outcome, RIDER_UNROUTABLE);
        assert_int_equal(no.result.cause, RIDER_CAUSE_NO_ROUTE);
    }
    event.aggregate_id = (struct rider_bytes)BYTES("1\0002");
    assert_int_equal(kafka_message_build(&m, to, &event, &no), -1);
}

static bool is_tombstone(const struct kafka_shape *shape, const char *type,
                         const char *payload)
{
    const struct kafka_addressing *to = shaped(*shape);
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    event.type = (struct rider_bytes){type, strlen(type)};
    event.payload = (struct rider_bytes){payload, strlen(payload)};
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    return m.value.data == NULL && m.value.len == 0;
}

static void deletions_can_be_tombstones(void **state)
{
    const struct kafka_shape none = {.topic = "t"};
    const struct kafka_shape types = {.topic = "t",
                                      .tombstone = "*.deleted, order.void"};
    const struct kafka_shape nulls = {.topic = "t", .tombstone_on_null = true};

    (void)state;
    assert_false(is_tombstone(&none, "order.deleted", "null"));
    assert_true(is_tombstone(&types, "order.deleted", "{}"));
    assert_true(is_tombstone(&types, "order.void", "{}"));
    assert_false(is_tombstone(&types, "order.avoid", "null"));
    assert_true(is_tombstone(&nulls, "order.void", "null"));
    assert_true(is_tombstone(&nulls, "order.void", " \n null\t\r"));
    assert_false(is_tombstone(&nulls, "order.void", "\"null\""));
    assert_false(is_tombstone(&nulls, "order.void", ""));
}

static void header_values_are_bytes(void **state)
{
    const struct kafka_addressing *to = addressing("t", "");
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;
    char all[256];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (char)i;
    }
    struct rider_header odd = {BYTES("odd"), {all, sizeof(all)}};
    event.headers = &odd;
    event.n_headers = 1;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    const char *value = header(&m, "odd", &len);
    assert_int_equal(len, sizeof(all));
    assert_memory_equal(value, all, len);
}

static void debezium_sends_one_header_named_id(void **state)
{
    const struct kafka_addressing *to =
        shaped((struct kafka_shape){.topic = "outbox.event.{aggregateType}",
                                    .key = "{aggregateId}",
                                    .headers = KAFKA_HEADERS_DEBEZIUM});
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(kafka_message_build(&m, to, &event, &no), 0);
    assert_string_equal(m.topic, "outbox.event.order");
    assert_int_equal(m.headers.n, 1);
    assert_header(&m, "id", "0190a2b4-1111-7222-8333-123456789abc");
}

static void properties_can_be_headers(void **state)
{
    static const struct rider_property items[] = {{"linger.ms", "5"},
                                                  {"header.eventType", "{type}"}};
    const struct rider_properties properties = {items, 2};
    struct made made;
    struct rider_event event = sample();
    struct kafka_message m;
    struct kafka_refusal no;

    (void)state;
    assert_int_equal(parse(&made, (struct kafka_shape){.topic = "t"}, &properties), 0);
    assert_int_equal(kafka_message_build(&m, &made.to, &event, &no), 0);
    assert_header(&m, "eventType", "ORDER_PLACED");
}

static void bad_shapes_are_refused(void **state)
{
    static const struct kafka_shape shapes[] = {
        {.topic = ""},
        {.topic = "{x}"},
        {.topic = "t", .key = "{"},
        {.topic = "t", .partition = "{x}"},
        {.topic = "t", .partition = "two"},
    };
    static const struct rider_property headers[] = {{"header.", "x"},
                                                    {"header.eventId", "x"},
                                                    {"header.ce_id", "x"},
                                                    {"header.x", "{x}"}};
    struct rider_property many[KAFKA_EXTRA_MAX + 1];
    struct made made;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        assert_int_not_equal(parse(&made, shapes[i], &no_properties), 0);
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        const struct rider_properties one = {&headers[i], 1};
        assert_int_not_equal(parse(&made, (struct kafka_shape){.topic = "t"}, &one), 0);
    }
    for (size_t i = 0; i <= KAFKA_EXTRA_MAX; i++) {
        many[i] = (struct rider_property){"header.x", "x"};
    }
    struct rider_properties all = {many, KAFKA_EXTRA_MAX};
    assert_int_equal(parse(&made, (struct kafka_shape){.topic = "t"}, &all), 0);
    all.n++;
    assert_int_not_equal(parse(&made, (struct kafka_shape){.topic = "t"}, &all), 0);
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
        cmocka_unit_test(the_time_can_be_the_event_s),
        cmocka_unit_test(a_partition_can_be_named),
        cmocka_unit_test(deletions_can_be_tombstones),
        cmocka_unit_test(header_values_are_bytes),
        cmocka_unit_test(debezium_sends_one_header_named_id),
        cmocka_unit_test(properties_can_be_headers),
        cmocka_unit_test(bad_shapes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
