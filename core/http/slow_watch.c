/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_watch.c - cuts off connections whose client is slow.
 *
 * A cut is a shutdown() of the socket: whoever reads or writes it sees its end, and
 * closes it as always. It is done under the lock, because only under it the number
 * surely still names this connection; it does not block.
 */
#include "http/slow_watch.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define LOOK_MS 250

struct slow_entry {
    int fd;               /* -1: free */
    uint64_t deadline_ms; /* 0: none */
};

struct slow_watch {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool stop;
    uint64_t limit_ms;
    size_t capacity;
    struct slow_entry *entries;
    pthread_t thread;
};

static void cut_overdue(const struct slow_watch *watch, uint64_t now_ms)
{
    for (size_t i = 0; i < watch->capacity; i++) {
        struct slow_entry *e = &watch->entries[i];

        if (e->fd >= 0 && e->deadline_ms != 0 && now_ms >= e->deadline_ms) {
            (void)shutdown(e->fd, SHUT_RDWR);
            e->deadline_ms = 0;
        }
    }
}

static void *run(void *arg)
{
    struct slow_watch *watch = arg;
    struct timespec until;

    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->stop) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
        cut_overdue(watch, clock_mono_ms());
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void free_watch(struct slow_watch *watch)
{
    (void)pthread_cond_destroy(&watch->changed);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch->entries);
    free(watch);
}

int slow_watch_create(size_t capacity, unsigned int limit_s, struct slow_watch **ret,
                      struct rider_error *err)
{
    pthread_condattr_t monotonic;
    struct slow_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watch->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    watch->limit_ms = (uint64_t)limit_s * 1000;
    watch->capacity = capacity;
    watch->entries = calloc(capacity, sizeof(*watch->entries));
    for (size_t i = 0; watch->entries != NULL && i < capacity; i++) {
        watch->entries[i].fd = -1;
    }
    if (watch->entries == NULL ||
        pthread_create(&watch->thread, NULL, run, watch) != 0) {
        free_watch(watch);
        return rider_fail(err, RIDER_E_NOMEM, "could not start a thread");
    }
    *ret = watch;
    return 0;
}

void slow_watch_destroy(struct slow_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    (void)pthread_cond_signal(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    free_watch(watch);
}

struct slow_entry *slow_watch_open(struct slow_watch *watch, int fd)
{
    struct slow_entry *found = NULL;

    (void)pthread_mutex_lock(&watch->lock);
    for (size_t i = 0; i < watch->capacity && found == NULL; i++) {
        if (watch->entries[i].fd < 0) {
            found = &watch->entries[i];
            found->fd = fd;
            found->deadline_ms = clock_mono_ms() + watch->limit_ms;
        }
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return found;
}

void slow_watch_set(struct slow_watch *watch, struct slow_entry *entry,
                    enum slow_state state)
{
    if (entry == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&watch->lock);
    entry->deadline_ms = state == SLOW_HANDLING ? 0 : clock_mono_ms() + watch->limit_ms;
    (void)pthread_mutex_unlock(&watch->lock);
}

void slow_watch_close(struct slow_watch *watch, struct slow_entry *entry)
{
    if (entry == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&watch->lock);
    entry->fd = -1;
    (void)pthread_mutex_unlock(&watch->lock);
}
