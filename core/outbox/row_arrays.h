/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_arrays.h - rows of outbox.delivery, and keys, as parallel arrays: one
 * statement writes any number of them.
 * Thread: one at a time.
 */
#ifndef OUTBOX_ROW_ARRAYS_H
#define OUTBOX_ROW_ARRAYS_H

#include "dispatch/lane_store.h"
#include "outbox/pg_array.h"

#include <stdbool.h>
#include <stddef.h>

#define ROW_ARRAYS 7 /* seq, subscription, state, attempts, delay, cause, error */
#define KEY_ARRAYS 3 /* subscription, aggregate_type, aggregate_id */

struct row_arrays {
    struct pg_array columns[ROW_ARRAYS];
};

void row_arrays_init(struct row_arrays *a);
void row_arrays_done(struct row_arrays *a);

/** Fills `texts` with one array literal a column; borrowed until the next fill.
 *  False when memory ran out. */
bool row_arrays_fill_rows(struct row_arrays *a, const struct lane_row *rows, size_t n,
                          const char *texts[ROW_ARRAYS]);
bool row_arrays_fill_keys(struct row_arrays *a, const struct lane_key *keys, size_t n,
                          const char *texts[KEY_ARRAYS]);

#endif
