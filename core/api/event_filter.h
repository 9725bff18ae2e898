/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_filter.h - the JSON filter of a subscription, made a jsonpath of PostgreSQL.
 *
 *     {"type": {"$prefix": "order."}, "payload.amount": {"$gte": 100},
 *      "$or": [{"payload.region": "eu"}, {"$not": {"headers.test": {"$exists": true}}}]}
 *
 * A member is a field of the envelope (eventId, type, aggregateType, aggregateId,
 * version, headers.*, payload.*) or $and, $or, $not; all members must hold. A value is
 * compared by $eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $prefix or $exists; a bare one
 * is $eq. A list in the event holds what one of its items holds; a field that is not
 * there, or has another type, equals nothing.
 * Pure; any thread.
 */
#ifndef API_EVENT_FILTER_H
#define API_EVENT_FILTER_H

#include "api/api_body.h"

#define EVENT_FILTER_MAX_DEPTH 8   /* of $and, $or, $not */
#define EVENT_FILTER_MAX_TERMS 100 /* comparisons, and values of $in and $nin */
#define EVENT_FILTER_MAX_PATH  ((size_t)8192) /* bytes of the result */

/** Appends the predicate to `out`. Each mistake becomes a fault "invalid-filter" of the
 *  problem of `f`; then what is in `out` is of no use. */
void event_filter_compile(const struct api_fields *f, const struct json_node *filter,
                          struct buf *out);

#endif
