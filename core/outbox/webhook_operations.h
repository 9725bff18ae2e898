/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_operations.h - deliveries of subscriptions go again: one, or many.
 *
 * Columns are the members of the HTTP API (docs/openapi.yaml). The work itself is done
 * by any relay (operation_work.h). Needs the rights of outbox_api. Thread: any.
 * Blocking: every call.
 */
#ifndef OUTBOX_WEBHOOK_OPERATIONS_H
#define OUTBOX_WEBHOOK_OPERATIONS_H

#include "outbox/outbox_tx.h"
#include "outbox/webhook_deliveries.h"

#include <stdbool.h>
#include <stdint.h>

/** Why nothing was done. */
enum webhook_refusal {
    WEBHOOK_DONE,
    WEBHOOK_UNKNOWN,  /* or deleted */
    WEBHOOK_DISABLED, /* its subscription */
    WEBHOOK_NO_EVENT, /* to begin at is in the log */
    WEBHOOK_UNREADY,  /* no relay has had the destination yet */
    WEBHOOK_NO_TIME   /* is between its since and until */
};

/** Sends one delivery again. */
int webhook_redeliver(struct outbox_tx *tx, const struct webhook_delivery_id *id,
                      const char *actor, enum webhook_refusal *ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** What is to be recovered. Members that are NULL narrow nothing. */
struct webhook_recovery {
    const char *subscription; /* its id */
    const char *include;      /* "failed", "missed" or "all" */
    const char *since, *until;
    const char *from;        /* an event's id or its number */
    const char *event_types; /* a JSON list of patterns */
    const char *per_second;  /* a number */
    const char *actor;
    bool dry_run;
};

/** Begins one, or only counts. One row: operation (null for a dry run), failed and
 *  missed (null otherwise). */
int webhook_recover(struct outbox_tx *tx, const struct webhook_recovery *recovery,
                    enum webhook_refusal *ret, struct row_set **ret_rows,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** How far one is. One row. RIDER_E_NOT_FOUND. */
int webhook_operation_read(const char *dsn, const char *id, struct row_set **ret,
                           struct rider_error *err) RIDER_MUST_CHECK;
int webhook_operation_read_in(struct outbox_tx *tx, const char *id,
                              struct row_set **ret,
                              struct rider_error *err) RIDER_MUST_CHECK;

/** Stops one; what it has queued stays so. One that has ended stays as it is.
 *  RIDER_E_NOT_FOUND. */
int webhook_operation_cancel(struct outbox_tx *tx, const char *id, const char *actor,
                             struct rider_error *err) RIDER_MUST_CHECK;

#endif
