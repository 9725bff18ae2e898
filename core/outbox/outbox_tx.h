/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox_tx.h - one transaction that may write, made of several steps.
 *
 * For changes of the HTTP API, whose parts belong together: the row, its audit, the
 * answer that is kept for a repeated request. It is rolled back unless it is committed.
 * Thread: one at a time. Blocking: every call, as query_conn.h says.
 */
#ifndef OUTBOX_OUTBOX_TX_H
#define OUTBOX_OUTBOX_TX_H

#include "base/cleanup.h"
#include "base/error.h"
#include "outbox/row_set.h"

struct outbox_tx;

/** Connects and begins. Needs the rights of what its steps do. */
int outbox_tx_begin(const char *dsn, struct outbox_tx **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** Commits; no step may follow. */
int outbox_tx_commit(struct outbox_tx *tx, struct rider_error *err) RIDER_MUST_CHECK;

/** Rolls back what was not committed. Accepts NULL. */
void outbox_tx_destroy(struct outbox_tx *tx);
RIDER_DEFINE_PTR_CLEANUP(struct outbox_tx, outbox_tx_destroy);

/** Runs one statement as a step; only core/outbox calls it. */
int outbox_tx_rows(struct outbox_tx *tx, const char *sql, int n,
                   const char *const *values, struct row_set **ret,
                   struct rider_error *err) RIDER_MUST_CHECK;

/** A row of outbox.audit: `actor` did `action` to the subscription `id`. */
int outbox_tx_audit(struct outbox_tx *tx, const char *actor, const char *action,
                    const char *id, struct rider_error *err) RIDER_MUST_CHECK;

#endif
