/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - the deliveries of one read, their memory, and how far they are.
 *
 * Strings and bodies live in the batch's bump memory, so a thousand events cost a
 * handful of allocations, and all of them go at once.
 */
#include "dispatch/batch.h"

#include "dispatch/envelope.h"
#include "dispatch/sub_delivery.h"

#include <stdlib.h>
#include <string.h>

struct batch *batch_create(size_t cap)
{
    struct batch *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        return NULL;
    }
    b->items = malloc(cap * sizeof(*b->items));
    if (b->items == NULL) {
        free(b);
        return NULL;
    }
    b->cap = cap;
    return b;
}

static void drop_parks(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->items[i].park);
        b->items[i].park = NULL;
        sub_delivery_done(b->items[i].to);
    }
    if (b->has_secrets) {
        bump_wipe(&b->memory);
        b->has_secrets = false;
    }
}

void batch_destroy(struct batch *b)
{
    if (b == NULL) {
        return;
    }
    drop_parks(b);
    snapshot_unref(b->snap);
    snapshot_unref(b->win);
    bump_done(&b->memory);
    free(b->items);
    free(b);
}

void batch_shrink(struct batch *b)
{
    if (b->n == 0 || b->n * 4 > b->cap) {
        return;
    }
    struct delivery *items = realloc(b->items, b->n * sizeof(*items));
    if (items != NULL) {
        b->items = items;
        b->cap = b->n;
    }
}

void batch_reset(struct batch *b, enum batch_kind kind)
{
    drop_parks(b);
    snapshot_unref(b->snap);
    snapshot_unref(b->win);
    b->snap = b->win = NULL;
    b->next = NULL;
    b->kind = kind;
    b->complete = b->passed = false;
    b->last_seq = 0;
    b->n = b->done = b->submitted = b->settled = b->open = b->unwritten = 0;
    b->charged = 0;
    bump_reset(&b->memory);
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    uint64_t tail = len;
    for (size_t i = 0; i < len; i++) {
        tail = tail << 8 | p[i];
    }
    h = (h ^ tail) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 29;
}

uint64_t batch_key_hash(struct rider_bytes aggregate_type,
                        struct rider_bytes aggregate_id, int64_t subscription)
{
    uint64_t h = mix((uint64_t)subscription + UINT64_C(0x243f6a8885a308d3),
                     aggregate_type.data, aggregate_type.len);

    h = mix(h, aggregate_id.data, aggregate_id.len);
    return h == 0 ? 1 : h;
}

static int copy_bytes(struct bump *a, struct rider_bytes from, struct rider_bytes *to)
{
    void *p = bump_alloc(a, from.len + 1);

    if (p == NULL) {
        return RIDER_E_NOMEM;
    }
    if (from.len > 0) {
        memcpy(p, from.data, from.len);
    }
    ((char *)p)[from.len] = '\0';
    *to = (struct rider_bytes){p, from.len};
    return 0;
}

static int copy_headers(struct bump *a, const struct event_row *row,
                        struct rider_event *ev)
{
    if (row->n_headers == 0) {
        return 0;
    }
    struct rider_header *headers = bump_alloc(a, row->n_headers * sizeof(*headers));
    if (headers == NULL) {
        return RIDER_E_NOMEM;
    }
    for (size_t i = 0; i < row->n_headers; i++) {
        if (copy_bytes(a, row->headers[i].name, &headers[i].name) != 0 ||
            copy_bytes(a, row->headers[i].value, &headers[i].value) != 0) {
            return RIDER_E_NOMEM;
        }
    }
    ev->headers = headers;
    ev->n_headers = row->n_headers;
    return 0;
}

static int fill_event(struct bump *a, const struct event_row *row, uint32_t envelope,
                      struct rider_event *ev)
{
    struct rider_bytes id = {row->id, EVENT_ID_LEN};

    *ev = (struct rider_event){
        .struct_size = sizeof(*ev),
        .attempt = row->attempts + 1,
        .occurred_at_us = row->occurred_at_us,
        .version = row->version,
    };
    if (copy_bytes(a, id, &ev->id) != 0 || copy_bytes(a, row->type, &ev->type) != 0 ||
        copy_bytes(a, row->aggregate_type, &ev->aggregate_type) != 0 ||
        copy_bytes(a, row->aggregate_id, &ev->aggregate_id) != 0 ||
        copy_headers(a, row, ev) != 0) {
        return RIDER_E_NOMEM;
    }
    return envelope_render(envelope, row, a, ev);
}

struct delivery *batch_append(struct batch *b, const struct event_row *row,
                              uint32_t envelope)
{
    struct delivery *d = &b->items[b->n];

    memset(d, 0, sizeof(*d));
    if (fill_event(&b->memory, row, envelope, &d->event) != 0) {
        return NULL;
    }
    if (row->to != NULL) {
        const struct delivery *before = b->n > 0 ? &b->items[b->n - 1] : NULL;
        d->to = sub_delivery_create(&b->memory, row, before);
        if (d->to == NULL) {
            return NULL;
        }
        d->event.target = &d->to->target;
        b->has_secrets = true;
    }
    d->batch = b;
    d->seq = row->seq;
    d->subscription = row->subscription;
    d->state = DELIVERY_WAITING;
    b->n++;
    b->open++;
    return d;
}

size_t batch_bytes(const struct batch *b)
{
    return b->memory.bytes + b->n * sizeof(*b->items);
}
