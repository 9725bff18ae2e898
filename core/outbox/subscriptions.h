/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscriptions.h - subscriptions as the HTTP API shows and changes them.
 *
 * A row goes in as one JSON object whose members are the columns of
 * outbox.subscription; it comes out with the columns that the API calls its members:
 * id, destination, uid, url, status, ... (docs/openapi.yaml), and `position`, the order
 * of creation. Deleted subscriptions are not there for any of these functions.
 * Needs the rights of outbox_relay. Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_SUBSCRIPTIONS_H
#define OUTBOX_SUBSCRIPTIONS_H

#include "outbox/outbox_tx.h"

#include <stdbool.h>
#include <stdint.h>

#define SUBSCRIPTIONS_MAX 100000 /* of one destination */

/** What a list is narrowed to; "" or NULL: anything. */
struct subscription_filter {
    const char *destination, *status, *uid, *url_contains;
    const char *event_type;    /* those whose event_types take it */
    const char *metadata;      /* an object whose members they have */
    const char *created_after; /* a time */
    bool failing;              /* the last attempt failed */
};

/** At most `limit` in the order of creation, behind position `after` ("": all). */
int subscriptions_list(const char *dsn, const struct subscription_filter *filter,
                       const char *after, int64_t limit, struct row_set **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;

/** One row. RIDER_E_NOT_FOUND. */
int subscription_read(const char *dsn, const char *id, struct row_set **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
int subscription_read_in(struct outbox_tx *tx, const char *id, struct row_set **ret,
                         struct rider_error *err) RIDER_MUST_CHECK;

/** How the endpoint does. One row: the members of the API's answer. RIDER_E_NOT_FOUND. */
int subscription_health(const char *dsn, const char *id, struct row_set **ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Indexes of the items in `types` (a JSON list of texts) that name no type of the
 *  catalogue, when that is strict. Column: index. */
int subscription_unknown_types(const char *dsn, const char *types, struct row_set **ret,
                               struct rider_error *err) RIDER_MUST_CHECK;

/** Adds a row, and the operation that expands its past unless start_from is "now".
 *  Holds the lane of the destination until the transaction ends, so end it soon.
 *  RIDER_E_CONFIG with *ret_taken: the uid is another's; RIDER_E_NOT_FOUND: start_from
 *  names an event that is not there; *ret_full: there are SUBSCRIPTIONS_MAX. */
struct subscription_new {
    const char *row; /* with id, destination, start_from */
    const char
        *since; /* a time, from_event an event id or seq: where the past begins */
    const char *from_event;
    bool beginning;
    const char *actor;
    bool ret_taken, ret_full;
};
int subscription_insert(struct outbox_tx *tx, struct subscription_new *s,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Writes the columns of the API's PATCH, if the version is still `version`; a status
 *  "disabled" remembers the cursor. A URL that has to agree first becomes
 *  pending_verification. *ret_stale: it is not, nothing was written. *ret_unverified:
 *  `status` is not what it would become; roll back. *ret_taken as above. */
struct subscription_change {
    const char *id, *row;
    const char *status; /* that is asked for, or NULL */
    int64_t version;
    const char *actor;
    bool ret_stale, ret_taken, ret_unverified;
};
int subscription_update(struct outbox_tx *tx, struct subscription_change *s,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Marks it deleted and gives up what waits for it, in pages, each a transaction.
 *  `version` 0: whatever it is. RIDER_E_NOT_FOUND; *ret_stale as above. A call for one
 *  that is deleted finishes what a call before may have left. */
int subscription_delete(const char *dsn, const char *id, int64_t version,
                        const char *actor, bool *ret_stale,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** `url` has agreed: from pending_verification to active. RIDER_E_NOT_FOUND: the URL is
 *  another by now, or the subscription is deleted or disabled. */
int subscription_verified(struct outbox_tx *tx, const char *id, const char *url,
                          const char *actor, struct rider_error *err) RIDER_MUST_CHECK;

#endif
