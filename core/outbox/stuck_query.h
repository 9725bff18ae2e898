/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stuck_query.h - what is not delivered and why: view outbox.stuck, in groups or
 * event by event.
 *
 * Needs the rights of outbox_monitor. Thread: any. Blocking: at most 10 s.
 */
#ifndef OUTBOX_STUCK_QUERY_H
#define OUTBOX_STUCK_QUERY_H

#include "base/error.h"
#include "outbox/row_set.h"

#include <stdint.h>

#define STUCK_CAP 20000 /* events looked at per lane; more is "at least" */

struct stuck_filter {
    const char *destination; /* "": any */
    const char *cause;       /* "key_held_by" stands for every event; "": any */
    int64_t older_ms;        /* occurred at least so long ago */
};

/** By destination and cause, oldest first. Columns: destination, cause, state,
 *  count, capped (there may be more), oldest, ageMs, attempts (the most),
 *  nextAttempt (the first), eventId and lastError (of the oldest). */
int stuck_groups(const char *dsn, const struct stuck_filter *filter,
                 struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** At most `limit` events. Columns: destination, part, subscription,
 *  subscriptionId and host (null where there is none), eventId, type,
 *  key, state, cause, since, attempts, nextAttempt, lastError. */
int stuck_events(const char *dsn, const struct stuck_filter *filter, int64_t limit,
                 struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

#endif
