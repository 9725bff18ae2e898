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
};

#endif
