/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_table.c - subscriptions by number: a hash of chains, and a list of all.
 */
#include "dispatch/sub_table.h"

#include <stdlib.h>

#define FIRST_SLOTS 64

struct sub_table {
    struct sub **slots; /* a power of two of them, at least as many as entries */
    size_t n_slots;
    struct sub **list;
    size_t n, cap;
};

struct sub_table *sub_table_create(void)
{
    struct sub_table *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        return NULL;
    }
    t->n_slots = t->cap = FIRST_SLOTS;
    t->slots = calloc(t->n_slots, sizeof(struct sub *));
    t->list = calloc(t->cap, sizeof(struct sub *));
    if (t->slots == NULL || t->list == NULL) {
        sub_table_destroy(t);
        return NULL;
    }
    return t;
}

void sub_table_clear(struct sub_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->list[i]);
    }
    for (size_t i = 0; i < t->n_slots; i++) {
        t->slots[i] = NULL;
    }
    t->n = 0;
}

void sub_table_destroy(struct sub_table *t)
{
    if (t == NULL) {
        return;
    }
    if (t->slots != NULL) {
        sub_table_clear(t);
    }
    free(t->slots);
    free(t->list);
    free(t);
}

size_t sub_table_count(const struct sub_table *t)
{
    return t->n;
}

static size_t slot_of(const struct sub_table *t, int64_t number)
{
    uint64_t h = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(h >> 32) & (t->n_slots - 1);
}

struct sub *sub_table_find(const struct sub_table *t, int64_t number)
{
    struct sub *s = t->slots[slot_of(t, number)];

    while (s != NULL && s->number != number) {
        s = s->next;
    }
    return s;
}

static void insert(struct sub_table *t, struct sub *s)
{
    size_t slot = slot_of(t, s->number);

    s->next = t->slots[slot];
    t->slots[slot] = s;
}

static bool grow(struct sub_table *t)
{
    size_t cap = t->cap * 2;
    struct sub **list = realloc(t->list, cap * sizeof(struct sub *));

    if (list == NULL) {
        return false;
    }
    t->list = list;
    struct sub **slots = calloc(cap, sizeof(struct sub *));
    if (slots == NULL) {
        return false;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = t->cap = cap;
    for (size_t i = 0; i < t->n; i++) {
        insert(t, t->list[i]);
    }
    return true;
}

struct sub *sub_table_add(struct sub_table *t, int64_t number, const struct pace *pace)
{
    struct sub *s = calloc(1, sizeof(*s));

    if (s == NULL || (t->n == t->cap && !grow(t))) {
        free(s);
        return NULL;
    }
    s->number = number;
    s->pace = *pace;
    s->retry_at_ms = UINT64_MAX;
    LIST_INIT(&s->open);
    insert(t, s);
    t->list[t->n++] = s;
    return s;
}

struct sub *sub_table_at(const struct sub_table *t, size_t i)
{
    return t->list[i];
}

void sub_table_remove(struct sub_table *t, size_t i)
{
    struct sub *s = t->list[i];
    struct sub **link = &t->slots[slot_of(t, s->number)];

    while (*link != s) {
        link = &(*link)->next;
    }
    *link = s->next;
    t->list[i] = t->list[--t->n];
    free(s);
}
