/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_message.h - what an event looks like on Kafka: topic, key, partition,
 * headers, timestamp, value. publish() and explain() share it, so that they
 * cannot differ. Pure, any thread.
 */
#ifndef KAFKA_MESSAGE_H
#define KAFKA_MESSAGE_H

#include "common/headers.h"
#include "common/template.h"
#include "postrider/options.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_TOPIC_MAX 249 /* Apache Kafka, org.apache.kafka.common.internals.Topic */
#define KAFKA_KEY_MAX   4096
#define KAFKA_EXTRA_MAX 16
#define KAFKA_EXTRA     "header." /* a property of this prefix is a header */

/** Which headers a message gets besides those of its writer. */
enum kafka_headers_choice {
    KAFKA_HEADERS_ALL,
    KAFKA_HEADERS_ID,
    KAFKA_HEADERS_DEBEZIUM
};

enum kafka_time { KAFKA_TIME_SENT, KAFKA_TIME_OCCURRED };

/** What the operator says about messages; texts may be NULL for "". */
struct kafka_shape {
    const char *topic;      /* template */
    const char *key;        /* template; "" sends no key */
    const char *partition;  /* template; "" leaves it to the partitioner */
    const char *tombstone;  /* patterns of types that are sent with a null value */
    bool tombstone_on_null; /* so is a payload that is JSON null */
    uint32_t headers;       /* enum kafka_headers_choice */
    uint32_t timestamp;     /* enum kafka_time */
};

/** The same, parsed; immutable once made. Not to be copied: it points into itself. */
struct kafka_addressing {
    struct template topic, key, partition;
    const struct kafka_shape *shape;
    size_t max_bytes; /* message.max.bytes of the producer */
    struct header_style style;
    struct header_extra extras[KAFKA_EXTRA_MAX];
};

/** Parses `shape` and those of `properties` that are headers; both must outlive
 *  *ret. Returns 0, or EINVAL and text. */
int kafka_addressing_init(struct kafka_addressing *ret, const struct kafka_shape *shape,
                          const struct rider_properties *properties, size_t max_bytes,
                          char *err, size_t err_size);

/** One message: a value that borrows from its event; not to be copied. */
struct kafka_message {
    const struct rider_event *event;
    size_t topic_len, key_len;
    const void *key;          /* NULL: none */
    struct rider_bytes value; /* data NULL: a tombstone */
    int32_t partition;        /* -1: the partitioner decides */
    int64_t timestamp_ms;     /* 0: the time of sending */
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
 *  UNROUTABLE for an impossible topic, key or partition, REJECTED for one that is
 *  too large. */
int kafka_message_build(struct kafka_message *m, const struct kafka_addressing *to,
                        const struct rider_event *event, struct kafka_refusal *refusal);

/** Emits topic, key, partition (if fixed), timestamp, each header and the body. */
void kafka_message_explain(const struct kafka_message *m, rider_explain_fn *emit,
                           void *arg);

#endif
