/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_idempotent.h - changes, each of which is done once.
 *
 * A request with an Idempotency-Key that was done before is answered as the first one
 * was. Every function here asks that first; RIDER_E_CONFIG with call->problem set is a
 * key that was used for something else, or that another request works with now. The key
 * is the principal's own. Refusals are not kept.
 * Thread: any. Blocks on the database.
 */
#ifndef API_API_IDEMPOTENT_H
#define API_API_IDEMPOTENT_H

#include "api/api_call.h"
#include "outbox/outbox_tx.h"

#define API_IDEMPOTENCY_KEY_MAX 255

/** Makes a change and writes its answer to `out`. `arg` is the caller's. */
typedef int api_change_fn(struct api_call *call, struct outbox_tx *tx, void *arg,
                          struct buf *out, struct rider_error *err);

/** Calls `fn` in a transaction that keeps the answer, too, and is committed if all went
 *  well. */
int api_idempotent_once(struct api_call *call, api_change_fn *fn, void *arg,
                        struct buf *out, struct rider_error *err) RIDER_MUST_CHECK;

/** A change that waits for somebody else in its middle, and in no transaction: neither a
 *  lock nor a connection is held then. */
struct api_exchange {
    /** In a transaction; writes nothing to `out`. */
    api_change_fn *prepare;
    int (*exchange)(struct api_call *call, void *arg, struct rider_error *err);
    /** In a second one, which keeps the answer, too. */
    api_change_fn *finish;
};

/** Calls the three in their order. The key is claimed with the first: a repeated request
 *  is refused until the last has answered, the change has failed, or, when the process
 *  ends before that, for a minute. */
int api_idempotent_exchange(struct api_call *call, const struct api_exchange *steps,
                            void *arg, struct buf *out,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** Only asks, and holds nothing afterwards: for what has to wait for a resolver before
 *  api_idempotent_once(). *ret_answered: the answer is in call->res and `out`. */
int api_idempotent_ask(struct api_call *call, bool *ret_answered, struct buf *out,
                       struct rider_error *err) RIDER_MUST_CHECK;

#endif
