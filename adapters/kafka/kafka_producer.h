/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_producer.h - one librdkafka handle with its event queue and the topics it
 * has been used with.
 *
 * Threads: send() by one thread at a time, everything else but destroy() by any;
 * librdkafka locks inside. destroy() must be alone.
 */
#ifndef KAFKA_PRODUCER_H
#define KAFKA_PRODUCER_H

#include "kafka/kafka_message.h"
#include "kafka/kafka_report.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

struct kafka_producer;

/** Takes ownership of `conf`, also on failure, and starts the library's threads,
 *  which never call back: reports, errors and log lines are events. Returns 0, or
 *  an errno value and text. */
int kafka_producer_create(rd_kafka_conf_t *conf, struct kafka_producer **ret, char *err,
                          size_t err_size);

/** Waits for the library's threads. Reports not yet polled are dropped, so
 *  kafka_producer_open() should be 0. Accepts NULL. */
void kafka_producer_destroy(struct kafka_producer *p);

/** Hands a message to the library, which borrows the event's body until the
 *  report, and returns NO_ERROR; any other code: nothing was taken. Its report
 *  carries m->event as opaque. Does not block. */
rd_kafka_resp_err_t kafka_producer_send(struct kafka_producer *p,
                                        const struct kafka_message *m);

/** The next delivery report, error or log line, or NULL after `timeout_ms`. The caller
 *  destroys it. */
rd_kafka_event_t *kafka_producer_poll(struct kafka_producer *p, int timeout_ms);

/** Ends a poll() that waits. */
void kafka_producer_wake(struct kafka_producer *p);

/** Makes the topic known before its first message. Does not block. */
void kafka_producer_warm_up(struct kafka_producer *p, const char *topic);

/** Messages and reports that the library still holds. */
size_t kafka_producer_open(struct kafka_producer *p);

/** Sends at once what lingers and blocks until no message is open or the time is
 *  over. Another thread must poll. */
void kafka_producer_flush(struct kafka_producer *p, int timeout_ms);

/** Fails what is queued, and if `in_flight` also what is on the wire; the reports
 *  come through poll(). */
void kafka_producer_purge(struct kafka_producer *p, bool in_flight);

/** Whether the library gave this handle up; fills `why` if so. */
bool kafka_producer_is_lost(struct kafka_producer *p, rd_kafka_resp_err_t *ret_err,
                            char *why, size_t why_size);

/** Asks the cluster about the topic `rkt`, or about itself if NULL: then PRESENT
 *  means that a broker answered. Blocks up to `timeout_ms`. */
enum kafka_topic_state kafka_producer_ask(struct kafka_producer *p,
                                          rd_kafka_topic_t *rkt, int timeout_ms);

#endif
