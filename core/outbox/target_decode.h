/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_decode.h - where a row of outbox.delivery goes, from a binary result.
 *
 * Rows of one subscription come together, and what is the same for all of them is
 * decoded once a read: headers parsed, secrets opened. Thread: the lane's.
 */
#ifndef OUTBOX_TARGET_DECODE_H
#define OUTBOX_TARGET_DECODE_H

#include "dispatch/event_row.h"
#include "webhooks/key_ring.h"

#include <libpq-fe.h>

struct target_scratch; /* the last subscription, and what its pointers point to */

/** `ring` may be NULL: then no secret can be opened. `signing_key` is whsk_ text for
 *  subscriptions that want v1a, or NULL. Both are borrowed. NULL: out of memory. */
struct target_scratch *target_scratch_create(const struct key_ring *ring,
                                             const char *signing_key);
/** Overwrites the secrets. Accepts NULL. */
void target_scratch_destroy(struct target_scratch *s);

/** Forgets the last subscription: another read begins. */
void target_scratch_reset(struct target_scratch *s);

/** Fills row->subscription, attempts, progress and `to` from the columns that begin at
 *  `column` (lane_sql.c, TARGET_COLUMNS). Secrets that cannot be opened are no error:
 *  row->to->problem says so. False: out of memory. */
bool target_decode(const PGresult *res, int r, int column, struct target_scratch *s,
                   struct event_row *row);

#endif
