/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_confirm.c - delivery tags to events, in a ring.
 *
 * A tag's slot is its low bits. `base` is the lowest tag that may be open and
 * moves over ended ones, `next` is the tag of the next message, and the two are
 * never further apart than the ring is long.
 *
 * Invariant: slots outside [base, next) have no event; slot `base` has one
 * unless base == next.
 *
 * Not here: what an ack or a nack means for the event (rabbitmq_session.c).
 */
#include "rabbitmq/rabbitmq_confirm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rabbitmq_confirm {
    uint64_t base, next;
    uint64_t hint; /* where the search for the next returned message begins */
    size_t open;
    size_t mask;
    struct rabbitmq_item slots[];
};

int rabbitmq_confirm_create(size_t capacity, struct rabbitmq_confirm **ret)
{
    size_t size = 1;
    while (size < capacity) {
        size *= 2;
    }
    struct rabbitmq_confirm *c = calloc(1, sizeof(*c) + size * sizeof(c->slots[0]));
    if (!c) {
        return ENOMEM;
    }
    c->mask = size - 1;
    c->base = c->next = c->hint = 1;
    *ret = c;
    return 0;
}

void rabbitmq_confirm_destroy(struct rabbitmq_confirm *c)
{
    free(c);
}

static struct rabbitmq_item *slot(struct rabbitmq_confirm *c, uint64_t tag)
{
    return &c->slots[tag & c->mask];
}

bool rabbitmq_confirm_has_room(const struct rabbitmq_confirm *c)
{
    return c->next - c->base <= c->mask;
}

uint64_t rabbitmq_confirm_add(struct rabbitmq_confirm *c,
                              const struct rabbitmq_item *item)
{
    uint64_t tag = c->next++;
    *slot(c, tag) = *item;
    c->open++;
    return tag;
}

size_t rabbitmq_confirm_open(const struct rabbitmq_confirm *c)
{
    return c->open;
}

const struct rabbitmq_item *rabbitmq_confirm_oldest(const struct rabbitmq_confirm *c)
{
    return c->base == c->next ? NULL : &c->slots[c->base & c->mask];
}

static bool has_id(const struct rabbitmq_item *item, struct rider_bytes id)
{
    return item->event && !(item->flags & RABBITMQ_ITEM_RETURNED) &&
           item->event->id.len == id.len &&
           memcmp(item->event->id.data, id.data, id.len) == 0;
}

bool rabbitmq_confirm_returned(struct rabbitmq_confirm *c, struct rider_bytes id)
{
    /* Returns come in the order of publishing, so that each search goes on
     * where the last one ended and a window of returns costs one round. */
    uint64_t tag = c->hint < c->base ? c->base : c->hint;
    for (uint64_t n = c->next - c->base; n > 0; n--, tag++) {
        if (tag >= c->next) {
            tag = c->base;
        }
        struct rabbitmq_item *item = slot(c, tag);
        if (has_id(item, id)) {
            item->flags |= RABBITMQ_ITEM_RETURNED;
            c->hint = tag + 1;
            return true;
        }
    }
    return false;
}

/** Ends one tag if it is open. */
static long end_tag(struct rabbitmq_confirm *c, uint64_t tag, rabbitmq_item_fn *fn,
                    void *arg)
{
    struct rabbitmq_item item = *slot(c, tag);
    if (!item.event) {
        return 0;
    }
    slot(c, tag)->event = NULL;
    c->open--;
    fn(arg, &item);
    return 1;
}

long rabbitmq_confirm_settle(struct rabbitmq_confirm *c, uint64_t tag, bool multiple,
                             rabbitmq_item_fn *fn, void *arg)
{
    if (tag >= c->next || (tag == 0 && !multiple)) {
        return -1;
    }
    uint64_t last = tag == 0 ? c->next - 1 : tag;
    uint64_t first = multiple || last < c->base ? c->base : last;
    long ended = 0;
    for (uint64_t t = first; t <= last; t++) {
        ended += end_tag(c, t, fn, arg);
    }
    while (c->base < c->next && !slot(c, c->base)->event) {
        c->base++;
    }
    return ended;
}

void rabbitmq_confirm_reset(struct rabbitmq_confirm *c, rabbitmq_item_fn *fn, void *arg)
{
    for (uint64_t tag = c->next; tag > c->base; tag--) {
        (void)end_tag(c, tag - 1, fn, arg);
    }
    c->base = c->next = c->hint = 1;
}
