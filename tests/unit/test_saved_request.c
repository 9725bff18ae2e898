/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_saved_request.c - requests as people capture them.
 */
#include "cli/saved_request.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void both_line_ends_work(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "POST /hook?a:b HTTP/1.1\r\nHost: x\r\nWebhook-Id: m1\r\n"
        "webhook-timestamp:\t17 \r\nWEBHOOK-SIGNATURE: v1,abc v1,def\r\n\r\n{\n\r\n}",
        "webhook-id: m1\nwebhook-timestamp: 17\nwebhook-signature: v1,abc v1,def\n\n"
        "{\n\r\n}",
    };

    for (size_t i = 0; i < 2; i++) {
        RIDER_CLEANUP(buf_done) struct buf text = buf_make(4096);
        struct rider_signed_message message;
        struct rider_error err;

        buf_puts(&text, cases[i]);
        assert_int_equal(saved_request_parse(&text, &message, &err), 0);
        assert_string_equal(message.id, "m1");
        assert_string_equal(message.timestamp, "17");
        assert_string_equal(message.signature, "v1,abc v1,def");
        assert_int_equal(message.body_len, 5);
        assert_memory_equal(message.body, "{\n\r\n}", 5);
    }
}

static void missing_parts_are_noticed(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "webhook-id: 1\n", "webhook-id: 1\nx",
                                        "x\n\n"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP(buf_done) struct buf text = buf_make(4096);
        struct rider_signed_message message;
        struct rider_error err;

        buf_puts(&text, cases[i]);
        assert_int_equal(saved_request_parse(&text, &message, &err), RIDER_E_CONFIG);
    }

    RIDER_CLEANUP(buf_done) struct buf text = buf_make(4096);
    struct rider_signed_message message;
    struct rider_error err;

    buf_puts(&text, "\n");
    assert_int_equal(saved_request_parse(&text, &message, &err), 0);
    assert_null(message.id);
    assert_int_equal(message.body_len, 0);
}

/** Receivers take the first of two, or the last, or join them. */
static void what_has_no_one_meaning_is_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
        CASE("webhook-id: 1\nWebhook-Id: 1\n\n"),
        CASE("webhook-timestamp: 1\nwebhook-timestamp: 2\n\n"),
        CASE("webhook-signature: v1,a\nx: y\nwebhook-signature:\n\n"),
        CASE("webhook-id: 1\0\n\n"),
        CASE("webhook-id: 1\n\0\n\n"),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        RIDER_CLEANUP(buf_done) struct buf text = buf_make(4096);
        struct rider_signed_message message;
        struct rider_error err;

        buf_append(&text, cases[i].text, cases[i].len);
        assert_int_equal(saved_request_parse(&text, &message, &err), RIDER_E_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_line_ends_work),
        cmocka_unit_test(missing_parts_are_noticed),
        cmocka_unit_test(what_has_no_one_meaning_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
