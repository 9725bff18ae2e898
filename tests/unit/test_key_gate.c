/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_key_gate.c - one open delivery a key, against a naive model.
 */
#include "dispatch/key_gate.h"

#include "base/backoff.h"
#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS       3000
#define DELIVERIES 20000

RIDER_DEFINE_PTR_CLEANUP(struct key_gate, key_gate_destroy);

/* What the gate should hold of a key: the open one first. */
struct line {
    size_t first, n; /* deliveries [first, first + n) of the key, by number */
};

struct model {
    struct line lines[KEYS];
    uint64_t keys[KEYS];
    struct delivery *of[KEYS]; /* DELIVERIES each is too many: a ring */
    size_t used;
};

#define RING 64

static struct delivery *delivery_of(struct model *m, size_t k, size_t number)
{
    return &m->of[k][number % RING];
}

static void enter(struct key_gate *g, struct model *m, size_t k)
{
    struct line *line = &m->lines[k];
    struct delivery *d = delivery_of(m, k, line->first + line->n);

    if (line->n == RING) {
        return;
    }
    *d = (struct delivery){.key = m->keys[k], .seq = (int64_t)(line->first + line->n)};
    assert_int_equal(key_gate_enter(g, d), line->n == 0 ? 1 : 0);
    m->used += line->n == 0;
    line->n++;
}

static void leave(struct key_gate *g, struct model *m, size_t k)
{
    struct line *line = &m->lines[k];
    struct delivery *next = key_gate_leave(g, m->keys[k]);

    if (line->n <= 1) {
        assert_null(next);
        m->used -= line->n;
        line->n = 0;
        line->first++;
        return;
    }
    line->first++;
    line->n--;
    assert_ptr_equal(next, delivery_of(m, k, line->first));
    assert_int_equal(next->seq, line->first);
}

/* Keys that collide in their low bits, as the table uses them. */
static uint64_t make_key(struct prng *g, bool collide, size_t i)
{
    return collide ? ((uint64_t)(i + 1) << 40) | 1022 : prng_next(g) | 1;
}

static void run(bool collide, size_t n_keys)
{
    struct prng g = prng_make(11);
    RIDER_CLEANUP_PTR(key_gate_destroy) struct key_gate *gate = key_gate_create();
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    for (size_t k = 0; k < n_keys; k++) {
        m->keys[k] = make_key(&g, collide, k);
        m->of[k] = calloc(RING, sizeof(struct delivery));
    }
    for (int i = 0; i < DELIVERIES * 2; i++) {
        size_t k = (size_t)prng_below(&g, n_keys);
        bool fill = i < DELIVERIES;
        if (prng_below(&g, 10) < (fill ? 7U : 2U)) {
            enter(gate, m, k);
        } else {
            leave(gate, m, k);
        }
        assert_int_equal(key_gate_size(gate), m->used);
    }
    for (size_t k = 0; k < n_keys; k++) {
        while (m->lines[k].n > 0) {
            leave(gate, m, k);
        }
        free(m->of[k]);
    }
    assert_int_equal(key_gate_size(gate), 0);
    free(m);
}

static void it_agrees_with_the_model(void **state)
{
    (void)state;
    run(false, 3);
    run(false, KEYS);
}

static void it_agrees_when_keys_collide(void **state)
{
    (void)state;
    run(true, 40);
    run(true, 600);
}

static void an_unknown_key_has_nobody(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(key_gate_destroy) struct key_gate *gate = key_gate_create();

    assert_null(key_gate_leave(gate, 17));
    assert_int_equal(key_gate_size(gate), 0);
}

static void clearing_forgets_every_key(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(key_gate_destroy) struct key_gate *gate = key_gate_create();
    struct delivery d[3] = {{.key = 5}, {.key = 5}, {.key = 6}};

    for (size_t i = 0; i < 3; i++) {
        assert_true(key_gate_enter(gate, &d[i]) >= 0);
    }
    key_gate_clear(gate);
    assert_int_equal(key_gate_size(gate), 0);
    assert_int_equal(key_gate_enter(gate, &d[1]), 1);
    assert_null(key_gate_leave(gate, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_the_model),
        cmocka_unit_test(it_agrees_when_keys_collide),
        cmocka_unit_test(an_unknown_key_has_nobody),
        cmocka_unit_test(clearing_forgets_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
