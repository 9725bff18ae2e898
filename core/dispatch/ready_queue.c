/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ready_queue.c - deliveries that may be sent, in the order of the log.
 */
#include "dispatch/ready_queue.h"

#include <stdlib.h>

void ready_queue_done(struct ready_queue *q)
{
    free(q->heap);
    *q = (struct ready_queue){0};
}

void ready_queue_clear(struct ready_queue *q)
{
    q->list = (struct delivery_queue){NULL, NULL, 0};
    q->n_heap = 0;
}

size_t ready_queue_size(const struct ready_queue *q)
{
    return q->list.n + q->n_heap;
}

static void sift_up(struct ready_queue *q, size_t i)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (q->heap[parent]->order <= q->heap[i]->order) {
            return;
        }
        struct delivery *d = q->heap[parent];
        q->heap[parent] = q->heap[i];
        q->heap[i] = d;
        i = parent;
    }
}

static void sift_down(struct ready_queue *q)
{
    size_t i = 0;

    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < q->n_heap;
             child++) {
            if (q->heap[child]->order < q->heap[least]->order) {
                least = child;
            }
        }
        if (least == i) {
            return;
        }
        struct delivery *d = q->heap[least];
        q->heap[least] = q->heap[i];
        q->heap[i] = d;
        i = least;
    }
}

int ready_queue_push(struct ready_queue *q, struct delivery *d)
{
    if (q->list.tail == NULL || q->list.tail->order < d->order) {
        delivery_queue_push(&q->list, d);
        return 0;
    }
    if (d->order < q->list.head->order) {
        delivery_queue_push_front(&q->list, d);
        return 0;
    }
    if (q->n_heap == q->cap_heap) {
        size_t cap = q->cap_heap == 0 ? 64 : q->cap_heap * 2;
        struct delivery **heap = realloc(q->heap, cap * sizeof(struct delivery *));
        if (heap == NULL) {
            return RIDER_E_NOMEM;
        }
        q->heap = heap;
        q->cap_heap = cap;
    }
    q->heap[q->n_heap++] = d;
    sift_up(q, q->n_heap - 1);
    return 0;
}

void ready_queue_push_front(struct ready_queue *q, struct delivery *d)
{
    delivery_queue_push_front(&q->list, d);
}

static bool heap_is_next(const struct ready_queue *q)
{
    return q->n_heap > 0 &&
           (q->list.head == NULL || q->heap[0]->order < q->list.head->order);
}

struct delivery *ready_queue_peek(const struct ready_queue *q)
{
    return heap_is_next(q) ? q->heap[0] : q->list.head;
}

struct delivery *ready_queue_pop(struct ready_queue *q)
{
    if (!heap_is_next(q)) {
        return delivery_queue_pop(&q->list);
    }
    struct delivery *d = q->heap[0];
    q->heap[0] = q->heap[--q->n_heap];
    sift_down(q);
    return d;
}
