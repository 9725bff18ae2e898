/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.c - a thread that does one step again and again until it is told to stop.
 */
#include "daemon/rounds.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct rounds {
    rounds_step_fn *step;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
};

/* False when the thread is to stop. */
static bool pause_for(struct rounds *r, uint64_t ms)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&r->lock);
    while (!r->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&r->wake, &r->lock, &until);
    }
    bool go_on = !r->stopping;
    (void)pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct rounds *r = arg;

    while (pause_for(r, r->step(r->arg))) {
    }
    return NULL;
}

static void free_rounds(struct rounds *r)
{
    (void)pthread_cond_destroy(&r->wake);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

int rounds_create(const char *what, rounds_step_fn *step, void *arg,
                  struct rounds **ret, struct rider_error *err)
{
    struct rounds *r = calloc(1, sizeof(*r));
    pthread_condattr_t attr;

    if (r == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    r->step = step;
    r->arg = arg;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    int rc = pthread_create(&r->thread, NULL, run, r);
    if (rc != 0) {
        free_rounds(r);
        return rider_fail_errno(err, RIDER_E_IO, rc, "could not start the %s thread",
                                what);
    }
    *ret = r;
    return 0;
}

void rounds_destroy(struct rounds *rounds)
{
    if (rounds == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&rounds->lock);
    rounds->stopping = true;
    (void)pthread_cond_signal(&rounds->wake);
    (void)pthread_mutex_unlock(&rounds->lock);
    (void)pthread_join(rounds->thread, NULL);
    free_rounds(rounds);
}
