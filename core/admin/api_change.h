/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_change.h - one change of the API: a transaction that is done once.
 *
 * Thread: any. Blocks on the database.
 */
#ifndef ADMIN_API_CHANGE_H
#define ADMIN_API_CHANGE_H

#include "admin/api_call.h"
#include "outbox/outbox_tx.h"

/** Makes the change and writes its answer to `out`. `arg` is the caller's. */
typedef int api_change_fn(struct api_call *call, struct outbox_tx *tx, void *arg,
                          struct buf *out, struct rider_error *err);

/** Begins a transaction, answers a repeated request from the one before (see
 *  api_idempotent.h), else calls `fn`; commits when all went well. */
int api_change_once(struct api_call *call, api_change_fn *fn, void *arg,
                    struct buf *out, struct rider_error *err) RIDER_MUST_CHECK;

#endif
