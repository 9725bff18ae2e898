/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ready_queue.c - the lowest order goes first, against a naive model.
 */
#include "dispatch/ready_queue.h"

#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define DELIVERIES 3000

static void orders_come_out_ascending(void **state)
{
    (void)state;
    struct prng g = prng_make(2);
    struct ready_queue q = {0};
    struct delivery *d = calloc(DELIVERIES, sizeof(*d));

    assert_non_null(d);
    for (size_t i = 0; i < DELIVERIES; i++) {
        d[i].order = i;
    }
    for (size_t i = DELIVERIES - 1; i > 0; i--) {
        size_t other = (size_t)prng_below(&g, i + 1);
        uint64_t order = d[i].order;
        d[i].order = d[other].order;
        d[other].order = order;
    }
    for (size_t i = 0; i < DELIVERIES; i++) {
        assert_int_equal(ready_queue_push(&q, &d[i]), 0);
        assert_int_equal(ready_queue_size(&q), i + 1);
    }
    for (size_t i = 0; i < DELIVERIES; i++) {
        const struct delivery *next = ready_queue_peek(&q);
        assert_int_equal(next->order, i);
        assert_ptr_equal(ready_queue_pop(&q), next);
    }
    assert_null(ready_queue_peek(&q));
    assert_null(ready_queue_pop(&q));
    ready_queue_done(&q);
    free(d);
}

/* The model: in[] by order; what is popped must be the lowest of them. */
static uint64_t lowest(const bool *in)
{
    uint64_t i = 0;

    while (i < DELIVERIES && !in[i]) {
        i++;
    }
    return i;
}

static void pop_and_maybe_put_back(struct ready_queue *q, struct prng *g, bool *in,
                                   size_t *n)
{
    struct delivery *d = ready_queue_pop(q);

    assert_int_equal(d->order, lowest(in));
    if (prng_below(g, 3) == 0) {
        ready_queue_push_front(q, d);
        return;
    }
    in[d->order] = false;
    (*n)--;
}

static void any_mixture_agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct prng g = prng_make(seed);
        struct ready_queue q = {0};
        struct delivery *d = calloc(DELIVERIES, sizeof(*d));
        bool in[DELIVERIES] = {false};
        size_t n = 0;
        uint64_t fresh = 0; /* most arrive in order, others come back */

        assert_non_null(d);
        for (int i = 0; i < 8000; i++) {
            uint64_t order = prng_below(&g, 2) == 0 && fresh < DELIVERIES
                                 ? fresh++
                                 : prng_below(&g, fresh + 1);
            if (prng_below(&g, 2) == 0 && n > 0) {
                pop_and_maybe_put_back(&q, &g, in, &n);
            } else if (order < DELIVERIES && !in[order]) {
                d[order].order = order;
                in[order] = true;
                n++;
                assert_int_equal(ready_queue_push(&q, &d[order]), 0);
            }
            assert_int_equal(ready_queue_size(&q), n);
        }
        ready_queue_done(&q);
        free(d);
    }
}

static void several_can_be_put_back(void **state)
{
    (void)state;
    struct delivery d[4] = {{.order = 1}, {.order = 2}, {.order = 3}, {.order = 4}};
    struct ready_queue q = {0};
    static const size_t pushes[] = {3, 1, 0, 2};

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ready_queue_push(&q, &d[pushes[i]]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(ready_queue_pop(&q), &d[i]);
    }
    for (size_t i = 3; i > 0; i--) {
        ready_queue_push_front(&q, &d[i - 1]);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(ready_queue_pop(&q), &d[i]);
    }
    ready_queue_done(&q);
}

static void clearing_keeps_nothing(void **state)
{
    (void)state;
    struct delivery d[2] = {{.order = 2}, {.order = 1}};
    struct ready_queue q = {0};

    assert_int_equal(ready_queue_push(&q, &d[0]), 0);
    assert_int_equal(ready_queue_push(&q, &d[1]), 0);
    ready_queue_clear(&q);
    assert_int_equal(ready_queue_size(&q), 0);
    assert_null(ready_queue_pop(&q));
    ready_queue_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_come_out_ascending),
        cmocka_unit_test(any_mixture_agrees_with_the_model),
        cmocka_unit_test(several_can_be_put_back),
        cmocka_unit_test(clearing_keeps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
