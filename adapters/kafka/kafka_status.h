/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_status.h - whether the cluster can be reached, for health() and verdicts.
 *
 *   STARTING --answer or delivery--> UP <--answer or delivery-- DOWN
 *   STARTING, UP --all brokers down, producer lost--> DOWN
 *
 * UP reads as DEGRADED for a while after a topic was missing or forbidden. A
 * cause more precise than "unreachable" (tls, auth) survives the "all brokers
 * down" that follows it.
 *
 * Thread: any; each function takes the lock inside and calls nothing under it.
 */
#ifndef KAFKA_STATUS_H
#define KAFKA_STATUS_H

#include "postrider/publisher.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct kafka_status {
    pthread_mutex_t lock; /* guards all below */
    uint32_t state;       /* enum rider_health_state, never DEGRADED */
    uint32_t cause;
    uint32_t hint;        /* cause of the last failed connection */
    uint32_t topic_cause; /* of the last closed topic */
    uint64_t topic_ms;    /* when that was; 0: never */
    uint64_t delivered_ms;
    char detail[128];
    char topic_detail[128];
};

void kafka_status_init(struct kafka_status *s);
void kafka_status_done(struct kafka_status *s);

/** A broker answered. Returns true if that is news. */
bool kafka_status_up(struct kafka_status *s);
/** As kafka_status_up(), at a delivery. */
bool kafka_status_delivered(struct kafka_status *s, uint64_t now_ms);
/** An error the library reported about connections; `text` is one line of its
 *  own. Returns true if the cluster is down now and was not before. */
bool kafka_status_error(struct kafka_status *s, rd_kafka_resp_err_t err,
                        const char *text);
/** The producer is lost and not yet replaced. */
void kafka_status_lost(struct kafka_status *s, uint32_t cause, const char *text);
/** Events for one topic cannot be delivered. */
void kafka_status_topic(struct kafka_status *s, uint64_t now_ms, uint32_t cause,
                        const char *topic);

bool kafka_status_is_up(struct kafka_status *s);
/** The cause while DOWN, else NONE. */
uint32_t kafka_status_down_cause(struct kafka_status *s);
/** When the last message was delivered; 0: never. */
uint64_t kafka_status_last_delivery(struct kafka_status *s);

void kafka_status_health(struct kafka_status *s, uint64_t now_ms,
                         struct rider_health *ret);

#endif
