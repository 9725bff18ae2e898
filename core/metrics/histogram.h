/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.h - how long something took, in fixed buckets.
 *
 * The bucket bounds are given at creation and never change, so observe() is a
 * search and two atomic additions: no lock, no allocation. A reader sees every
 * bucket at some recent value; the count is the sum of the buckets it read, so
 * count and buckets always agree with each other (the sum may be a few
 * observations ahead or behind).
 * Unit: seconds, as Prometheus asks for base units.
 */
#ifndef METRICS_HISTOGRAM_H
#define METRICS_HISTOGRAM_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX_BOUNDS 32

struct histogram;

/** Bounds for latencies: 1 ms to 10 minutes. Static. */
extern const double histogram_latency_bounds[];
extern const size_t histogram_latency_n_bounds;

/** A histogram with `n` upper bounds (inclusive, finite, strictly increasing, 1 to
 *  HISTOGRAM_MAX_BOUNDS) and the bucket +Inf above them; `bounds` is copied.
 *  RIDER_E_INTERNAL for bounds that break the rule, RIDER_E_NOMEM. Any thread. */
int histogram_create(const double *bounds, size_t n, struct histogram **ret,
                     struct rider_error *err) RIDER_MUST_CHECK;

/** Accepts NULL. Nobody may observe any more. */
void histogram_destroy(struct histogram *h);
RIDER_DEFINE_PTR_CLEANUP(struct histogram, histogram_destroy);

/** Adds one observation; a negative one counts as 0 and NaN is ignored.
 *  Any thread, lock-free. */
void histogram_observe(struct histogram *h, double seconds);

/** A value read at one time. */
struct histogram_snapshot {
    size_t n_bounds;
    double bounds[HISTOGRAM_MAX_BOUNDS];
    uint64_t cumulative[HISTOGRAM_MAX_BOUNDS + 1]; /* the last one is +Inf */
    uint64_t count;                                /* equals the last of them */
    double sum_seconds;
};

/** Fills *ret. Any thread, lock-free. */
void histogram_read(const struct histogram *h, struct histogram_snapshot *ret);

#endif
