/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_message.h - one event as an AMQP 0-9-1 message: exchange, routing
 * key, properties, headers, body. The same for publishing and for explain().
 *
 * CloudEvents attributes become headers by the CloudEvents AMQP binding, which
 * knows the prefixes "cloudEvents_" and "cloudEvents:" for application properties
 * of AMQP 1.0; RabbitMQ hands 0-9-1 headers to 1.0 consumers as just those. Pure.
 * Any thread.
 */
#ifndef RABBITMQ_MESSAGE_H
#define RABBITMQ_MESSAGE_H

#include "common/headers.h"
#include "common/template.h"
#include "rabbitmq/rabbitmq_amqp.h"
#include "rabbitmq/rabbitmq_inbox.h"

#define RABBITMQ_SHORT_MAX 255 /* AMQP 0-9-1 short string */

struct rabbitmq_addressing {
    struct template exchange, routing_key;
    const char *attribute_prefix; /* of CloudEvents attributes */
};

/** A built message: a value that points into itself and into the event. */
struct rabbitmq_message {
    char exchange[RABBITMQ_SHORT_MAX + 1], routing_key[RABBITMQ_SHORT_MAX + 1];
    size_t exchange_len, routing_key_len;
    amqp_basic_properties_t properties;
    amqp_table_entry_t entries[HEADERS_MAX];
    struct headers headers;
    amqp_bytes_t body;
};

/** Why an event cannot be sent at all. */
struct rabbitmq_refusal {
    uint32_t outcome; /* enum rider_outcome */
    struct rabbitmq_failure why;
};

/** Fills *m, which must stay where it is. `frame_payload` limits the properties.
 *  Returns 0, or -1 and *ret_refusal. */
int rabbitmq_message_build(struct rabbitmq_message *m,
                           const struct rabbitmq_addressing *addressing,
                           const struct rider_event *event, size_t frame_payload,
                           struct rabbitmq_refusal *ret_refusal);

#endif
