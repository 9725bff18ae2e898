/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_report.c - turns error code and message status into an outcome.
 *
 * A table maps codes; a code that is not in it is a retry that costs an attempt,
 * so that an unforeseen error can neither kill an event at once nor loop for
 * ever. Two codes need more than the table: a timeout, which hides why the
 * message could not go, and an unknown partition, which hides a forbidden topic.
 *
 * Invariant: DELIVERED only without error and with status PERSISTED.
 */
#include "kafka/kafka_report.h"

#include <stddef.h>

struct rule {
    rd_kafka_resp_err_t err;
    enum rider_outcome outcome;
    enum rider_cause cause;
};

#define ERR(name) RD_KAFKA_RESP_ERR_##name

static const struct rule rules[] = {
    /* The message is at fault. */
    {ERR(MSG_SIZE_TOO_LARGE), RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE},
    {ERR(RECORD_LIST_TOO_LARGE), RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE},
    {ERR(INVALID_MSG_SIZE), RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE},
    {ERR(INVALID_MSG), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    {ERR(INVALID_RECORD), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    {ERR(INVALID_TIMESTAMP), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    {ERR(POLICY_VIOLATION), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    {ERR(UNSUPPORTED_FOR_MESSAGE_FORMAT), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    {ERR(_BAD_MSG), RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD},
    /* The topic is at fault. */
    {ERR(UNKNOWN_TOPIC_OR_PART), RIDER_UNROUTABLE, RIDER_CAUSE_TOPIC_MISSING},
    {ERR(_UNKNOWN_TOPIC), RIDER_UNROUTABLE, RIDER_CAUSE_TOPIC_MISSING},
    {ERR(_UNKNOWN_PARTITION), RIDER_UNROUTABLE, RIDER_CAUSE_TOPIC_MISSING},
    {ERR(TOPIC_EXCEPTION), RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE},
    {ERR(TOPIC_AUTHORIZATION_FAILED), RIDER_UNROUTABLE, RIDER_CAUSE_AUTH},
    /* The cluster is at fault, or what the operator told us about it. */
    {ERR(CLUSTER_AUTHORIZATION_FAILED), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(SASL_AUTHENTICATION_FAILED), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(UNSUPPORTED_SASL_MECHANISM), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(ILLEGAL_SASL_STATE), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(SECURITY_DISABLED), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(_AUTHENTICATION), RIDER_UNAVAILABLE, RIDER_CAUSE_AUTH},
    {ERR(_SSL), RIDER_UNAVAILABLE, RIDER_CAUSE_TLS},
    {ERR(_TRANSPORT), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_RESOLVE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_ALL_BROKERS_DOWN), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_NODE_UPDATE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_WAIT_COORD), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(BROKER_NOT_AVAILABLE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(LEADER_NOT_AVAILABLE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(NOT_LEADER_FOR_PARTITION), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(NETWORK_EXCEPTION), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(KAFKA_STORAGE_ERROR), RIDER_UNAVAILABLE, RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(NOT_ENOUGH_REPLICAS), RIDER_UNAVAILABLE, RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(NOT_ENOUGH_REPLICAS_AFTER_APPEND), RIDER_UNAVAILABLE,
     RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(REQUEST_TIMED_OUT), RIDER_UNAVAILABLE, RIDER_CAUSE_TIMEOUT},
    {ERR(_TIMED_OUT), RIDER_UNAVAILABLE, RIDER_CAUSE_TIMEOUT},
    {ERR(_TIMED_OUT_QUEUE), RIDER_UNAVAILABLE, RIDER_CAUSE_TIMEOUT},
    {ERR(THROTTLING_QUOTA_EXCEEDED), RIDER_UNAVAILABLE, RIDER_CAUSE_RATE_LIMITED},
    {ERR(_QUEUE_FULL), RIDER_UNAVAILABLE, RIDER_CAUSE_QUEUE_FULL},
    {ERR(UNSUPPORTED_VERSION), RIDER_UNAVAILABLE, RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(_UNSUPPORTED_FEATURE), RIDER_UNAVAILABLE, RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(UNSUPPORTED_COMPRESSION_TYPE), RIDER_UNAVAILABLE,
     RIDER_CAUSE_DESTINATION_BLOCKED},
    {ERR(INVALID_REQUIRED_ACKS), RIDER_UNAVAILABLE, RIDER_CAUSE_DESTINATION_BLOCKED},
    /* The producer is at fault: the client makes a new one. */
    {ERR(_FATAL), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(OUT_OF_ORDER_SEQUENCE_NUMBER), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(DUPLICATE_SEQUENCE_NUMBER), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(UNKNOWN_PRODUCER_ID), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(INVALID_PRODUCER_EPOCH), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(INVALID_PRODUCER_ID_MAPPING), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_FENCED), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_STATE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_GAPLESS_GUARANTEE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_INCONSISTENT), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_PURGE_QUEUE), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_PURGE_INFLIGHT), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
    {ERR(_DESTROY), RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE},
};

static const struct rule unforeseen = {ERR(UNKNOWN), RIDER_RETRY, RIDER_CAUSE_UNKNOWN};

static struct rule rule_of(rd_kafka_resp_err_t err)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].err == err) {
            return rules[i];
        }
    }
    return unforeseen;
}

