/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held_query.h - keys that wait behind an event, and how to let them go; lanes
 * that an operator stops and starts.
 *
 * Filters are JSON objects with destination, aggregateType and aggregateId, as in
 * schema/005_operators.sql. Changes need the rights of outbox_operator and leave an
 * audit row. Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_HELD_QUERY_H
#define OUTBOX_HELD_QUERY_H

#include "base/error.h"
#include "outbox/row_set.h"

#include <stdbool.h>
#include <stdint.h>

/** Longest waiting first. Columns: destination, part, subscription,
 *  subscriptionId and host (null where there is none), aggregateType,
 *  aggregateId, waiting (events), waitingSince, heldBy, holderType, holderState,
 *  cause, lastError, attempts, nextAttempt. */
int held_query_list(const char *dsn, const char *filter, int64_t limit,
                    struct row_set **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** Columns: destination, keys, events. */
int held_query_count(const char *dsn, const char *filter, struct row_set **ret,
                     struct rider_error *err) RIDER_MUST_CHECK;

/** Tries the holders again now or, with `discard`, gives them up. At most 10,000
 *  keys a call. One row: operation, affected. */
int held_query_release(const char *dsn, const char *filter, bool discard,
                       const char *actor, struct row_set **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

enum lane_switch { LANE_SWITCH_PAUSE, LANE_SWITCH_FENCE, LANE_SWITCH_RESUME };

/** Columns, one row a lane: part, owner (who still has the lease, or null).
 *  RIDER_E_NOT_FOUND: no lane of this destination. */
int lane_switch_set(const char *dsn, const char *destination, enum lane_switch to,
                    const char *actor, struct row_set **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** The same rows without a change; no row when nobody has a lease. */
int lane_switch_owners(const char *dsn, const char *destination, struct row_set **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

#endif
