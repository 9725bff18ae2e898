/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rabbitmq_message.c - events become messages that the protocol can carry,
 * or are refused with a cause.
 */
#include "rabbitmq/rabbitmq_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAME 131064

static struct rabbitmq_message message;
static struct rabbitmq_refusal refusal;

static struct rider_bytes text(const char *s)
{
    return (struct rider_bytes){s, strlen(s)};
}

static struct rider_event example(void)
{
    return (struct rider_event){.struct_size = sizeof(struct rider_event),
                                .occurred_at_us = 1700000000123456,
                                .version = 3,
                                .id = text("0190a6f0-0000-7000-8000-000000000001"),
                                .type = text("REQUEST_SUBMITTED"),
                                .aggregate_type = text("request"),
                                .aggregate_id = text("r-1"),
                                .body = text("{}"),
                                .content_type = text("application/json")};
}

static const char *prefix = "cloudEvents_";

static int build(const struct rider_event *event, const char *exchange, const char *key)
{
    char err[160];
    struct rabbitmq_addressing a = {.attribute_prefix = prefix};
    assert_int_equal(template_parse(exchange, &a.exchange, err, sizeof(err)), 0);
    assert_int_equal(template_parse(key, &a.routing_key, err, sizeof(err)), 0);
    memset(&refusal, 0, sizeof(refusal));
    return rabbitmq_message_build(&message, &a, event, FRAME, &refusal);
}

static void assert_bytes(amqp_bytes_t got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.bytes, want, got.len);
}

static const amqp_table_entry_t *header(const char *name)
{
    for (int i = 0; i < message.properties.headers.num_entries; i++) {
        const amqp_table_entry_t *e = &message.properties.headers.entries[i];
        if (e->key.len == strlen(name) && memcmp(e->key.bytes, name, e->key.len) == 0) {
            return e;
        }
    }
    return NULL;
}

static void assert_header(const char *name, const char *want)
{
    const amqp_table_entry_t *e = header(name);
    assert_non_null(e);
    assert_int_equal(e->value.kind, AMQP_FIELD_KIND_UTF8);
    assert_bytes(e->value.value.bytes, want);
}

static void fills_all_properties(void **state)
{
    (void)state;
    struct rider_event event = example();
    struct rider_header own[] = {{text("traceparent"), text("00-ab-cd-01")}};
    event.headers = own;
    event.n_headers = 1;
    assert_int_equal(build(&event, "events.{aggregateType}", "{type}"), 0);
    assert_string_equal(message.exchange, "events.request");
    assert_string_equal(message.routing_key, "REQUEST_SUBMITTED");
    const amqp_basic_properties_t *p = &message.properties;
    assert_int_equal(p->delivery_mode, AMQP_DELIVERY_PERSISTENT);
    assert_int_equal(p->timestamp, 1700000000);
    assert_bytes(p->message_id, "0190a6f0-0000-7000-8000-000000000001");
    assert_bytes(p->type, "REQUEST_SUBMITTED");
    assert_bytes(p->content_type, "application/json");
    assert_header("eventId", "0190a6f0-0000-7000-8000-000000000001");
    assert_header("type", "REQUEST_SUBMITTED");
    assert_header("version", "3");
    assert_header("occurredAt", "2023-11-14T22:13:20.123456Z");
    assert_header("aggregateType", "request");
    assert_header("aggregateId", "r-1");
    assert_header("traceparent", "00-ab-cd-01");
    assert_bytes(message.body, "{}");
}

static void prefixes_cloudevents_attributes(void **state)
{
    (void)state;
    struct rider_event event = example();
    struct rider_header attributes[] = {{text("specversion"), text("1.0")},
                                        {text("source"), text("/approvals")}};
    event.envelope = RIDER_ENVELOPE_CE_BINARY;
    event.attributes = attributes;
    event.n_attributes = 2;
    assert_int_equal(build(&event, "e", "k"), 0);
    assert_header("cloudEvents_specversion", "1.0");
    assert_header("cloudEvents_source", "/approvals");
    prefix = "cloudEvents:";
    assert_int_equal(build(&event, "e", "k"), 0);
    prefix = "cloudEvents_";
    assert_header("cloudEvents:specversion", "1.0");
    assert_null(header("cloudEvents_specversion"));
}

