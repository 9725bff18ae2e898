/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_histogram.c - buckets are inclusive, cumulative, and lose nothing when
 * several threads observe at once.
 */
#include "metrics/histogram.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct histogram *make(const double *bounds, size_t n)
{
    struct histogram *h = NULL;
    struct rider_error err;

    assert_int_equal(histogram_create(bounds, n, &h, &err), 0);
    return h;
}

static void bounds_are_inclusive_and_buckets_cumulative(void **state)
{
    (void)state;
    const double bounds[] = {0.1, 1, 10};
    RIDER_CLEANUP_PTR(histogram_destroy) struct histogram *h = make(bounds, 3);
    struct histogram_snapshot now;

    histogram_observe(h, 0);
    histogram_observe(h, 0.1);
    histogram_observe(h, 0.2);
    histogram_observe(h, 10);
    histogram_observe(h, 11);
    histogram_read(h, &now);
    assert_int_equal(now.n_bounds, 3);
    assert_int_equal(now.cumulative[0], 2);
    assert_int_equal(now.cumulative[1], 3);
    assert_int_equal(now.cumulative[2], 4);
    assert_int_equal(now.cumulative[3], 5);
    assert_int_equal(now.count, 5);
    assert_true(fabs(now.sum_seconds - 21.3) < 1e-6);
}

static void odd_values_do_no_harm(void **state)
{
    (void)state;
    const double bounds[] = {1};
    RIDER_CLEANUP_PTR(histogram_destroy) struct histogram *h = make(bounds, 1);
    struct histogram_snapshot now;

    histogram_observe(h, -5);
    histogram_observe(h, (double)NAN);
    histogram_observe(h, (double)INFINITY);
    histogram_read(h, &now);
    assert_int_equal(now.cumulative[0], 1);
    assert_int_equal(now.count, 2);
    assert_true(now.sum_seconds > 0);
}

static void bad_bounds_are_refused(void **state)
{
    (void)state;
    const double equal[] = {1, 1};
    const double infinite[] = {1, (double)INFINITY};
    const double falling[] = {2, 1};
    double many[HISTOGRAM_MAX_BOUNDS + 1];
    struct histogram *h = NULL;
    struct rider_error err;

    for (size_t i = 0; i <= HISTOGRAM_MAX_BOUNDS; i++) {
        many[i] = (double)i;
    }
    assert_int_equal(histogram_create(equal, 2, &h, &err), RIDER_E_INTERNAL);
    assert_int_equal(histogram_create(infinite, 2, &h, &err), RIDER_E_INTERNAL);
    assert_int_equal(histogram_create(falling, 2, &h, &err), RIDER_E_INTERNAL);
    assert_int_equal(histogram_create(falling, 0, &h, &err), RIDER_E_INTERNAL);
    assert_int_equal(histogram_create(many, HISTOGRAM_MAX_BOUNDS + 1, &h, &err),
                     RIDER_E_INTERNAL);
    assert_null(h);
}

static void latency_bounds_are_usable(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(histogram_destroy)
    struct histogram *h = make(histogram_latency_bounds, histogram_latency_n_bounds);

    assert_non_null(h);
}

#define THREADS 4
#define EACH    20000

static void *observe_many(void *arg)
{
    struct histogram *h = arg;

    for (int i = 0; i < EACH; i++) {
        histogram_observe(h, i % 2 == 0 ? 0.5 : 2);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    const double bounds[] = {1};
    RIDER_CLEANUP_PTR(histogram_destroy) struct histogram *h = make(bounds, 1);
    pthread_t threads[THREADS];
    struct histogram_snapshot now;

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, observe_many, h), 0);
    }
    histogram_read(h, &now);
    assert_int_equal(now.count, now.cumulative[1]);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    histogram_read(h, &now);
    assert_int_equal(now.cumulative[0], THREADS * EACH / 2);
    assert_int_equal(now.count, THREADS * EACH);
    assert_true(fabs(now.sum_seconds - THREADS * EACH * 1.25) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_inclusive_and_buckets_cumulative),
        cmocka_unit_test(odd_values_do_no_harm),
        cmocka_unit_test(bad_bounds_are_refused),
        cmocka_unit_test(latency_bounds_are_usable),
        cmocka_unit_test(threads_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
