/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.c - how long something took, in fixed buckets.
 *
 * Each bucket is an atomic counter of the observations that fell into it
 * alone; the cumulative form that Prometheus wants is made when it is read. The
 * sum is kept in whole nanoseconds, because C11 has no atomic addition of
 * doubles and 64 bits of nanoseconds last for 584 years of observed time.
 *
 * Invariant: `bounds` and `n_bounds` never change after creation, so readers
 * and writers share nothing but the counters. Relaxed order is enough: no other
 * data is published through them.
 *
 * Not here: the text format (exposition.c).
 */
#include "metrics/histogram.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

const double histogram_latency_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                           0.1,   0.25,   0.5,   1,    2.5,   5,
                                           10,    30,     60,    300,  600};
const size_t histogram_latency_n_bounds =
    sizeof(histogram_latency_bounds) / sizeof(histogram_latency_bounds[0]);

struct histogram {
    size_t n_bounds;
    double bounds[HISTOGRAM_MAX_BOUNDS];
    atomic_uint_least64_t buckets[HISTOGRAM_MAX_BOUNDS + 1];
    atomic_uint_least64_t sum_ns;
};

int histogram_create(const double *bounds, size_t n, struct histogram **ret,
                     struct rider_error *err)
{
    if (n == 0 || n > HISTOGRAM_MAX_BOUNDS) {
        return rider_fail(err, RIDER_E_INTERNAL,
                          "a histogram cannot have %zu bucket bounds", n);
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1])) {
            return rider_fail(
                err, RIDER_E_INTERNAL,
                "histogram bounds must be finite and strictly increasing");
        }
    }
    struct histogram *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "could not allocate a histogram");
    }
    h->n_bounds = n;
    memcpy(h->bounds, bounds, n * sizeof(*bounds));
    *ret = h;
    return 0;
}

void histogram_destroy(struct histogram *h)
{
    free(h);
}

/* The first bucket whose bound is not below `seconds`. */
static size_t bucket_of(const struct histogram *h, double seconds)
{
    size_t low = 0;
    size_t high = h->n_bounds;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (h->bounds[middle] < seconds) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t to_nanoseconds(double seconds)
{
    const double most = 9.0e18; /* below UINT64_MAX, so the cast is defined */
    double ns = seconds * 1e9;

    return ns >= most ? (uint64_t)most : (uint64_t)ns;
}

void histogram_observe(struct histogram *h, double seconds)
{
    if (isnan(seconds)) {
        return;
    }
    double value = seconds < 0 ? 0 : seconds;

    atomic_fetch_add_explicit(&h->sum_ns, to_nanoseconds(value), memory_order_relaxed);
    atomic_fetch_add_explicit(&h->buckets[bucket_of(h, value)], 1,
                              memory_order_relaxed);
}

void histogram_read(const struct histogram *h, struct histogram_snapshot *ret)
{
    uint64_t total = 0;

    memcpy(ret->bounds, h->bounds, sizeof(ret->bounds));
    ret->n_bounds = h->n_bounds;
    for (size_t i = 0; i <= h->n_bounds; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        ret->cumulative[i] = total;
    }
    ret->count = total;
    ret->sum_seconds =
        (double)atomic_load_explicit(&h->sum_ns, memory_order_relaxed) / 1e9;
}
