/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_attempt.c - what is told of a try: address, times, bytes kept.
 */
#include "webhook/webhook_attempt.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void addresses(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(65535)};
    struct webhook_attempt attempt;

    (void)state;
    webhook_attempt_begin(&attempt, 0);
    assert_string_equal(attempt.remote, "");
    assert_int_equal(inet_pton(AF_INET, "203.0.113.7", &in.sin_addr), 1);
    webhook_attempt_dial(&attempt, (const struct sockaddr *)&in);
    assert_string_equal(attempt.remote, "203.0.113.7:443");
    memset(&in6.sin6_addr, 0xfe, sizeof(in6.sin6_addr));
    webhook_attempt_dial(&attempt, (const struct sockaddr *)&in6);
    assert_string_equal(attempt.remote,
                        "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:65535");
    webhook_attempt_dial_text(&attempt, "::1", 8443);
    assert_string_equal(attempt.remote, "[::1]:8443");
}

static void told(struct webhook_attempt *attempt, bool reused,
                 struct rider_attempt *ret)
{
    CURL *easy = curl_easy_init();

    assert_non_null(easy);
    webhook_attempt_tell(attempt, easy, reused, ret);
    curl_easy_cleanup(easy);
}

static void keeps_what_is_wanted(void **state)
{
    struct webhook_attempt attempt;
    struct rider_attempt one;

    (void)state;
    webhook_attempt_begin(&attempt, 5);
    webhook_attempt_body(&attempt, "abc", 3);
    webhook_attempt_restart(&attempt);
    webhook_attempt_body(&attempt, "def", 3);
    webhook_attempt_body(&attempt, "ghi", 3);
    told(&attempt, true, &one);
    assert_int_equal(one.response.len, 5);
    assert_memory_equal(one.response.data, "defgh", 5);
    assert_int_equal(one.flags, RIDER_ATTEMPT_REUSED);
    webhook_attempt_done(&attempt);

    webhook_attempt_begin(&attempt, 0);
    webhook_attempt_body(&attempt, "abc", 3);
    told(&attempt, false, &one);
    assert_int_equal(one.response.len, 0);
    assert_int_equal(one.flags, 0);
    webhook_attempt_done(&attempt);
}

static uint64_t clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void clocks(void **state)
{
    struct webhook_attempt attempt;
    struct rider_attempt one;
    int64_t began_s = (int64_t)time(NULL);
    uint64_t began_us = clock_us();

    (void)state;
    webhook_attempt_begin(&attempt, 0);
    attempt.started_mono_us -= 2000000; /* two seconds ago */
    told(&attempt, false, &one);
    uint64_t took_us = clock_us() - began_us;
    assert_in_range(one.started_at_us, began_s * 1000000,
                    ((int64_t)time(NULL) + 2) * 1000000);
    assert_in_range(one.total_us, 2000000, 2000000 + took_us);
    /* Nothing was reached. */
    assert_int_equal(one.dns_us + one.connect_us + one.tls_us + one.first_byte_us, 0);
    attempt.started_mono_us -= UINT64_C(8000) * 1000000;
    told(&attempt, false, &one);
    assert_int_equal(one.total_us, INT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(keeps_what_is_wanted),
        cmocka_unit_test(clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
