/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.h - samples the database for metrics and applies retention.
 *
 * A thread of its own asks every few seconds and keeps the last answer, so that
 * no scrape ever waits for the database. The age of a sample grows while the
 * database is down, and is shown.
 * Thread: create, set and destroy from the main thread; read from any.
 */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include "base/error.h"

#include "outbox/admin_query.h"

#include <stdbool.h>
#include <stdint.h>

struct monitor;

/** Starts the thread; `dsn` is copied. Events are kept for `retention_ms` after
 *  they were settled. */
int monitor_create(const char *dsn, uint64_t retention_ms, struct monitor **ret,
                   struct rider_error *err) RIDER_MUST_CHECK;
/** Uses these from the next round on; `dsn` is copied. */
void monitor_set_source(struct monitor *m, const char *dsn, uint64_t retention_ms);
/** Stops the thread; waits for a query under way, at most 10 s. Accepts NULL. */
void monitor_destroy(struct monitor *m);

/** Calls `fn` with the last sample, or NULL before the first one; `age_ms` is how
 *  old it is, `database_up` whether the last question was answered, `retired` how
 *  many events retention has deleted. The sample lives until `fn` returns. */
typedef void monitor_read_fn(void *arg, const struct outbox_status *status,
                             uint64_t age_ms, bool database_up, uint64_t retired);
void monitor_read(struct monitor *m, monitor_read_fn *fn, void *arg);

#endif
