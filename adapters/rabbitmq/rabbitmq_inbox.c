/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_inbox.c - the hand-over between the host's thread and the I/O thread.
 *
 * put() writes the eventfd only if the I/O thread announced a sleep, so that a
 * busy adapter makes no such call. `starved` remembers a short put(); the next
 * change that makes room asks for writable() once.
 *
 * Invariant: queued <= open <= window, so the ring cannot overflow.
 *
 * Not here: completing events (rabbitmq_session.c).
 */
#include "rabbitmq/rabbitmq_inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* The host's clock may be a test's: waits are cut into slices of this. */
#define SLICE_MS 50

struct rabbitmq_inbox {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* open fell to 0, or finished */
    int wake_fd;
    size_t window;
    size_t open, head, queued;
    bool starved, dozing, stopping, stop_seen, connecting, abandoned, released;
    bool finished;
    uint64_t stop_until_ms;
    struct rabbitmq_status status;
    const struct rider_event *ring[];
};

uint64_t rabbitmq_now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int init_sync(struct rabbitmq_inbox *in)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    if (rc != 0) {
        return rc;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&in->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0) {
        return rc;
    }
    rc = pthread_mutex_init(&in->lock, NULL);
    if (rc != 0) {
        (void)pthread_cond_destroy(&in->changed);
    }
    return rc;
}

int rabbitmq_inbox_create(size_t window, struct rabbitmq_inbox **ret)
{
    struct rabbitmq_inbox *in = calloc(1, sizeof(*in) + window * sizeof(const void *));
    if (!in) {
        return ENOMEM;
    }
    in->window = window;
    in->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (in->wake_fd < 0) {
        int saved = errno;
        free(in);
        return saved;
    }
    int rc = init_sync(in);
    if (rc != 0) {
        (void)close(in->wake_fd);
        free(in);
        return rc;
    }
    *ret = in;
    return 0;
}

void rabbitmq_inbox_destroy(struct rabbitmq_inbox *in)
{
    if (!in) {
        return;
    }
    (void)close(in->wake_fd);
    (void)pthread_mutex_destroy(&in->lock);
    (void)pthread_cond_destroy(&in->changed);
    free(in);
}

static void lock(struct rabbitmq_inbox *in)
{
    (void)pthread_mutex_lock(&in->lock);
}

static void unlock(struct rabbitmq_inbox *in)
{
    (void)pthread_mutex_unlock(&in->lock);
}

/** Wakes a sleeping I/O thread. Caller holds the lock; an eventfd never blocks. */
static void wake(struct rabbitmq_inbox *in)
{
    if (in->dozing) {
        in->dozing = false;
        (void)eventfd_write(in->wake_fd, 1);
    }
}

size_t rabbitmq_inbox_put(struct rabbitmq_inbox *in,
                          const struct rider_event *const *events, size_t n,
                          bool *ret_down)
{
    lock(in);
    enum rabbitmq_state state = in->status.state;
    bool takes = state == RABBITMQ_STARTING || state == RABBITMQ_UP;
    size_t room = takes && !in->stopping ? in->window - in->open : 0;
    size_t taken = n < room ? n : room;
    for (size_t i = 0; i < taken; i++) {
        in->ring[(in->head + in->queued + i) % in->window] = events[i];
    }
    in->queued += taken;
    in->open += taken;
    in->starved = taken < n && state != RABBITMQ_DOWN;
    if (taken > 0) {
        wake(in);
    }
    unlock(in);
    *ret_down = state == RABBITMQ_DOWN;
    return taken;
}

/** Waits one slice for a change. Caller holds the lock. */
static void wait_slice(struct rabbitmq_inbox *in, uint64_t remaining_ms)
{
    uint64_t ms =
        rabbitmq_now_ms() + (remaining_ms < SLICE_MS ? remaining_ms : SLICE_MS);
    struct timespec until = {.tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&in->changed, &in->lock, &until);
}

size_t rabbitmq_inbox_wait_idle(struct rabbitmq_inbox *in,
                                const struct rider_host *host, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = host->now_ms(host);
        lock(in);
        if (in->open > 0 && now < deadline_ms) {
            wait_slice(in, deadline_ms - now);
        }
        size_t open = in->open;
        unlock(in);
        if (open == 0 || now >= deadline_ms) {
            return open;
        }
    }
}

