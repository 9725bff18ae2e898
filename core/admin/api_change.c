/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_change.c - one change of the API: a transaction that is done once.
 */
#include "admin/api_change.h"

#include "admin/api_idempotent.h"

int api_change_once(struct api_call *call, api_change_fn *fn, void *arg,
                    struct buf *out, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy) struct outbox_tx *tx = NULL;
    struct api_idempotent idempotent;
    bool answered = false;
    int rc = outbox_tx_begin(call->dsn, &tx, err);

    if (rc == 0) {
        rc = api_idempotent_begin(call, tx, &idempotent, &answered, out, err);
    }
    if (rc == 0 && !answered) {
        rc = fn(call, tx, arg, out, err);
    }
    if (rc == 0 && !answered) {
        rc = api_idempotent_keep(call, tx, &idempotent, out, err);
    }
    return rc == 0 ? outbox_tx_commit(tx, err) : rc;
}
