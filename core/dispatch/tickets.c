/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tickets.c - names of deliveries that are open with an adapter.
 */
#include "dispatch/tickets.h"

#include <stdlib.h>

struct ticket_slot {
    struct delivery *d;  /* NULL: free */
    uint32_t generation; /* raised at each opening; never 0 in a ticket */
    uint32_t next_free;
};

struct tickets {
    size_t capacity, open;
    uint32_t free_head; /* capacity: none */
    struct ticket_slot slots[];
};

struct tickets *tickets_create(size_t capacity)
{
    struct tickets *t = calloc(1, sizeof(*t) + capacity * sizeof(t->slots[0]));

    if (t == NULL) {
        return NULL;
    }
    t->capacity = capacity;
    for (size_t i = 0; i < capacity; i++) {
        t->slots[i].next_free = (uint32_t)i + 1;
    }
    return t;
}

void tickets_destroy(struct tickets *t)
{
    free(t);
}

uint64_t tickets_open(struct tickets *t, struct delivery *d)
{
    uint32_t i = t->free_head;

    if (i >= t->capacity) {
        return 0;
    }
    struct ticket_slot *slot = &t->slots[i];
    t->free_head = slot->next_free;
    slot->d = d;
    slot->generation++;
    if (slot->generation == 0) {
        slot->generation = 1;
    }
    t->open++;
    return (uint64_t)slot->generation << 32 | i;
}

struct delivery *tickets_close(struct tickets *t, uint64_t ticket)
{
    uint32_t i = (uint32_t)ticket;

    if (i >= t->capacity || t->slots[i].d == NULL ||
        t->slots[i].generation != (uint32_t)(ticket >> 32)) {
        return NULL;
    }
    struct delivery *d = t->slots[i].d;
    t->slots[i].d = NULL;
    t->slots[i].next_free = t->free_head;
    t->free_head = i;
    t->open--;
    return d;
}

size_t tickets_count(const struct tickets *t)
{
    return t->open;
}