void rabbitmq_inbox_stop(struct rabbitmq_inbox *in, uint64_t budget_ms)
{
    lock(in);
    in->stopping = true;
    in->stop_until_ms = rabbitmq_now_ms() + budget_ms;
    wake(in);
    unlock(in);
}

bool rabbitmq_inbox_wait_finished(struct rabbitmq_inbox *in,
                                  const struct rider_host *host, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = host->now_ms(host);
        lock(in);
        if (!in->finished && now < deadline_ms) {
            wait_slice(in, deadline_ms - now);
        }
        bool finished = in->finished;
        unlock(in);
        if (finished || now >= deadline_ms) {
            return finished;
        }
    }
}

bool rabbitmq_inbox_abandon(struct rabbitmq_inbox *in)
{
    lock(in);
    in->abandoned = in->connecting && !in->finished;
    bool abandoned = in->abandoned;
    unlock(in);
    return abandoned;
}

void rabbitmq_inbox_release(struct rabbitmq_inbox *in)
{
    lock(in);
    in->released = true;
    (void)pthread_cond_broadcast(&in->changed);
    unlock(in);
}

void rabbitmq_inbox_status(struct rabbitmq_inbox *in, struct rabbitmq_status *ret)
{
    lock(in);
    *ret = in->status;
    unlock(in);
}

size_t rabbitmq_inbox_open(struct rabbitmq_inbox *in)
{
    lock(in);
    size_t open = in->open;
    unlock(in);
    return open;
}

size_t rabbitmq_inbox_take(struct rabbitmq_inbox *in, const struct rider_event **out,
                           size_t max)
{
    lock(in);
    size_t n = max < in->queued ? max : in->queued;
    for (size_t i = 0; i < n; i++) {
        out[i] = in->ring[(in->head + i) % in->window];
    }
    in->head = (in->head + n) % in->window;
    in->queued -= n;
    unlock(in);
    return n;
}

int rabbitmq_inbox_fd(const struct rabbitmq_inbox *in)
{
    return in->wake_fd;
}

bool rabbitmq_inbox_doze(struct rabbitmq_inbox *in, bool ready)
{
    lock(in);
    bool stop_is_news = in->stopping && !in->stop_seen;
    in->dozing = !stop_is_news && !(ready && in->queued > 0);
    bool dozing = in->dozing;
    unlock(in);
    return dozing;
}

void rabbitmq_inbox_woke(struct rabbitmq_inbox *in)
{
    eventfd_t value;
    lock(in);
    in->dozing = false;
    (void)eventfd_read(in->wake_fd, &value);
    unlock(in);
}

bool rabbitmq_inbox_settled(struct rabbitmq_inbox *in, size_t n)
{
    lock(in);
    in->open -= n;
    if (in->open == 0) {
        (void)pthread_cond_broadcast(&in->changed);
    }
    /* A quarter of the window at a time: one host call for many acks. */
    bool call = in->starved && in->open <= in->window - (in->window + 3) / 4;
    if (call) {
        in->starved = false;
    }
    unlock(in);
    return call;
}

bool rabbitmq_inbox_set_status(struct rabbitmq_inbox *in,
                               const struct rabbitmq_status *status)
{
    lock(in);
    bool opens = status->state == RABBITMQ_UP && in->status.state != RABBITMQ_UP;
    in->status = *status;
    if (opens) {
        in->starved = false;
    }
    unlock(in);
    return opens;
}

bool rabbitmq_inbox_stopping(struct rabbitmq_inbox *in, uint64_t *ret_until_ms)
{
    lock(in);
    bool stopping = in->stopping;
    in->stop_seen = stopping;
    *ret_until_ms = in->stop_until_ms;
    unlock(in);
    return stopping;
}

bool rabbitmq_inbox_connecting(struct rabbitmq_inbox *in, bool connecting)
{
    lock(in);
    in->connecting = connecting;
    bool abandoned = in->abandoned;
    while (abandoned && !in->released) {
        (void)pthread_cond_wait(&in->changed, &in->lock);
    }
    unlock(in);
    return !abandoned;
}

void rabbitmq_inbox_finished(struct rabbitmq_inbox *in)
{
    lock(in);
    in->finished = true;
    (void)pthread_cond_broadcast(&in->changed);
    unlock(in);
}