static void sends_to_the_default_exchange(void **state)
{
    (void)state;
    struct rider_event event = example();
    assert_int_equal(build(&event, "", "queue"), 0);
    assert_int_equal(message.exchange_len, 0);
}

static void parks_an_address_that_is_too_long(void **state)
{
    (void)state;
    struct rider_event event = example();
    char type[300];
    memset(type, 't', sizeof(type));
    event.type = (struct rider_bytes){type, RABBITMQ_SHORT_MAX};
    assert_int_equal(build(&event, "e", "{type}"), 0);
    event.type.len++;
    assert_int_equal(build(&event, "e", "{type}"), -1);
    assert_int_equal(refusal.outcome, RIDER_UNROUTABLE);
    assert_int_equal(refusal.why.cause, RIDER_CAUSE_NO_ROUTE);
    assert_non_null(strstr(refusal.why.text, "routing key"));
    /* The type property is left out, the header has it whole. */
    assert_int_equal(build(&event, "e", "k"), 0);
    assert_false(message.properties._flags & AMQP_BASIC_TYPE_FLAG);
    assert_int_equal(header("type")->value.value.bytes.len, 256);
}

static void parks_an_exchange_that_is_not_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xff",
                                      "a\x80",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xe2\x82z"};
    static const char *const good[] = {"a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbfz"};
    struct rider_event event = example();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        event.aggregate_type = text(bad[i]);
        assert_int_equal(build(&event, "{aggregateType}", "k"), -1);
        assert_int_equal(refusal.outcome, RIDER_UNROUTABLE);
        assert_int_equal(refusal.why.cause, RIDER_CAUSE_NO_ROUTE);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        event.aggregate_type = text(good[i]);
        assert_int_equal(build(&event, "{aggregateType}", "k"), 0);
    }
}

static void rejects_headers_the_protocol_cannot_carry(void **state)
{
    (void)state;
    struct rider_event event = example();
    char *big = calloc(1, FRAME);
    struct rider_header own = {text("CC"), text("x")};
    assert_non_null(big);
    event.headers = &own;
    event.n_headers = 1;
    assert_int_equal(build(&event, "e", "k"), -1);
    assert_int_equal(refusal.outcome, RIDER_REJECTED);
    assert_int_equal(refusal.why.cause, RIDER_CAUSE_INVALID_PAYLOAD);
    own = (struct rider_header){{big, 256}, text("x")};
    assert_int_equal(build(&event, "e", "k"), -1);
    assert_int_equal(refusal.why.cause, RIDER_CAUSE_INVALID_PAYLOAD);
    own = (struct rider_header){text("note"), {big, FRAME - 100}};
    assert_int_equal(build(&event, "e", "k"), -1);
    assert_int_equal(refusal.why.cause, RIDER_CAUSE_TOO_LARGE);
    free(big);
}

/** What passes must also pass the library's encoder: it runs after the method
 *  frame went out, too late to refuse. */
static void the_encoder_takes_what_is_let_through(void **state)
{
    (void)state;
    struct rider_event event = example();
    char *frame = calloc(1, FRAME + 8);
    char *value = calloc(1, FRAME);
    assert_non_null(frame);
    assert_non_null(value);
    struct rider_header own = {text("note"), {value, 0}};
    event.headers = &own;
    event.n_headers = 1;
    size_t largest = 0;
    for (size_t len = FRAME - 4000; len < FRAME; len++) {
        own.value.len = len;
        if (build(&event, "e", "k") != 0) {
            break;
        }
        amqp_bytes_t out = {.len = FRAME - 12, .bytes = frame};
        assert_true(amqp_encode_properties(AMQP_BASIC_CLASS, &message.properties, out) >
                    0);
        largest = len;
    }
    assert_in_range(largest, FRAME - 2000, FRAME);
    free(value);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_all_properties),
        cmocka_unit_test(prefixes_cloudevents_attributes),
        cmocka_unit_test(sends_to_the_default_exchange),
        cmocka_unit_test(parks_an_address_that_is_too_long),
        cmocka_unit_test(parks_an_exchange_that_is_not_utf8),
        cmocka_unit_test(rejects_headers_the_protocol_cannot_carry),
        cmocka_unit_test(the_encoder_takes_what_is_let_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
