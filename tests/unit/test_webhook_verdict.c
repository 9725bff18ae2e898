/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_verdict.c - every kind of answer, and every way to get none.
 */
#include "webhook/webhook_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct rider_result answer(long status)
{
    const struct webhook_exchange exchange = {
        .status = status, .answered = true, .sent = true, .retry_after_ms = 7000};

    return webhook_verdict(&exchange);
}

static struct rider_result failure(CURLcode code, bool sent)
{
    const struct webhook_exchange exchange = {.code = code, .sent = sent};

    return webhook_verdict(&exchange);
}

static void statuses(void **state)
{
    static const struct {
        long status;
        enum rider_outcome outcome;
        enum rider_cause cause;
        uint32_t retry_after_ms;
    } rows[] = {
        {200, RIDER_DELIVERED, RIDER_CAUSE_NONE, 0},
        {204, RIDER_DELIVERED, RIDER_CAUSE_NONE, 0},
        {299, RIDER_DELIVERED, RIDER_CAUSE_NONE, 0},
        {301, RIDER_RETRY, RIDER_CAUSE_REDIRECT, 0},
        {308, RIDER_RETRY, RIDER_CAUSE_REDIRECT, 0},
        {304, RIDER_RETRY, RIDER_CAUSE_REDIRECT, 0},
        {400, RIDER_RETRY, RIDER_CAUSE_REJECTED_4XX, 0},
        {401, RIDER_RETRY, RIDER_CAUSE_REJECTED_4XX, 0},
        {404, RIDER_RETRY, RIDER_CAUSE_REJECTED_4XX, 0},
        {408, RIDER_RETRY, RIDER_CAUSE_TIMEOUT, 0},
        {410, RIDER_UNROUTABLE, RIDER_CAUSE_GONE_410, 0},
        {413, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE, 0},
        {415, RIDER_REJECTED, RIDER_CAUSE_REJECTED_4XX, 0},
        {425, RIDER_RETRY, RIDER_CAUSE_TIMEOUT, 0},
        {429, RIDER_UNAVAILABLE, RIDER_CAUSE_RATE_LIMITED, 7000},
        {499, RIDER_RETRY, RIDER_CAUSE_REJECTED_4XX, 0},
        {500, RIDER_RETRY, RIDER_CAUSE_FAILED_5XX, 0},
        {501, RIDER_RETRY, RIDER_CAUSE_FAILED_5XX, 0},
        {502, RIDER_UNAVAILABLE, RIDER_CAUSE_FAILED_5XX, 7000},
        {503, RIDER_UNAVAILABLE, RIDER_CAUSE_FAILED_5XX, 7000},
        {504, RIDER_UNAVAILABLE, RIDER_CAUSE_FAILED_5XX, 7000},
        {599, RIDER_RETRY, RIDER_CAUSE_FAILED_5XX, 0},
        {600, RIDER_RETRY, RIDER_CAUSE_UNREACHABLE, 0},
        {999, RIDER_RETRY, RIDER_CAUSE_UNREACHABLE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rider_result result = answer(rows[i].status);

        assert_int_equal(result.outcome, rows[i].outcome);
        assert_int_equal(result.cause, rows[i].cause);
        assert_int_equal(result.retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(result.remote_code, rows[i].status);
        assert_int_equal(result.flags, 0);
        assert_int_equal(result.struct_size, sizeof(result));
    }
}

static void no_answer(void **state)
{
    static const struct {
        CURLcode code;
        enum rider_cause cause;
    } rows[] = {
        {CURLE_COULDNT_RESOLVE_HOST, RIDER_CAUSE_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, RIDER_CAUSE_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT, RIDER_CAUSE_TIMEOUT},
        {CURLE_RECV_ERROR, RIDER_CAUSE_UNREACHABLE},
        {CURLE_GOT_NOTHING, RIDER_CAUSE_UNREACHABLE},
        {CURLE_PEER_FAILED_VERIFICATION, RIDER_CAUSE_TLS},
        {CURLE_SSL_CONNECT_ERROR, RIDER_CAUSE_TLS},
        {CURLE_UNSUPPORTED_PROTOCOL, RIDER_CAUSE_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rider_result unsent = failure(rows[i].code, false);
        struct rider_result sent = failure(rows[i].code, true);

        assert_int_equal(unsent.outcome, RIDER_UNAVAILABLE);
        assert_int_equal(unsent.cause, rows[i].cause);
        assert_int_equal(unsent.flags, 0);
        assert_non_null(unsent.reason);
        assert_int_equal(sent.flags, RIDER_RESULT_MAYBE_DELIVERED);
    }
}

static void a_live_peer_blames_the_event(void **state)
{
    struct webhook_exchange exchange = {
        .code = CURLE_OPERATION_TIMEDOUT, .sent = true, .peer_alive = true};

    (void)state;
    struct rider_result result = webhook_verdict(&exchange);

    assert_int_equal(result.outcome, RIDER_RETRY);
    assert_int_equal(result.cause, RIDER_CAUSE_TIMEOUT);
    exchange.sent = false;
    result = webhook_verdict(&exchange);
    assert_int_equal(result.outcome, RIDER_UNAVAILABLE);
}

static void the_status_outlives_the_body(void **state)
{
    struct webhook_exchange exchange = {.code = CURLE_OPERATION_TIMEDOUT,
                                        .status = 200,
                                        .answered = true,
                                        .sent = true};

    (void)state;
    assert_int_equal(webhook_verdict(&exchange).outcome, RIDER_DELIVERED);
    exchange.code = CURLE_WRITE_ERROR;
    exchange.cut = true;
    assert_int_equal(webhook_verdict(&exchange).outcome, RIDER_DELIVERED);
    exchange.answered = false;
    assert_int_equal(webhook_verdict(&exchange).outcome, RIDER_UNAVAILABLE);
    /* Interim answers are no answer. */
    exchange.answered = true;
    exchange.status = 103;
    assert_int_equal(webhook_verdict(&exchange).outcome, RIDER_UNAVAILABLE);
}

static void blocked(void **state)
{
    const struct webhook_exchange exchange = {.code = CURLE_COULDNT_CONNECT,
                                              .blocked = true};
    struct rider_result result = webhook_verdict(&exchange);

    (void)state;
    assert_int_equal(result.outcome, RIDER_UNROUTABLE);
    assert_int_equal(result.cause, RIDER_CAUSE_BLOCKED_ADDRESS);
    assert_int_equal(result.flags, 0);
}

static void categories(void **state)
{
    static const struct {
        struct webhook_exchange exchange;
        const char *category;
    } rows[] = {
        {{.answered = true, .status = 204, .sent = true}, NULL},
        {{.answered = true, .status = 302, .sent = true}, "http_3xx"},
        {{.answered = true, .status = 410, .sent = true}, "http_4xx"},
        {{.answered = true, .status = 503, .sent = true}, "http_5xx"},
        {{.answered = true, .status = 999, .sent = true}, "protocol"},
        {{.code = CURLE_COULDNT_RESOLVE_HOST}, "dns"},
        {{.code = CURLE_OPERATION_TIMEDOUT}, "dns"},
        {{.code = CURLE_OPERATION_TIMEDOUT, .resolved = true}, "connect_timeout"},
        {{.code = CURLE_OPERATION_TIMEDOUT, .resolved = true, .sent = true}, "timeout"},
        {{.code = CURLE_COULDNT_CONNECT, .resolved = true}, "connect_refused"},
        {{.code = CURLE_COULDNT_CONNECT, .blocked = true}, "blocked_address"},
        {{.code = CURLE_PEER_FAILED_VERIFICATION, .resolved = true}, "tls"},
        {{.code = CURLE_GOT_NOTHING, .resolved = true, .sent = true}, "reset"},
        {{.code = CURLE_RECV_ERROR, .resolved = true, .sent = true}, "reset"},
        {{.code = CURLE_WRITE_ERROR, .cut = true, .sent = true}, "response_too_large"},
        {{.code = CURLE_UNSUPPORTED_PROTOCOL, .sent = true}, "protocol"},
        {{.code = CURLE_RECV_ERROR, .at_proxy = true, .proxy_status = 502}, "proxy"},
        {{.code = CURLE_OPERATION_TIMEDOUT, .at_proxy = true}, "proxy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *category = webhook_category(&rows[i].exchange);

        if (rows[i].category == NULL) {
            assert_null(category);
        } else {
            assert_string_equal(category, rows[i].category);
        }
    }
}

static void a_proxy_is_never_the_endpoint(void **state)
{
    static const struct {
        CURLcode code;
        long status;
        enum rider_cause cause;
    } rows[] = {
        {CURLE_COULDNT_RESOLVE_PROXY, 0, RIDER_CAUSE_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, 0, RIDER_CAUSE_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT, 0, RIDER_CAUSE_TIMEOUT},
        {CURLE_RECV_ERROR, 407, RIDER_CAUSE_AUTH},
        {CURLE_RECV_ERROR, 403, RIDER_CAUSE_UNREACHABLE},
        {CURLE_RECV_ERROR, 502, RIDER_CAUSE_UNREACHABLE},
        {CURLE_RECV_ERROR, 0, RIDER_CAUSE_UNREACHABLE},
        {CURLE_PROXY, 0, RIDER_CAUSE_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct webhook_exchange exchange = {.code = rows[i].code,
                                                  .at_proxy = true,
                                                  .resolved = true,
                                                  .proxy_status = rows[i].status};
        struct rider_result result = webhook_verdict(&exchange);

        assert_int_equal(result.outcome, RIDER_UNAVAILABLE);
        assert_int_equal(result.cause, rows[i].cause);
        assert_int_equal(result.remote_code, 0);
        assert_int_equal(result.flags, 0);
        assert_non_null(strstr(result.reason, "proxy"));
    }
}

static void without_a_descriptor_nothing_was_tried(void **state)
{
    const struct webhook_exchange exchange = {.code = CURLE_COULDNT_CONNECT,
                                              .starved = true};
    struct rider_result result = webhook_verdict(&exchange);

    (void)state;
    assert_int_equal(result.outcome, RIDER_UNAVAILABLE);
    assert_int_equal(result.cause, RIDER_CAUSE_ADAPTER_FAULT);
}

static void retry_after(void **state)
{
    static const struct {
        const char *value;
        uint32_t ms;
    } rows[] = {
        {"120", 120000},
        {" 5 ", 5000},
        {"0", 0},
        {"-5", 0},
        {"120.5", 0},
        {"soon", 0},
        {"", 0},
        {"12 monkeys", 0},
        {"315360000", WEBHOOK_RETRY_AFTER_CAP_MS},
        {"99999999999999999999999", WEBHOOK_RETRY_AFTER_CAP_MS},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60000},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60000},
        {"Sun Nov  6 08:50:37 1994", 60000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sat, 05 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 2094 08:49:37 GMT", WEBHOOK_RETRY_AFTER_CAP_MS},
        {"Sun, 06 Nov 1994 08:50:37 GMT trailing", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110. */
        assert_int_equal(webhook_retry_after(rows[i].value, 784111777), rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(no_answer),
        cmocka_unit_test(a_live_peer_blames_the_event),
        cmocka_unit_test(the_status_outlives_the_body),
        cmocka_unit_test(blocked),
        cmocka_unit_test(categories),
        cmocka_unit_test(a_proxy_is_never_the_endpoint),
        cmocka_unit_test(without_a_descriptor_nothing_was_tried),
        cmocka_unit_test(retry_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
