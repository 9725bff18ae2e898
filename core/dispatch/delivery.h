/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery.h - one event on its way to one destination.
 *
 *   WAITING  behind an earlier delivery of its key, in the key gate
 *   READY    in the lane's ready queue
 *   SENT     with the adapter; its ticket is open
 *   DONE     delivered, routed nowhere, or to be parked; the cursor may pass it
 */
#ifndef DISPATCH_DELIVERY_H
#define DISPATCH_DELIVERY_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum delivery_state { DELIVERY_WAITING, DELIVERY_READY, DELIVERY_SENT, DELIVERY_DONE };

/** The states of outbox.delivery that the relay writes. */
enum park_state { PARK_RETRY, PARK_HELD, PARK_DEAD, PARK_DELIVERED };

#define PARK_ERROR_MAX 240

/** How a delivery that the cursor cannot settle is written down. */
struct park {
    enum park_state state;
    uint32_t cause;    /* enum rider_cause */
    uint32_t attempts; /* failed ones, this one included */
    uint64_t delay_ms; /* until the next attempt */
    char error[PARK_ERROR_MAX];
};

struct batch;
struct sub;

#define TRIGGER_MAX 16

/** Of a delivery to a subscription; in the memory of its batch. */
struct sub_delivery {
    struct sub *sub;
    LIST_ENTRY(sub_delivery) link; /* of those of its subscription in memory */
    int64_t seq;
    struct rider_target target; /* what event.target points to */
    const char *problem;
    const uint32_t *schedule_s;
    size_t n_schedule;
    uint32_t setbacks, asked;
    uint32_t outage; /* of its subscription, when it was read */
    int64_t failed_at_us;
    char trigger[TRIGGER_MAX];
    struct lane_end *end; /* owned: what is to be written; NULL: nothing is */
};

struct delivery {
    struct rider_event event; /* what the adapter sees */
    struct delivery *next;    /* in the ready queue or behind its key */
    struct batch *batch;
    struct park *park;       /* owned; NULL unless it is to be parked */
    struct sub_delivery *to; /* NULL: the destination itself */
    int64_t seq, subscription;
    uint64_t order; /* of admission: the order of the log */
    uint64_t key;   /* hash of the ordering key */
    enum delivery_state state;
    bool in_gate;             /* it is the open delivery of its key, or waits for it */
    uint32_t setbacks;        /* times the destination was unavailable for it */
    uint64_t deliveries_seen; /* of the lane, at its first setback */
    bool unrouted;            /* a row that a rebase left, and no route leads here */
    bool sent_once;           /* counts in the window until it is settled */
};

/** First in, first out, through delivery.next. */
struct delivery_queue {
    struct delivery *head, *tail;
    size_t n;
};

static inline void delivery_queue_push(struct delivery_queue *q, struct delivery *d)
{
    d->next = NULL;
    if (q->tail == NULL) {
        q->head = d;
    } else {
        q->tail->next = d;
    }
    q->tail = d;
    q->n++;
}

static inline void delivery_queue_push_front(struct delivery_queue *q,
                                             struct delivery *d)
{
    d->next = q->head;
    q->head = d;
    if (q->tail == NULL) {
        q->tail = d;
    }
    q->n++;
}

static inline struct delivery *delivery_queue_pop(struct delivery_queue *q)
{
    struct delivery *d = q->head;

    if (d != NULL) {
        q->head = d->next;
        if (q->head == NULL) {
            q->tail = NULL;
        }
        d->next = NULL;
        q->n--;
    }
    return d;
}

#endif
