/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_inbox.c - slots, a queue and one lock.
 *
 * Invariant: each slot is in the free list, in the queue, or with the client; the
 * last two kinds are counted by `open`.
 */
#include "webhook/webhook_inbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct webhook_inbox {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t empty;
    struct webhook_delivery_list queue, unused;
    size_t open;
    bool was_short;
    struct webhook_delivery slots[];
};

struct webhook_inbox *webhook_inbox_create(size_t capacity)
{
    struct webhook_inbox *inbox =
        calloc(1, sizeof(*inbox) + capacity * sizeof(inbox->slots[0]));
    pthread_condattr_t attr;

    if (inbox == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&inbox->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&inbox->empty, &attr);
    (void)pthread_condattr_destroy(&attr);
    STAILQ_INIT(&inbox->queue);
    STAILQ_INIT(&inbox->unused);
    for (size_t i = 0; i < capacity; i++) {
        STAILQ_INSERT_TAIL(&inbox->unused, &inbox->slots[i], link);
    }
    return inbox;
}

void webhook_inbox_destroy(struct webhook_inbox *inbox)
{
    if (inbox == NULL) {
        return;
    }
    (void)pthread_cond_destroy(&inbox->empty);
    (void)pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

size_t webhook_inbox_put(struct webhook_inbox *inbox,
                         const struct rider_event *const *events, size_t n)
{
    size_t taken = 0;

    (void)pthread_mutex_lock(&inbox->lock);
    while (taken < n && !STAILQ_EMPTY(&inbox->unused)) {
        struct webhook_delivery *delivery = STAILQ_FIRST(&inbox->unused);

        STAILQ_REMOVE_HEAD(&inbox->unused, link);
        delivery->event = events[taken++];
        STAILQ_INSERT_TAIL(&inbox->queue, delivery, link);
    }
    inbox->open += taken;
    inbox->was_short = inbox->was_short || taken < n;
    (void)pthread_mutex_unlock(&inbox->lock);
    return taken;
}

void webhook_inbox_take(struct webhook_inbox *inbox, struct webhook_delivery_list *list)
{
    (void)pthread_mutex_lock(&inbox->lock);
    STAILQ_CONCAT(list, &inbox->queue);
    (void)pthread_mutex_unlock(&inbox->lock);
}

bool webhook_inbox_release(struct webhook_inbox *inbox,
                           struct webhook_delivery *delivery)
{
    (void)pthread_mutex_lock(&inbox->lock);
    bool wanted = inbox->was_short;

    inbox->was_short = false;
    delivery->event = NULL;
    STAILQ_INSERT_HEAD(&inbox->unused, delivery, link);
    inbox->open--;
    if (inbox->open == 0) {
        (void)pthread_cond_broadcast(&inbox->empty);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return wanted;
}

size_t webhook_inbox_open(struct webhook_inbox *inbox)
{
    (void)pthread_mutex_lock(&inbox->lock);
    size_t open = inbox->open;

    (void)pthread_mutex_unlock(&inbox->lock);
    return open;
}

size_t webhook_inbox_wait_empty(struct webhook_inbox *inbox, uint64_t wait_ms)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000u) * 1000000L;
    until.tv_sec += (time_t)(wait_ms / 1000u) + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&inbox->lock);
    while (inbox->open > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&inbox->empty, &inbox->lock, &until);
    }
    size_t open = inbox->open;

    (void)pthread_mutex_unlock(&inbox->lock);
    return open;
}
