/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_status.c - transitions of the cluster's state.
 */
#include "kafka/kafka_status.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ERR(name) RD_KAFKA_RESP_ERR_##name

static void assert_health(struct kafka_status *s, uint64_t now_ms, uint32_t state,
                          uint32_t cause)
{
    struct rider_health health = {.struct_size = sizeof(health)};

    kafka_status_health(s, now_ms, &health);
    assert_int_equal(health.state, state);
    assert_int_equal(health.cause, cause);
}

static void goes_up_and_down(void **state)
{
    struct kafka_status s;

    (void)state;
    kafka_status_init(&s);
    assert_health(&s, 1, RIDER_STARTING, RIDER_CAUSE_NONE);
    assert_true(kafka_status_up(&s));
    assert_false(kafka_status_up(&s));
    assert_health(&s, 1, RIDER_UP, RIDER_CAUSE_NONE);
    assert_false(kafka_status_error(&s, ERR(_TRANSPORT), "one broker"));
    assert_health(&s, 1, RIDER_UP, RIDER_CAUSE_NONE);
    assert_true(kafka_status_error(&s, ERR(_ALL_BROKERS_DOWN), "1/1"));
    assert_false(kafka_status_error(&s, ERR(_ALL_BROKERS_DOWN), "1/1"));
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_UNREACHABLE);
    assert_int_equal(kafka_status_down_cause(&s), RIDER_CAUSE_UNREACHABLE);
    assert_true(kafka_status_delivered(&s, 77));
    assert_int_equal(kafka_status_last_delivery(&s), 77);
    assert_int_equal(kafka_status_down_cause(&s), RIDER_CAUSE_NONE);
    kafka_status_done(&s);
}

static void the_precise_cause_stays(void **state)
{
    struct kafka_status s;

    (void)state;
    kafka_status_init(&s);
    (void)kafka_status_error(&s, ERR(_AUTHENTICATION), "wrong password");
    (void)kafka_status_error(&s, ERR(_ALL_BROKERS_DOWN), "1/1 brokers are down");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_AUTH);
    (void)kafka_status_error(&s, ERR(_TRANSPORT), "closed");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_AUTH);
    (void)kafka_status_error(&s, ERR(_SSL), "bad certificate");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_TLS);
    (void)kafka_status_up(&s);
    (void)kafka_status_error(&s, ERR(_ALL_BROKERS_DOWN), "1/1 brokers are down");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_UNREACHABLE);
    kafka_status_done(&s);
}

/* As librdkafka reports a client's certificate that the broker refused. */
static void an_alert_after_the_handshake_is_tls(void **state)
{
    struct kafka_status s;

    (void)state;
    kafka_status_init(&s);
    (void)kafka_status_error(
        &s, ERR(_TRANSPORT),
        "Receive failed: SSL routines::sslv3 alert bad certificate: "
        "SSL alert number 42");
    (void)kafka_status_error(&s, ERR(_ALL_BROKERS_DOWN), "1/1 brokers are down");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_TLS);
    kafka_status_done(&s);
}

static void a_closed_topic_degrades_for_a_while(void **state)
{
    struct kafka_status s;

    (void)state;
    kafka_status_init(&s);
    kafka_status_topic(&s, 1000, RIDER_CAUSE_TOPIC_MISSING, "orders");
    assert_health(&s, 1000, RIDER_STARTING, RIDER_CAUSE_NONE);
    (void)kafka_status_up(&s);
    assert_health(&s, 1000, RIDER_DEGRADED, RIDER_CAUSE_TOPIC_MISSING);
    assert_true(kafka_status_is_up(&s));
    assert_health(&s, 100000, RIDER_UP, RIDER_CAUSE_NONE);
    kafka_status_done(&s);
}

static void a_lost_producer_is_down(void **state)
{
    struct kafka_status s;

    (void)state;
    kafka_status_init(&s);
    (void)kafka_status_up(&s);
    kafka_status_lost(&s, RIDER_CAUSE_UNREACHABLE, "fatal");
    assert_health(&s, 1, RIDER_DOWN, RIDER_CAUSE_UNREACHABLE);
    kafka_status_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_up_and_down),
        cmocka_unit_test(the_precise_cause_stays),
        cmocka_unit_test(an_alert_after_the_handshake_is_tls),
        cmocka_unit_test(a_closed_topic_degrades_for_a_while),
        cmocka_unit_test(a_lost_producer_is_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
