/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_store.h - secrets of subscriptions as they lie in the database: which keys
 * they need, and sealing them anew with the current one.
 *
 * A row of outbox.subscription_secret is a whsec_ text sealed by a key of the ring
 * (webhooks/key_ring.h) for that row alone. Needs the rights of outbox_relay, which is
 * the only role that reads them. Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_SECRET_STORE_H
#define OUTBOX_SECRET_STORE_H

#include "base/buf.h"
#include "base/error.h"
#include "outbox/row_set.h"
#include "webhooks/key_ring.h"

#include <stdbool.h>
#include <stdint.h>

#define SECRET_CONTEXT_SIZE 160

/** Writes the context that a secret is sealed for: "subscription_secret:" and the ids of
 *  its subscription ("sub_...") and of itself ("key_..."). */
void secret_context(const char *subscription_id, const char *secret_id,
                    char out[SECRET_CONTEXT_SIZE]);

/** What each key number holds. Columns: number, secrets, used (those of subscriptions
 *  that are not deleted, and not expired), answers (kept for Idempotency-Key). */
int secret_store_keys(const char *dsn, struct row_set **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Appends the numbers that used secrets need and `ring` (NULL: none) lacks: "2, 5", or
 *  nothing. */
int secret_store_missing_keys(const char *dsn, const struct key_ring *ring,
                              struct buf *ret,
                              struct rider_error *err) RIDER_MUST_CHECK;

struct secret_rewrap {
    const char *dsn;
    const struct key_ring *ring;
    const char *actor; /* for the audit row */
    bool dry_run;      /* open everything, change nothing */
    /** Called after each page. */
    void (*progress)(void *arg, int64_t done);
    /** Called for what cannot be opened, and is left as it is; `what` names it. */
    void (*refused)(void *arg, const char *what, const char *reason);
    void *arg; /* for both */
};

struct secret_rewrap_result {
    int64_t secrets; /* under the current key now, or would be */
    int64_t answers; /* the same, of those kept for Idempotency-Key */
    int64_t refused; /* could not be opened */
};

/** Seals everything that is not under the current key with it. A page is one
 *  transaction, a row is under its old key or under the new one, and what is done stays
 *  done: after a failure or a kill it is called again. Each page leaves a row in
 *  outbox.audit. */
int secret_store_rewrap(const struct secret_rewrap *order,
                        struct secret_rewrap_result *ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

#endif
