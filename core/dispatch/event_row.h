/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_row.h - one row of the outbox as the store hands it over.
 */
#ifndef DISPATCH_EVENT_ROW_H
#define DISPATCH_EVENT_ROW_H

#include "postrider/publisher.h"

#include <stddef.h>
#include <stdint.h>

#define EVENT_ID_LEN 36 /* UUID text */

/** What the store says of the subscription that a row goes to. */
struct subscription_row {
    struct rider_target target;
    const char *problem;        /* why its secrets cannot be used, or NULL */
    const uint32_t *schedule_s; /* seconds before each further try, or NULL */
    size_t n_schedule;
};

/** How far the delivery of a row is. */
struct row_progress {
    uint32_t setbacks;    /* times its endpoint was unavailable for it */
    uint32_t asked;       /* redeliveries that people have asked for */
    int64_t failed_at_us; /* when it was last written, since 1970-01-01 UTC */
    const char *trigger;  /* what the next try is due to */
};

/** Everything is borrowed for the duration of the call that passes it. */
struct event_row {
    int64_t seq;
    int64_t subscription; /* 0: the destination itself */
    uint32_t attempts;    /* failed ones so far; 0 from the window */
    int32_t version;
    int64_t occurred_at_us; /* since 1970-01-01 UTC */
    char id[EVENT_ID_LEN + 1];
    struct rider_bytes type, aggregate_type, aggregate_id;
    struct rider_bytes payload;
    const struct rider_header *headers;
    size_t n_headers;
    const struct subscription_row *to; /* NULL: the destination itself */
    struct row_progress progress;      /* with `to` */
};

#endif
