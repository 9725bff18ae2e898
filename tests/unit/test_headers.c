/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_headers.c - the header list of an event, and instants as text.
 */
#include "common/event_time.h"
#include "common/headers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct header_style style = {.attribute_prefix = "ce_",
                                          .content_type_name = "content-type"};

static struct rider_bytes bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static struct rider_event an_event(void)
{
    return (struct rider_event){
        .struct_size = sizeof(struct rider_event),
        .version = 2,
        .occurred_at_us = INT64_C(1795489249123456),
        .id = bytes("id-1"),
        .type = bytes("T"),
        .aggregate_id = bytes("a-1"),
        .content_type = bytes("application/json"),
    };
}

/* "name=value;" of each header. */
static const char *built_in(const struct header_style *in,
                            const struct rider_event *event)
{
    static char text[4096];
    struct headers h;
    char err[128];
    size_t used = 0;

    assert_int_equal(headers_build(&h, event, in, err, sizeof(err)), 0);
    for (size_t i = 0; i < h.n; i++) {
        used += (size_t)snprintf(
            text + used, sizeof(text) - used, "%.*s=%.*s;", (int)h.items[i].name.len,
            (const char *)h.items[i].name.data, (int)h.items[i].value.len,
            (const char *)h.items[i].value.data);
    }
    return text;
}

static const char *built(const struct rider_event *event)
{
    return built_in(&style, event);
}

static void lists_the_standard_headers(void **state)
{
    struct rider_event event = an_event();

    (void)state;
    assert_string_equal(built(&event),
                        "eventId=id-1;type=T;version=2;"
                        "occurredAt=2026-11-24T03:00:49.123456Z;aggregateId=a-1;"
                        "content-type=application/json;");
}

static void prefixes_attributes_of_binary_events_only(void **state)
{
    const struct rider_header attributes[] = {{bytes("id"), bytes("id-1")}};
    struct rider_event event = an_event();

    (void)state;
    event.attributes = attributes;
    event.n_attributes = 1;
    assert_null(strstr(built(&event), "ce_id"));
    event.envelope = RIDER_ENVELOPE_CE_BINARY;
    assert_non_null(strstr(built(&event), "ce_id=id-1;"));
}

static void a_writer_cannot_replace_ours(void **state)
{
    const struct rider_header writers[] = {{bytes("EVENTID"), bytes("forged")},
                                           {bytes("tenant"), bytes("acme")}};
    struct rider_event event = an_event();

    (void)state;
    event.headers = writers;
    event.n_headers = 2;
    assert_null(strstr(built(&event), "forged"));
    assert_non_null(strstr(built(&event), "tenant=acme;"));
}

static void a_style_may_ask_for_the_id_alone(void **state)
{
    const struct header_style brief = {.attribute_prefix = "ce_",
                                       .content_type_name = "content-type",
                                       .id_only = true};
    const struct rider_header writers[] = {{bytes("EVENTID"), bytes("forged")},
                                           {bytes("tenant"), bytes("acme")}};
    const struct rider_header attributes[] = {{bytes("id"), bytes("id-1")}};
    struct rider_event event = an_event();

    (void)state;
    assert_string_equal(built_in(&brief, &event), "eventId=id-1;");
    event.headers = writers;
    event.n_headers = 2;
    assert_string_equal(built_in(&brief, &event), "eventId=id-1;tenant=acme;");
    event.attributes = attributes;
    event.n_attributes = 1;
    event.envelope = RIDER_ENVELOPE_CE_BINARY;
    assert_string_equal(built_in(&brief, &event),
                        "eventId=id-1;content-type=application/json;ce_id=id-1;"
                        "tenant=acme;");
}

static void a_structured_cloudevent_keeps_its_content_type(void **state)
{
    const struct header_style brief = {.attribute_prefix = "ce_",
                                       .content_type_name = "content-type",
                                       .id_only = true};
    struct rider_event event = an_event();

    (void)state;
    event.envelope = RIDER_ENVELOPE_CE_STRUCTURED;
    event.content_type = bytes("application/cloudevents+json");
    assert_string_equal(built_in(&brief, &event),
                        "eventId=id-1;content-type=application/cloudevents+json;");
}

