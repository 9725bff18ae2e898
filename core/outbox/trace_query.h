/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_query.h - one event at every destination.
 *
 * Needs the rights of outbox_monitor; no payload is read. Thread: any.
 * Blocking: at most 10 s.
 */
#ifndef OUTBOX_TRACE_QUERY_H
#define OUTBOX_TRACE_QUERY_H

#include "base/error.h"
#include "outbox/row_set.h"

/** ret_event, one row: eventId, seq, type, version, aggregateType, aggregateId,
 *  occurredAt, ageMs. ret_places, one row a lane and subscription: destination, part,
 *  subscription, subscriptionId, host, state, cause, attempts, since, nextAttempt, lastError, byCursor
 *  (no row of its own: the cursor alone says so), laneState, laneOwner, laneCause,
 *  laneSettledSeq, laneSentSeq (both of the window that is open).
 *  RIDER_E_CONFIG: not a UUID; RIDER_E_NOT_FOUND: not committed, or retired. */
int trace_query_read(const char *dsn, const char *event_id, struct row_set **ret_event,
                     struct row_set **ret_places,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
