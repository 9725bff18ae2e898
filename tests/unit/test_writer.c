/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_writer.c - what rider_outbox_write() refuses before it asks the server.
 * What the server refuses: tests/integration/test_writer.py.
 */
#include "postrider/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rider_outbox_event good(void)
{
    return (struct rider_outbox_event){
        .struct_size = sizeof(struct rider_outbox_event),
        .type = "REQUEST_SUBMITTED",
        .aggregate_id = "R-1",
        .payload = "{}",
    };
}

/** Without a connection, only the event's own faults come before "connection". */
static void expect(const struct rider_outbox_event *event, const char *text)
{
    char err[128] = "";
    char id[RIDER_OUTBOX_ID_SIZE] = "untouched";
    int status = rider_outbox_write(NULL, event, id, err, sizeof err);
    assert_int_equal(status, RIDER_OUTBOX_INVALID);
    assert_string_equal(err, text);
    assert_string_equal(id, "untouched");
}

static void a_missing_field_is_named(void **state)
{
    struct rider_outbox_event event = good();
    (void)state;
    event.type = NULL;
    expect(&event, "type is missing");
    event = good();
    event.aggregate_id = "";
    expect(&event, "aggregate_id is missing");
    event = good();
    event.payload = NULL;
    expect(&event, "payload is missing");
    event = good();
    event.version = -1;
    expect(&event, "version must be 1 or more");
    event = good();
    expect(&event, "connection is missing");
}

static void a_foreign_struct_is_refused(void **state)
{
    struct rider_outbox_event event = good();
    (void)state;
    event.struct_size = 0;
    expect(&event, "struct_size is not that of struct rider_outbox_event");
    expect(NULL, "struct_size is not that of struct rider_outbox_event");
}

static void event_ids_are_uuids(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "0190f9a4-0000-7000-8000-00000000000",
                                      "0190f9a4-0000-7000-8000-0000000000011",
                                      "0190f9a4x0000-7000-8000-000000000001",
                                      "0190f9a4-0000-7000-8000-00000000000g"};
    struct rider_outbox_event event = good();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        event.event_id = bad[i];
        expect(&event, "event_id is not a UUID");
    }
    event.event_id = "0190F9a4-0000-7000-8000-00000000000f";
    expect(&event, "connection is missing");
}

static void times_need_an_offset(void **state)
{
    static const char *const bad[] = {
        "",
        "tomorrow",
        "2026-11-24",
        "2026-11-24T03:00:49",
        "2026-11-24T03:00:49.Z",
        "2026-11-24T03:00:49+01",
        "2026-11-24T03:00:49+01:000",
        "2026-11-24 03:00:49Z",
        "2026-11-24T03:00:49Zx",
    };
    static const char *const fine[] = {"2026-11-24T03:00:49Z",
                                       "2026-11-24T03:00:49.123456Z",
                                       "2026-11-24T03:00:49.1-05:30"};
    struct rider_outbox_event event = good();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        event.occurred_at = bad[i];
        expect(&event, "occurred_at is not an RFC 3339 time with an offset");
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        event.occurred_at = fine[i];
        expect(&event, "connection is missing");
    }
}

static void the_reason_fits_any_buffer(void **state)
{
    struct rider_outbox_event event = good();
    char err[5] = "....";
    (void)state;
    event.type = "";
    assert_int_equal(rider_outbox_write(NULL, &event, NULL, err, sizeof err),
                     RIDER_OUTBOX_INVALID);
    assert_string_equal(err, "type");
    assert_int_equal(rider_outbox_write(NULL, &event, NULL, err, 1),
                     RIDER_OUTBOX_INVALID);
    assert_string_equal(err, "");
    assert_int_equal(rider_outbox_write(NULL, &event, NULL, NULL, 0),
                     RIDER_OUTBOX_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_field_is_named),
        cmocka_unit_test(a_foreign_struct_is_refused),
        cmocka_unit_test(event_ids_are_uuids),
        cmocka_unit_test(times_need_an_offset),
        cmocka_unit_test(the_reason_fits_any_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
