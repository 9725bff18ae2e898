/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_metrics.h - the process_* families that every dashboard expects:
 * CPU time, memory, file descriptors, start time.
 */
#ifndef METRICS_PROCESS_METRICS_H
#define METRICS_PROCESS_METRICS_H

#include "metrics/exposition.h"

/** Writes the families; one whose source in /proc cannot be read is left out.
 *  Reads /proc/self, never blocks on anything else. Any thread. */
void process_metrics_write(struct exposition *e);

#endif
