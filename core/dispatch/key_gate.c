/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_gate.c - at most one open delivery per ordering key.
 *
 * A hash table with linear probing and backward-shift deletion, at most half
 * full, so that a lookup touches one or two cache lines and nothing is
 * allocated per event.
 */
#include "dispatch/key_gate.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GATE_FIRST_SIZE 1024 /* a power of two */

struct gate_slot {
    uint64_t key; /* 0: free */
    struct delivery_queue waiting;
};

struct key_gate {
    struct gate_slot *slots;
    size_t mask, used;
};

struct key_gate *key_gate_create(void)
{
    struct key_gate *g = calloc(1, sizeof(*g));

    if (g == NULL) {
        return NULL;
    }
    g->slots = calloc(GATE_FIRST_SIZE, sizeof(*g->slots));
    if (g->slots == NULL) {
        free(g);
        return NULL;
    }
    g->mask = GATE_FIRST_SIZE - 1;
    return g;
}

void key_gate_destroy(struct key_gate *g)
{
    if (g != NULL) {
        free(g->slots);
        free(g);
    }
}

/* The slot of `key`, or the free slot where it would go. */
static size_t find(const struct key_gate *g, uint64_t key)
{
    size_t i = key & g->mask;

    while (g->slots[i].key != 0 && g->slots[i].key != key) {
        i = (i + 1) & g->mask;
    }
    return i;
}

static int grow(struct key_gate *g)
{
    size_t old_size = g->mask + 1;
    struct gate_slot *old = g->slots;
    struct gate_slot *slots = calloc(old_size * 2, sizeof(*slots));

    if (slots == NULL) {
        return RIDER_E_NOMEM;
    }
    g->slots = slots;
    g->mask = old_size * 2 - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].key != 0) {
            g->slots[find(g, old[i].key)] = old[i];
        }
    }
    free(old);
    return 0;
}

int key_gate_enter(struct key_gate *g, struct delivery *d)
{
    struct gate_slot *slot = &g->slots[find(g, d->key)];

    if (slot->key == d->key) {
        delivery_queue_push(&slot->waiting, d);
        return 0;
    }
    if ((g->used + 1) * 2 > g->mask) {
        if (grow(g) != 0) {
            return RIDER_E_NOMEM;
        }
        slot = &g->slots[find(g, d->key)];
    }
    slot->key = d->key;
    slot->waiting = (struct delivery_queue){NULL, NULL, 0};
    g->used++;
    return 1;
}

/* Closes the hole at `i`: every later slot of the run that may move, moves. */
static void erase(struct key_gate *g, size_t i)
{
    size_t next = i;

    for (;;) {
        next = (next + 1) & g->mask;
        if (g->slots[next].key == 0) {
            break;
        }
        size_t home = g->slots[next].key & g->mask;
        if (((next - home) & g->mask) >= ((next - i) & g->mask)) {
            g->slots[i] = g->slots[next];
            i = next;
        }
    }
    g->slots[i].key = 0;
    g->used--;
}

struct delivery *key_gate_leave(struct key_gate *g, uint64_t key)
{
    size_t i = find(g, key);

    if (g->slots[i].key != key) {
        return NULL;
    }
    struct delivery *d = delivery_queue_pop(&g->slots[i].waiting);
    if (d == NULL) {
        erase(g, i);
    }
    return d;
}

size_t key_gate_size(const struct key_gate *g)
{
    return g->used;
}

void key_gate_clear(struct key_gate *g)
{
    memset(g->slots, 0, (g->mask + 1) * sizeof(*g->slots));
    g->used = 0;
}
