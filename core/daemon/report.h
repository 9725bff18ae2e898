/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what /metrics, /livez and /readyz say.
 *
 * Reads atomics, the adapters' last reports and the monitor's last sample:
 * never the database. docs/reference/metrics.md lists the families.
 * Thread: any.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include "daemon/lane_set.h"
#include "daemon/monitor.h"
#include "daemon/ops_routes.h"

#include <stdatomic.h>

/** Everything that is shown; the daemon keeps it up to date. */
struct report {
    struct lane_set *lanes;
    struct monitor *monitor;
    atomic_uint_fast64_t generation; /* of the configuration, from 1 */
    atomic_bool last_reload_ok;
    atomic_int_fast64_t last_reload_s; /* wall clock of the last good one */
    atomic_bool started;               /* the lanes exist */
    atomic_bool draining;
};

/** Functions for struct ops_source; `arg` is the report. */
void report_metrics(void *arg, struct buf *out);
bool report_live(void *arg, struct buf *json);
bool report_ready(void *arg, struct buf *json);

/** Appends the Markdown tables of every family and label of the relay's own that
 *  report_metrics() can write. */
void report_describe_metrics(struct buf *out);

#endif
