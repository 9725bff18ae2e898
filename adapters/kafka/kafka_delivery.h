/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_delivery.h - ends deliveries: takes reports from producers and completes
 * tickets.
 *
 * Reports arrive by batch, and delivered tickets leave by batch. A message that a
 * broker rejected together with its batch is sent again by the single producer
 * before anybody calls it bad.
 *
 * Thread: the client's, but for the members marked atomic.
 */
#ifndef KAFKA_DELIVERY_H
#define KAFKA_DELIVERY_H

#include "kafka/kafka_message.h"
#include "kafka/kafka_options.h"
#include "kafka/kafka_producer.h"
#include "kafka/kafka_status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_DONE_BATCH 512
#define KAFKA_ASKED_MAX  16

/** What the cluster said about a topic a moment ago. */
struct kafka_asked {
    const rd_kafka_topic_t *rkt;
    enum kafka_topic_state state;
    uint64_t until_ms;
};

struct kafka_delivery {
    const struct rider_host *host;
    const struct kafka_config *config;
    const struct kafka_addressing *to;
    struct kafka_status *status;
    atomic_size_t open;              /* accepted and not completed */
    atomic_uint_least64_t n_singled; /* messages sent again alone */
    struct kafka_producer *single;   /* NULL until needed */
    bool ask_nobody;                 /* while draining: questions take time */
    size_t n_done;
    size_t next_asked;
    struct kafka_asked asked[KAFKA_ASKED_MAX];
    uint64_t done[KAFKA_DONE_BATCH];
    struct kafka_message message; /* scratch for sending again */
};

/** Serves one event of `p` and destroys it. Blocks up to a second if a failure
 *  needs a question to the cluster. */
void kafka_delivery_serve(struct kafka_delivery *d, struct kafka_producer *p,
                          rd_kafka_event_t *event);

/** Serves the single producer, if any, without waiting. */
void kafka_delivery_serve_single(struct kafka_delivery *d);

/** Whether the single producer has work. */
bool kafka_delivery_is_singling(struct kafka_delivery *d);

/** Fails what `p` still holds and serves all reports. Messages on the wire get
 *  `grace_ms` to be answered first. */
void kafka_delivery_drain(struct kafka_delivery *d, struct kafka_producer *p,
                          uint64_t grace_ms);

/** Completes one ticket with `result`; also the host's thread may call it. */
void kafka_delivery_complete(struct kafka_delivery *d, uint64_t ticket,
                             const struct rider_result *result);

#endif
