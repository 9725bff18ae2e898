/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_decode.h - one row of a binary result to a struct event_row.
 *
 * Pure: reads the result and writes the row, whose pointers borrow from the
 * result and from the scratch. Lengths are checked against the types, so a
 * result of another shape is an error and never a wild read.
 */
#ifndef OUTBOX_EVENT_DECODE_H
#define OUTBOX_EVENT_DECODE_H

#include "base/error.h"
#include "dispatch/event_row.h"

#include <libpq-fe.h>

#define EVENT_MAX_HEADERS  64
#define EVENT_COLUMN_COUNT 9 /* what follows them is the reader's own */

struct event_scratch; /* keeps the parsed headers of the last row */

struct event_scratch *event_scratch_create(void);
void event_scratch_destroy(struct event_scratch *s);

/** Reads columns 0 to 8 (lane_sql.c, EVENT_COLUMNS) of row `r`. Header values
 *  that are no strings appear as their JSON text; more than EVENT_MAX_HEADERS
 *  are cut. RIDER_E_PROTOCOL: the columns are not those of an event. */
int event_decode(const PGresult *res, int r, struct event_scratch *scratch,
                 struct event_row *ret, struct rider_error *err) RIDER_MUST_CHECK;

/** A binary int8 or int4 column; 0 for NULL or another length. */
int64_t event_decode_int(const PGresult *res, int r, int column);

#endif
