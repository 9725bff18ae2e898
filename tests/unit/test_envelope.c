/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_envelope.c - the bytes that receivers get, compared with golden texts.
 */
#include "dispatch/envelope.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID     "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f"
#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct rider_bytes text(const char *s)
{
    return (struct rider_bytes){s, strlen(s)};
}

/* An event as a store hands it over; its payload has spaces and odd numbers. */
static struct event_row plain_row(void)
{
    return (struct event_row){
        .seq = 1,
        .version = 2,
        .occurred_at_us = INT64_C(1709251199123456),
        .id = ID,
        .type = text("REQUEST_SUBMITTED"),
        .aggregate_type = text("request"),
        .aggregate_id = text("42"),
        .payload = text("{ \"b\":1.00,\n \"a\" : [ ]}"),
    };
}

/* Renders as a lane does: the other fields are set first. */
static struct rider_event render(uint32_t envelope, const struct event_row *row,
                                 struct bump *a)
{
    struct rider_event ev = {
        .id = {row->id, EVENT_ID_LEN},
        .type = row->type,
        .aggregate_type = row->aggregate_type,
        .aggregate_id = row->aggregate_id,
    };

    assert_int_equal(envelope_render(envelope, row, a, &ev), 0);
    assert_int_equal(ev.envelope, envelope);
    return ev;
}

static void assert_bytes(struct rider_bytes got, const char *expected)
{
    char *copy = strndup(got.data, got.len);

    assert_string_equal(copy, expected);
    assert_int_equal(got.len, strlen(expected));
    free(copy);
}

static void the_canonical_envelope(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    struct event_row row = plain_row();
    struct rider_event ev = render(RIDER_ENVELOPE_CANONICAL, &row, &a);

    assert_bytes(ev.body, "{\"eventId\":\"" ID "\",\"type\":\"REQUEST_SUBMITTED\","
                          "\"occurredAt\":\"2024-02-29T23:59:59.123456Z\","
                          "\"aggregateId\":\"42\","
                          "\"payload\":{ \"b\":1.00,\n \"a\" : [ ]},\"version\":2,"
                          "\"aggregateType\":\"request\"}");
    assert_bytes(ev.payload, "{ \"b\":1.00,\n \"a\" : [ ]}");
    assert_bytes(ev.content_type, "application/json");
    assert_true(ev.payload.data != row.payload.data); /* the row is borrowed */
    assert_int_equal(ev.n_attributes, 0);

    row.aggregate_type = text("");
    ev = render(RIDER_ENVELOPE_CANONICAL, &row, &a);
    assert_null(memmem(ev.body.data, ev.body.len, "aggregateType", 13));
}

static void the_payload_alone(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    struct event_row row = plain_row();
    struct rider_event ev = render(RIDER_ENVELOPE_PAYLOAD, &row, &a);

    assert_bytes(ev.body, "{ \"b\":1.00,\n \"a\" : [ ]}");
    assert_bytes(ev.payload, "{ \"b\":1.00,\n \"a\" : [ ]}");
    assert_bytes(ev.content_type, "application/json");
    assert_int_equal(ev.n_attributes, 0);
}

static void the_structured_cloud_event(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    const struct rider_header headers[] = {{text("traceparent"), text(PARENT)}};
    struct event_row row = plain_row();

    row.headers = headers;
    row.n_headers = 1;
    struct rider_event ev = render(RIDER_ENVELOPE_CE_STRUCTURED, &row, &a);
    assert_bytes(
        ev.body,
        "{\"specversion\":\"1.0\",\"id\":\"" ID "\",\"source\":\"/outbox/request\","
        "\"type\":\"REQUEST_SUBMITTED\",\"subject\":\"42\","
        "\"time\":\"2024-02-29T23:59:59.123456Z\",\"dataversion\":\"2\","
        "\"traceparent\":\"" PARENT "\",\"datacontenttype\":\"application/json\","
        "\"data\":{ \"b\":1.00,\n \"a\" : [ ]}}");
    assert_bytes(ev.payload, "{ \"b\":1.00,\n \"a\" : [ ]}");
    assert_bytes(ev.content_type, "application/cloudevents+json; charset=UTF-8");
}

static void assert_attribute(const struct rider_event *ev, size_t i, const char *name,
                             const char *value)
{
    assert_true(i < ev->n_attributes);
    assert_bytes(ev->attributes[i].name, name);
    assert_bytes(ev->attributes[i].value, value);
}

static void the_binary_cloud_event(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    const struct rider_header headers[] = {{text("traceparent"), text(PARENT)}};
    struct event_row row = plain_row();
    struct rider_event ev = render(RIDER_ENVELOPE_CE_BINARY, &row, &a);

    assert_bytes(ev.body, "{ \"b\":1.00,\n \"a\" : [ ]}");
    assert_bytes(ev.content_type, "application/json");
    assert_int_equal(ev.n_attributes, 7);
    assert_attribute(&ev, 0, "specversion", "1.0");
    assert_attribute(&ev, 1, "id", ID);
    assert_attribute(&ev, 2, "source", "/outbox/request");
    assert_attribute(&ev, 3, "type", "REQUEST_SUBMITTED");
    assert_attribute(&ev, 4, "subject", "42");
    assert_attribute(&ev, 5, "time", "2024-02-29T23:59:59.123456Z");
    assert_attribute(&ev, 6, "dataversion", "2");

    row.headers = headers;
    row.n_headers = 1;
    ev = render(RIDER_ENVELOPE_CE_BINARY, &row, &a);
    assert_int_equal(ev.n_attributes, 8);
    assert_attribute(&ev, 7, "traceparent", PARENT);
}