static void an_operator_adds_headers(void **state)
{
    struct header_extra extras[3] = {{.name = bytes("eventType")},
                                     {.name = bytes("kind")},
                                     {.name = bytes("tenant")}};
    const struct header_style own = {.attribute_prefix = "ce_",
                                     .id_only = true,
                                     .id_name = "id",
                                     .extras = extras,
                                     .n_extras = 3};
    const struct rider_header writers[] = {{bytes("Tenant"), bytes("forged")}};
    struct rider_event event = an_event();
    char err[128];

    (void)state;
    assert_int_equal(template_parse("{type}/{version}", &extras[0].value, err, 128), 0);
    assert_int_equal(template_parse("{aggregateType}", &extras[1].value, err, 128), 0);
    assert_int_equal(template_parse("acme", &extras[2].value, err, 128), 0);
    event.headers = writers;
    event.n_headers = 1;
    /* No aggregate type: no header; the writer's word does not count. */
    assert_string_equal(built_in(&own, &event), "id=id-1;eventType=T/2;tenant=acme;");
    assert_true(headers_are_ours(&own, bytes("ID")));
    assert_true(headers_are_ours(&own, bytes("CE_any")));
    assert_false(headers_are_ours(&own, bytes("type")));
    assert_false(headers_are_ours(&own, bytes("eventId")));
    assert_true(headers_are_ours(&style, bytes("Type")));
    assert_true(headers_are_ours(&style, bytes("content-type")));
}

static void too_long_extras_are_refused(void **state)
{
    static char id[HEADERS_SCRATCH_MAX];
    struct header_extra extra = {.name = bytes("x")};
    const struct header_style own = {
        .attribute_prefix = "ce_", .id_only = true, .extras = &extra, .n_extras = 1};
    struct rider_event event = an_event();
    struct headers h;
    char err[128];

    (void)state;
    memset(id, 'i', sizeof(id));
    assert_int_equal(template_parse("{aggregateId}", &extra.value, err, 128), 0);
    event.aggregate_id = (struct rider_bytes){id, sizeof(id) - 1};
    assert_int_equal(headers_build(&h, &event, &own, err, sizeof(err)), 0);
    event.aggregate_id.len++;
    assert_int_equal(headers_build(&h, &event, &own, err, sizeof(err)), E2BIG);
}

static void refuses_too_many(void **state)
{
    struct rider_header writers[HEADERS_MAX];
    struct rider_event event = an_event();
    struct headers h;
    char err[128];

    (void)state;
    for (size_t i = 0; i < HEADERS_MAX; i++) {
        writers[i] = (struct rider_header){bytes("x"), bytes("y")};
    }
    event.headers = writers;
    event.n_headers = HEADERS_MAX;
    assert_int_equal(headers_build(&h, &event, &style, err, sizeof(err)), E2BIG);
    event.n_headers = HEADERS_MAX - 6;
    assert_int_equal(headers_build(&h, &event, &style, err, sizeof(err)), 0);
}

static void prints_instants(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_MIN, "0001-01-01T00:00:00.000000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[EVENT_TIME_SIZE];

        assert_int_equal(event_time_format(cases[i].us, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_the_standard_headers),
        cmocka_unit_test(prefixes_attributes_of_binary_events_only),
        cmocka_unit_test(a_writer_cannot_replace_ours),
        cmocka_unit_test(a_style_may_ask_for_the_id_alone),
        cmocka_unit_test(a_structured_cloudevent_keeps_its_content_type),
        cmocka_unit_test(an_operator_adds_headers),
        cmocka_unit_test(too_long_extras_are_refused),
        cmocka_unit_test(refuses_too_many),
        cmocka_unit_test(prints_instants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
