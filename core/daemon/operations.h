/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operations.h - the thread that works off recoveries and backfills.
 *
 * Looks for work twice a second and does it page by page with a pause after each, so
 * that the lanes, which need the same rows, go on. Every relay with subscriptions has
 * one; the database keeps them apart.
 * Thread: all of these from the main thread.
 */
#ifndef DAEMON_OPERATIONS_H
#define DAEMON_OPERATIONS_H

#include "base/error.h"
#include "config/settings.h"

struct operations;

/** Makes *operations fit the settings: a thread, a new one for another database, or
 *  NULL where no destination has subscriptions. Waits for a page under way. */
int operations_apply(struct operations **operations, const struct settings *settings,
                     struct rider_error *err) RIDER_MUST_CHECK;
/** Stops it; waits for a page under way. Accepts NULL. */
void operations_destroy(struct operations *o);

#endif