/* Attributes of the binary mode are no JSON: nothing in them is escaped. */
static void an_attribute_is_the_text_itself(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    struct event_row row = plain_row();

    row.aggregate_type = text("a\"b\\c");
    struct rider_event ev = render(RIDER_ENVELOPE_CE_BINARY, &row, &a);
    assert_attribute(&ev, 2, "source", "/outbox/a\"b\\c");
}

static void fields_are_escaped_and_the_payload_is_not(void **state)
{
    (void)state;
    RIDER_CLEANUP(bump_done) struct bump a = {0};
    struct event_row row = plain_row();

    row.type = text("T\"\\/\n\x01\x1f\x7f");
    row.aggregate_id = text("\xc3\xa9\t");
    row.payload = text("\"\\u0000 \xc3\xa9 \\n\"");
    struct rider_event ev = render(RIDER_ENVELOPE_CANONICAL, &row, &a);
    assert_bytes(ev.body, "{\"eventId\":\"" ID
                          "\",\"type\":\"T\\\"\\\\/\\u000a\\u0001\\u001f\x7f\","
                          "\"occurredAt\":\"2024-02-29T23:59:59.123456Z\","
                          "\"aggregateId\":\"\xc3\xa9\\u0009\","
                          "\"payload\":\"\\u0000 \xc3\xa9 \\n\",\"version\":2,"
                          "\"aggregateType\":\"request\"}");
}

static void versions_are_whole_numbers(void **state)
{
    static const struct {
        int32_t version;
        const char *text;
    } cases[] = {{0, "0"},
                 {9, "9"},
                 {10, "10"},
                 {1234567890, "1234567890"},
                 {-7, "-7"},
                 {INT32_MAX, "2147483647"},
                 {INT32_MIN, "-2147483648"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP(bump_done) struct bump a = {0};
        struct event_row row = plain_row();
        row.version = cases[i].version;
        struct rider_event ev = render(RIDER_ENVELOPE_CE_BINARY, &row, &a);
        assert_attribute(&ev, 6, "dataversion", cases[i].text);
    }
}

/* Nothing is written beyond the reserved room, whatever the envelope. */
static void the_worst_case_fits(void **state)
{
    (void)state;
    const struct rider_header headers[] = {{text("traceparent"), text(PARENT)}};
    char *worst = malloc(20001);

    assert_non_null(worst);
    memset(worst, 1, 20000);
    worst[20000] = '\0';
    for (uint32_t envelope = 0; envelope < 4; envelope++) {
        RIDER_CLEANUP(bump_done) struct bump a = {0};
        struct event_row row = plain_row();
        row.type = row.aggregate_type = row.aggregate_id = text(worst);
        row.payload = text("0");
        row.version = INT32_MIN;
        row.occurred_at_us = INT64_MAX;
        row.headers = headers;
        row.n_headers = 1;
        struct rider_event ev = render(envelope, &row, &a);
        assert_true(ev.body.len >= 1);
        assert_bytes(ev.payload, "0");
    }
    free(worst);
}

struct parent {
    const char *value;
    bool valid;
};

static const struct parent parents[] = {
    {PARENT, true},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true},
    {"00-00000000000000000000000000000001-0000000000000001-00", true},
    {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
    {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", false},
    {"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-\"x", false},
    {"", false},
};

static void only_valid_traceparents_are_passed_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        RIDER_CLEANUP(bump_done) struct bump a = {0};
        const struct rider_header headers[] = {
            {text("other"), text(PARENT)},
            {text("traceparent"), text(parents[i].value)},
        };
        struct event_row row = plain_row();

        row.headers = headers;
        row.n_headers = 2;
        assert_int_equal(envelope_valid_traceparent(text(parents[i].value)) != 0,
                         parents[i].valid);
        struct rider_event ev = render(RIDER_ENVELOPE_CANONICAL, &row, &a);
        assert_int_equal(memmem(ev.body.data, ev.body.len, "traceparent", 11) != NULL,
                         parents[i].valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_canonical_envelope),
        cmocka_unit_test(the_payload_alone),
        cmocka_unit_test(the_structured_cloud_event),
        cmocka_unit_test(the_binary_cloud_event),
        cmocka_unit_test(an_attribute_is_the_text_itself),
        cmocka_unit_test(fields_are_escaped_and_the_payload_is_not),
        cmocka_unit_test(versions_are_whole_numbers),
        cmocka_unit_test(the_worst_case_fits),
        cmocka_unit_test(only_valid_traceparents_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
