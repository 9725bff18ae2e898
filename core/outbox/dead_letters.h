/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dead_letters.h - look at dead letters, send them again, give them up.
 *
 * A filter is a JSON object as in schema/005_operators.sql, which checks it: a
 * wrong one is RIDER_E_CONFIG. Needs the rights of outbox_operator (to look:
 * outbox_monitor). Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_DEAD_LETTERS_H
#define OUTBOX_DEAD_LETTERS_H

#include "base/error.h"
#include "outbox/row_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEAD_LIST_MAX 1000

/** At most `limit` dead letters in the order of the log, behind `after`, which is
 *  the `position` of the last row of the page before, or "". Columns: eventId,
 *  destination, part, subscription, subscriptionId and host (null where there is
 *  none), type, version, aggregateType, aggregateId,
 *  occurredAt, deadAt, attempts, cause, lastError, position. */
int dead_letters_list(const char *dsn, const char *filter, const char *after,
                      int64_t limit, struct row_set **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** How many match, by destination and cause. Columns: destination, cause, count,
 *  oldest, newest. */
int dead_letters_count(const char *dsn, const char *filter, struct row_set **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

/** What is to be done with those that a filter names. */
struct dead_order {
    const char *dsn;
    const char *filter; /* an empty one is refused */
    const char *actor;  /* for the audit row: "cli alice@host", "api deploy" */
    bool discard;       /* else: send again */
    int64_t per_second; /* at most so many become due a second; 0: all now */
    int64_t max;        /* stop after so many; 0: all */
};

struct dead_result {
    int64_t operation; /* of the audit row */
    int64_t affected;
};

/** Called after each page; returns false to stop there. */
typedef bool dead_progress_fn(void *arg, int64_t affected);

/** Works in pages, each a transaction: after a failure *ret tells what is done.
 *  `progress` may be NULL. */
int dead_letters_apply(const struct dead_order *order, dead_progress_fn *progress,
                       void *arg, struct dead_result *ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

#endif
