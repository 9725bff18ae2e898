/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_idempotent.h - POST requests with an Idempotency-Key are done once.
 *
 * In the transaction of the change: api_idempotent_begin() first, and unless it has
 * answered already, api_idempotent_keep() last, before the commit. Without the header
 * both do nothing. The key is the principal's own.
 * Thread: any. Blocks on the database.
 */
#ifndef ADMIN_API_IDEMPOTENT_H
#define ADMIN_API_IDEMPOTENT_H

#include "admin/api_call.h"
#include "outbox/outbox_tx.h"

#define API_IDEMPOTENCY_KEY_MAX 255

struct api_idempotent {
    const char *key; /* NULL: the client sent none */
    char hash[65];   /* of method, path and body, in hex */
};

/** *ret_answered: the request was done before, and its answer is in call->res and
 *  `out`. RIDER_E_CONFIG with call->problem set: a key that was used for something
 *  else, or that another request works with now. */
int api_idempotent_begin(struct api_call *call, struct outbox_tx *tx,
                         struct api_idempotent *ret, bool *ret_answered,
                         struct buf *out, struct rider_error *err) RIDER_MUST_CHECK;

/** Keeps the answer: call->res with its status, Location and ETag, and `out`. */
int api_idempotent_keep(struct api_call *call, struct outbox_tx *tx,
                        const struct api_idempotent *idempotent, const struct buf *out,
                        struct rider_error *err) RIDER_MUST_CHECK;

#endif
