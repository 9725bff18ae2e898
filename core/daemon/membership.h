/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membership.h - this process among the others: a heartbeat, and which lanes
 * are its share.
 *
 * A thread of its own asks the database twice a second and tells the lanes.
 * While the database does not answer, nothing changes: leases decide.
 * Thread: create, changed and destroy from the main thread.
 */
#ifndef DAEMON_MEMBERSHIP_H
#define DAEMON_MEMBERSHIP_H

#include "base/error.h"
#include "daemon/lane_set.h"

#include <stdint.h>

struct membership;

/** Starts the thread. `owner` and `lanes` are borrowed; `dsn` is copied. */
int membership_create(const char *dsn, const char *owner, uint64_t lease_ms,
                      struct lane_set *lanes, struct membership **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Ends the thread and takes this process off the list. Accepts NULL. */
void membership_destroy(struct membership *m);

#endif
