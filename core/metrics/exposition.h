/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exposition.h - writes metrics in the Prometheus text format 0.0.4.
 *
 * A collector announces a family once and then writes all its samples: the
 * format wants them in one group, and a family twice in one scrape is an error.
 * Names and label names are the programmer's and are not escaped; help texts
 * and label values are. A full buffer shows as buf.failed at the end.
 * Rules: prometheus/docs, "Exposition formats" and "Metric and label naming".
 * Thread: one at a time.
 */
#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include "base/buf.h"
#include "metrics/histogram.h"

#include <stddef.h>
#include <stdint.h>

/** The Content-Type of a scrape. */
#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/** Bounded values only: lane, destination, adapter, cause, result. Borrowed. */
struct metric_label {
    const char *name, *value;
};

struct exposition {
    struct buf *out;
    const char *name; /* of the family that samples belong to; borrowed */
};

struct exposition exposition_begin(struct buf *out);

/** Starts a family. `name` is borrowed until the next one. */
void exposition_family(struct exposition *e, const char *name, enum metric_type type,
                       const char *help);

/** One sample of a counter or gauge. NaN and infinities are written as such. */
void exposition_sample(struct exposition *e, const struct metric_label *labels,
                       size_t n_labels, double value);

/** As exposition_sample() for a whole number: exact beyond 2^53, too. */
void exposition_count(struct exposition *e, const struct metric_label *labels,
                      size_t n_labels, uint64_t value);

/** The buckets, sum and count of one histogram. No label may be named "le". */
void exposition_histogram(struct exposition *e, const struct metric_label *labels,
                          size_t n_labels, const struct histogram *h);

#endif
