/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_message.h - what an event looks like on Kafka: topic, key, headers,
 * timestamp. publish() and explain() share it, so that they cannot differ.
 * Pure, any thread.
 */
#ifndef KAFKA_MESSAGE_H
#define KAFKA_MESSAGE_H

#include "common/headers.h"
#include "common/template.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_TOPIC_MAX 249 /* Apache Kafka, org.apache.kafka.common.internals.Topic */
#define KAFKA_KEY_MAX   4096

/** Where events go; immutable once made. */
struct kafka_addressing {
    struct template topic;
    struct template key;
    size_t max_bytes; /* message.max.bytes of the producer */
    bool id_only;     /* no headers of ours but eventId */
};

/** Parses both templates, which must outlive *ret. Returns 0, or EINVAL and text. */
int kafka_addressing_init(struct kafka_addressing *ret, const char *topic,
                          const char *key, size_t max_bytes, char *err,
                          size_t err_size);

/** One message: a value that borrows from its event; not to be copied. */
struct kafka_message {
    const struct rider_event *event;
    size_t topic_len, key_len;
    const void *key;      /* NULL: none */
    int64_t timestamp_ms; /* 0: the time of sending */
    struct headers headers;
    char topic[KAFKA_TOPIC_MAX + 1];
    char key_text[KAFKA_KEY_MAX + 1];
};

/** Why an event cannot be a message. */
struct kafka_refusal {
    struct rider_result result; /* its reason points to `text` */
    char text[400];
};

/** Fills `m` for `event`. Returns 0, or -1 and the completion in *refusal:
 *  UNROUTABLE for an impossible topic or key, REJECTED for one that is too large. */
int kafka_message_build(struct kafka_message *m, const struct kafka_addressing *to,
                        const struct rider_event *event, struct kafka_refusal *refusal);

/** Emits topic, key, timestamp, each header and the body. */
void kafka_message_explain(const struct kafka_message *m, rider_explain_fn *emit,
                           void *arg);

#endif