/* What a topic that cannot take messages makes of them; DELIVERED: nothing. */
static struct rule rule_of_topic(enum kafka_topic_state state)
{
    switch (state) {
    case KAFKA_TOPIC_MISSING:
        return rule_of(ERR(_UNKNOWN_TOPIC));
    case KAFKA_TOPIC_DENIED:
        return rule_of(ERR(TOPIC_AUTHORIZATION_FAILED));
    case KAFKA_TOPIC_INVALID:
        return rule_of(ERR(TOPIC_EXCEPTION));
    case KAFKA_TOPIC_NOT_ASKED:
    case KAFKA_TOPIC_PRESENT:
        break;
    }
    return (struct rule){ERR(NO_ERROR), RIDER_DELIVERED, RIDER_CAUSE_NONE};
}

/* A message waited for message.timeout.ms. If others went through meanwhile, its
 * partition is closed (no leader, too few replicas), not the destination. */
static struct rule rule_of_timeout(const struct kafka_report *report)
{
    if (report->down_cause != RIDER_CAUSE_NONE) {
        return (struct rule){report->err, RIDER_UNAVAILABLE, report->down_cause};
    }
    return (struct rule){
        report->err, report->others_delivered ? RIDER_UNROUTABLE : RIDER_UNAVAILABLE,
        RIDER_CAUSE_TIMEOUT};
}

static struct rule choose(const struct kafka_report *report)
{
    if (kafka_report_needs_topic(report->err)) {
        struct rule rule = rule_of_topic(report->topic);
        if (rule.outcome != RIDER_DELIVERED) {
            return rule;
        }
    }
    if (report->err == ERR(_MSG_TIMED_OUT)) {
        return rule_of_timeout(report);
    }
    struct rule rule = rule_of(report->err);
    if (rule.outcome == RIDER_UNAVAILABLE && rule.cause == RIDER_CAUSE_UNREACHABLE &&
        report->down_cause != RIDER_CAUSE_NONE) {
        rule.cause = report->down_cause;
    }
    return rule;
}

static struct rider_result result_of(struct rule rule,
                                     const struct kafka_report *report)
{
    struct rider_result result = {
        .struct_size = sizeof(result),
        .outcome = rule.outcome,
        .cause = rule.cause,
        .reason = rd_kafka_err2str(rule.err),
    };

    if (report->status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) {
        result.flags = RIDER_RESULT_MAYBE_DELIVERED;
    }
    if (report->err > 0 || report->err == ERR(UNKNOWN)) {
        result.remote_code = report->err;
    }
    return result;
}

struct rider_result kafka_report_verdict(const struct kafka_report *report)
{
    if (report->err != ERR(NO_ERROR)) {
        struct rule rule = choose(report);
        if (rule.outcome == RIDER_RETRY) {
            rule.err = report->err;
        }
        return result_of(rule, report);
    }
    if (report->status != RD_KAFKA_MSG_STATUS_PERSISTED) {
        struct rule rule = {ERR(NO_ERROR), RIDER_RETRY, RIDER_CAUSE_ADAPTER_FAULT};
        struct rider_result result = result_of(rule, report);
        result.reason = "sent without acknowledgement";
        return result;
    }
    return (struct rider_result){.struct_size = sizeof(struct rider_result),
                                 .outcome = RIDER_DELIVERED};
}

bool kafka_report_needs_topic(rd_kafka_resp_err_t err)
{
    return err == ERR(_MSG_TIMED_OUT) || err == ERR(_UNKNOWN_PARTITION) ||
           err == ERR(_UNKNOWN_TOPIC);
}

bool kafka_report_blames_batch(rd_kafka_resp_err_t err)
{
    return err > 0 && rule_of(err).outcome == RIDER_REJECTED;
}

enum kafka_topic_state kafka_report_topic_state(rd_kafka_resp_err_t err)
{
    switch ((int)err) {
    case ERR(NO_ERROR):
    case ERR(LEADER_NOT_AVAILABLE):
        return KAFKA_TOPIC_PRESENT;
    case ERR(UNKNOWN_TOPIC_OR_PART):
    case ERR(_UNKNOWN_TOPIC):
        return KAFKA_TOPIC_MISSING;
    case ERR(TOPIC_AUTHORIZATION_FAILED):
        return KAFKA_TOPIC_DENIED;
    case ERR(TOPIC_EXCEPTION):
        return KAFKA_TOPIC_INVALID;
    default:
        return KAFKA_TOPIC_NOT_ASKED;
    }
}

uint32_t kafka_report_connection_cause(rd_kafka_resp_err_t err)
{
    switch ((int)err) {
    case ERR(_AUTHENTICATION):
    case ERR(SASL_AUTHENTICATION_FAILED):
    case ERR(UNSUPPORTED_SASL_MECHANISM):
    case ERR(CLUSTER_AUTHORIZATION_FAILED):
        return RIDER_CAUSE_AUTH;
    case ERR(_SSL):
        return RIDER_CAUSE_TLS;
    case ERR(_TRANSPORT):
    case ERR(_RESOLVE):
    case ERR(_ALL_BROKERS_DOWN):
        return RIDER_CAUSE_UNREACHABLE;
    default:
        return RIDER_CAUSE_NONE;
    }
}
