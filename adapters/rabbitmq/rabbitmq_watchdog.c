/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_watchdog.c - a thread that sleeps until a limit passes.
 *
 * arm() and disarm() come in pairs around each burst of sends, so they only
 * take the lock: the thread is woken when it sleeps past the new limit, which
 * does not happen while limits grow with time.
 *
 * Invariant: fd is a duplicate that only this file closes.
 */
#include "rabbitmq/rabbitmq_watchdog.h"

#include "rabbitmq/rabbitmq_inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IDLE_MS 5000 /* sleep while disarmed: arm() need not wake the thread */

struct rabbitmq_watchdog {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int fd;
    bool armed, bit, ending;
    uint64_t limit_at_ms; /* valid while armed */
    uint64_t sleep_until_ms;
};

/** Caller holds the lock; shutdown() does not block. */
static void bite(struct rabbitmq_watchdog *w)
{
    if (w->fd >= 0) {
        (void)shutdown(w->fd, SHUT_RDWR);
    }
    w->bit = true;
    w->armed = false;
}

static void *watch(void *arg)
{
    struct rabbitmq_watchdog *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        uint64_t now = rabbitmq_now_ms();
        if (w->armed && now >= w->limit_at_ms) {
            bite(w);
        }
        w->sleep_until_ms = w->armed ? w->limit_at_ms : now + IDLE_MS;
        struct timespec until = {.tv_sec = (time_t)(w->sleep_until_ms / 1000),
                                 .tv_nsec = (long)(w->sleep_until_ms % 1000) * 1000000};
        (void)pthread_cond_timedwait(&w->changed, &w->lock, &until);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

int rabbitmq_watchdog_create(struct rabbitmq_watchdog **ret)
{
    struct rabbitmq_watchdog *w = calloc(1, sizeof(*w));
    if (!w) {
        return ENOMEM;
    }
    w->fd = -1;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&w->lock, NULL);
    int rc = pthread_create(&w->thread, NULL, watch, w);
    if (rc != 0) {
        (void)pthread_cond_destroy(&w->changed);
        (void)pthread_mutex_destroy(&w->lock);
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void rabbitmq_watchdog_destroy(struct rabbitmq_watchdog *w)
{
    if (!w) {
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->ending = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    if (w->fd >= 0) {
        (void)close(w->fd);
    }
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

int rabbitmq_watchdog_watch(struct rabbitmq_watchdog *w, int fd)
{
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && copy < 0) {
        return errno;
    }
    (void)pthread_mutex_lock(&w->lock);
    int old = w->fd;
    w->fd = copy;
    w->armed = false;
    w->bit = false;
    (void)pthread_mutex_unlock(&w->lock);
    if (old >= 0) {
        (void)close(old);
    }
    return 0;
}

void rabbitmq_watchdog_arm(struct rabbitmq_watchdog *w, uint64_t limit_ms)
{
    (void)pthread_mutex_lock(&w->lock);
    w->armed = true;
    w->bit = false;
    w->limit_at_ms = rabbitmq_now_ms() + limit_ms;
    if (w->limit_at_ms < w->sleep_until_ms) {
        (void)pthread_cond_signal(&w->changed);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

bool rabbitmq_watchdog_disarm(struct rabbitmq_watchdog *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->armed = false;
    bool bit = w->bit;
    (void)pthread_mutex_unlock(&w->lock);
    return bit;
}

void rabbitmq_watchdog_bite(struct rabbitmq_watchdog *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bite(w);
    (void)pthread_mutex_unlock(&w->lock);
}
