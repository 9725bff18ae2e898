/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_report.h - what a delivery report means for the host. Pure, any thread.
 *
 * librdkafka retries what can be retried until message.timeout.ms, so an error
 * seen here is the end of that message. Whether it may have been written is the
 * library's message status, never guessed from the code. Codes: Apache Kafka
 * protocol guide, "Error Codes"; negative ones are librdkafka's own.
 */
#ifndef KAFKA_REPORT_H
#define KAFKA_REPORT_H

#include "postrider/publisher.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/** What the cluster says about a topic. */
enum kafka_topic_state {
    KAFKA_TOPIC_NOT_ASKED, /* or no broker could be asked */
    KAFKA_TOPIC_PRESENT,
    KAFKA_TOPIC_MISSING,
    KAFKA_TOPIC_DENIED,
    KAFKA_TOPIC_INVALID
};

/** Everything a verdict depends on. */
struct kafka_report {
    rd_kafka_resp_err_t err;
    rd_kafka_msg_status_t status;
    enum kafka_topic_state topic; /* needed if kafka_report_needs_topic(err) */
    uint32_t down_cause;          /* enum rider_cause while no broker is usable */
    bool others_delivered;        /* while this message waited, others went through */
};

/** The outcome for the host. `reason` is a static text. */
struct rider_result kafka_report_verdict(const struct kafka_report *report);

/** Whether `err` hides a missing or forbidden topic, so that the cluster should
 *  be asked about the topic before the verdict. */
bool kafka_report_needs_topic(rd_kafka_resp_err_t err);

/** Whether a broker gives `err` for a whole batch although one message in it may
 *  be the cause. */
bool kafka_report_blames_batch(rd_kafka_resp_err_t err);

/** The state a topic's error in a metadata answer stands for. */
enum kafka_topic_state kafka_report_topic_state(rd_kafka_resp_err_t err);

/** Why a broker connection fails: an enum rider_cause, NONE if `err` is not about
 *  connections. */
uint32_t kafka_report_connection_cause(rd_kafka_resp_err_t err);

#endif
