/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_work.h - long work on deliveries of subscriptions, a page at a time.
 *
 * Recoveries and backfills, deliveries of deleted subscriptions, and what ends by its
 * age: all of it functions of schema/007_recovery.sql. Any number of processes may do
 * it: each page is a transaction under locks that the others skip or wait for.
 * Keeps one connection, and opens it again when it is lost.
 * Thread: one at a time. Blocking: every call, at most 30 s a statement.
 */
#ifndef OUTBOX_OPERATION_WORK_H
#define OUTBOX_OPERATION_WORK_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>

struct operation_work;

/** Connects at the first use only. `dsn` is copied. */
int operation_work_create(const char *dsn, struct operation_work **ret,
                          struct rider_error *err) RIDER_MUST_CHECK;
/** Accepts NULL. */
void operation_work_destroy(struct operation_work *work);
RIDER_DEFINE_PTR_CLEANUP(struct operation_work, operation_work_destroy);

/** Does a page of one operation; *ret_more says whether there was any, and so may be
 *  more. */
int operation_work_page(struct operation_work *work, bool *ret_more,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Does a page of what deleted subscriptions have left; sets *more, and never clears it,
 *  when there may be more. */
int operation_work_sweep(struct operation_work *work, bool *more,
                         struct rider_error *err) RIDER_MUST_CHECK;

/** Deletes secrets and kept answers whose time is over, and what ended long ago. */
int operation_work_clean(struct operation_work *work,
                         struct rider_error *err) RIDER_MUST_CHECK;

#endif
