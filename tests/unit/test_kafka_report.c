/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kafka_report.c - each error code's verdict, as a table.
 */
#include "kafka/kafka_report.h"

#include <setjmp.h> /* cmocka needs these four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ERR(name)    RD_KAFKA_RESP_ERR_##name
#define STATUS(name) RD_KAFKA_MSG_STATUS_##name
#define MAYBE        RIDER_RESULT_MAYBE_DELIVERED
#define N(list)      (sizeof(list) / sizeof((list)[0]))

struct expectation {
    struct kafka_report report;
    enum rider_outcome outcome;
    enum rider_cause cause;
    uint32_t flags;
};

static void check(const struct expectation *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rider_result got = kafka_report_verdict(&want[i].report);

        print_message("%s\n", rd_kafka_err2name(want[i].report.err));
        assert_int_equal(got.struct_size, sizeof(got));
        assert_int_equal(got.outcome, want[i].outcome);
        assert_int_equal(got.cause, want[i].cause);
        assert_int_equal(got.flags, want[i].flags);
        assert_int_equal(got.reason == NULL, want[i].outcome == RIDER_DELIVERED);
    }
}

static void only_a_confirmed_message_is_delivered(void **state)
{
    static const struct expectation want[] = {
        {{ERR(NO_ERROR), STATUS(PERSISTED), 0, 0, 0}, RIDER_DELIVERED, 0, 0},
        {{ERR(NO_ERROR), STATUS(POSSIBLY_PERSISTED), 0, 0, 0},
         RIDER_RETRY,
         RIDER_CAUSE_ADAPTER_FAULT,
         MAYBE},
        {{ERR(NO_ERROR), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_RETRY,
         RIDER_CAUSE_ADAPTER_FAULT,
         0},
    };

    (void)state;
    check(want, N(want));
}

static void the_message_is_at_fault(void **state)
{
    static const struct expectation want[] = {
        {{ERR(MSG_SIZE_TOO_LARGE), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_REJECTED,
         RIDER_CAUSE_TOO_LARGE,
         0},
        {{ERR(INVALID_RECORD), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_REJECTED,
         RIDER_CAUSE_INVALID_PAYLOAD,
         0},
        {{ERR(INVALID_MSG), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_REJECTED,
         RIDER_CAUSE_INVALID_PAYLOAD,
         0},
        {{ERR(POLICY_VIOLATION), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_REJECTED,
         RIDER_CAUSE_INVALID_PAYLOAD,
         0},
    };

    (void)state;
    check(want, N(want));
    for (size_t i = 0; i < N(want); i++) {
        assert_true(kafka_report_blames_batch(want[i].report.err));
    }
    assert_false(kafka_report_blames_batch(ERR(TOPIC_AUTHORIZATION_FAILED)));
    assert_false(kafka_report_blames_batch(ERR(UNKNOWN)));
    assert_false(kafka_report_blames_batch(ERR(_MSG_TIMED_OUT)));
}

static void the_topic_is_at_fault(void **state)
{
    static const struct expectation want[] = {
        {{ERR(_UNKNOWN_TOPIC), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_TOPIC_MISSING,
         0},
        {{ERR(_UNKNOWN_PARTITION), STATUS(NOT_PERSISTED), KAFKA_TOPIC_PRESENT, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_TOPIC_MISSING,
         0},
        {{ERR(_UNKNOWN_PARTITION), STATUS(NOT_PERSISTED), KAFKA_TOPIC_DENIED, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_AUTH,
         0},
        {{ERR(_UNKNOWN_TOPIC), STATUS(NOT_PERSISTED), KAFKA_TOPIC_INVALID, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_NO_ROUTE,
         0},
        {{ERR(TOPIC_AUTHORIZATION_FAILED), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_AUTH,
         0},
        {{ERR(TOPIC_EXCEPTION), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_NO_ROUTE,
         0},
    };

    (void)state;
    check(want, N(want));
}

static void a_timeout_hides_its_reason(void **state)
{
    static const struct expectation want[] = {
        {{ERR(_MSG_TIMED_OUT), STATUS(NOT_PERSISTED), 0, 0, false},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_TIMEOUT,
         0},
        {{ERR(_MSG_TIMED_OUT), STATUS(POSSIBLY_PERSISTED), KAFKA_TOPIC_PRESENT, 0,
          false},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_TIMEOUT,
         MAYBE},
        {{ERR(_MSG_TIMED_OUT), STATUS(NOT_PERSISTED), KAFKA_TOPIC_PRESENT, 0, true},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_TIMEOUT,
         0},
        {{ERR(_MSG_TIMED_OUT), STATUS(NOT_PERSISTED), 0, RIDER_CAUSE_TLS, true},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_TLS,
         0},
        {{ERR(_MSG_TIMED_OUT), STATUS(NOT_PERSISTED), KAFKA_TOPIC_MISSING, 0, false},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_TOPIC_MISSING,
         0},
        {{ERR(_MSG_TIMED_OUT), STATUS(NOT_PERSISTED), KAFKA_TOPIC_DENIED, 0, true},
         RIDER_UNROUTABLE,
         RIDER_CAUSE_AUTH,
         0},
    };

    (void)state;
    check(want, N(want));
    assert_true(kafka_report_needs_topic(ERR(_MSG_TIMED_OUT)));
    assert_true(kafka_report_needs_topic(ERR(_UNKNOWN_PARTITION)));
    assert_false(kafka_report_needs_topic(ERR(MSG_SIZE_TOO_LARGE)));
}

static void the_cluster_is_at_fault(void **state)
{
    static const struct expectation want[] = {
        {{ERR(_PURGE_QUEUE), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_UNREACHABLE,
         0},
        {{ERR(_PURGE_INFLIGHT), STATUS(POSSIBLY_PERSISTED), 0, RIDER_CAUSE_AUTH, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_AUTH,
         MAYBE},
        {{ERR(OUT_OF_ORDER_SEQUENCE_NUMBER), STATUS(POSSIBLY_PERSISTED), 0, 0, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_UNREACHABLE,
         MAYBE},
        {{ERR(NOT_ENOUGH_REPLICAS_AFTER_APPEND), STATUS(POSSIBLY_PERSISTED), 0, 0, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_DESTINATION_BLOCKED,
         MAYBE},
        {{ERR(_TRANSPORT), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_UNREACHABLE,
         0},
        {{ERR(_AUTHENTICATION), STATUS(NOT_PERSISTED), 0, 0, 0},
         RIDER_UNAVAILABLE,
         RIDER_CAUSE_AUTH,
         0},
    };

    (void)state;
    check(want, N(want));
}

static void an_unforeseen_code_is_a_retry_that_names_itself(void **state)
{
    struct kafka_report report = {ERR(INVALID_GROUP_ID), STATUS(NOT_PERSISTED), 0, 0,
                                  0};
    struct rider_result got = kafka_report_verdict(&report);

    (void)state;
    assert_int_equal(got.outcome, RIDER_RETRY);
    assert_int_equal(got.cause, RIDER_CAUSE_UNKNOWN);
    assert_int_equal(got.remote_code, ERR(INVALID_GROUP_ID));
    assert_string_equal(got.reason, rd_kafka_err2str(ERR(INVALID_GROUP_ID)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_confirmed_message_is_delivered),
        cmocka_unit_test(the_message_is_at_fault),
        cmocka_unit_test(the_topic_is_at_fault),
        cmocka_unit_test(a_timeout_hides_its_reason),
        cmocka_unit_test(the_cluster_is_at_fault),
        cmocka_unit_test(an_unforeseen_code_is_a_retry_that_names_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
