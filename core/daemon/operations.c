/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operations.c - the thread that works off recoveries and backfills.
 *
 * Not here: the work (outbox/operation_work.h).
 */
#include "daemon/operations.h"

#include "base/clock.h"
#include "base/log.h"
#include "outbox/operation_work.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS     500
#define PAUSE_MS    10 /* between pages: the lane wants its row, too */
#define CLEAN_MS    60000
#define COMPLAIN_MS 60000

struct operations {
    char *dsn;
    struct operation_work *work; /* the thread's */
    struct log_limit complaints; /* the thread's */
    uint64_t clean_at;           /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
};

static void complain(struct operations *o, const struct rider_error *err)
{
    uint64_t silent = 0;

    if (log_limit_pass(&o->complaints, clock_mono_ms(), COMPLAIN_MS, &silent)) {
        log_warn("operations", "operations.failed",
                 "recoveries of subscriptions do not go on: %s", err->text);
    }
}

/* One page, and what is due besides; returns how long to wait. */
static uint64_t step(struct operations *o)
{
    struct rider_error err = {.text = ""};
    bool more = false;
    int rc = operation_work_page(o->work, &more, &err);

    if (rc == 0 && clock_mono_ms() >= o->clean_at) {
        o->clean_at = clock_mono_ms() + CLEAN_MS;
        rc = operation_work_clean(o->work, &err);
    }
    if (rc != 0) {
        complain(o, &err);
    }
    return rc == 0 && more ? PAUSE_MS : LOOK_MS;
}

/* False when the thread is to stop. */
static bool wait_for(struct operations *o, uint64_t ms)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&o->lock);
    while (!o->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&o->wake, &o->lock, &until);
    }
    bool go_on = !o->stopping;
    (void)pthread_mutex_unlock(&o->lock);
    return go_on;
}

static void *operations_main(void *arg)
{
    struct operations *o = arg;

    while (wait_for(o, step(o))) {
    }
    return NULL;
}

static int create(const char *dsn, struct operations **ret, struct rider_error *err)
{
    struct operations *o = calloc(1, sizeof(*o));
    pthread_condattr_t attr;

    if (o != NULL) {
        o->dsn = strdup(dsn);
    }
    if (o == NULL || o->dsn == NULL) {
        free(o);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = operation_work_create(dsn, &o->work, err);
    if (rc != 0) {
        free(o->dsn);
        free(o);
        return rc;
    }
    (void)pthread_mutex_init(&o->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&o->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&o->thread, NULL, operations_main, o);
    if (rc != 0) {
        operation_work_destroy(o->work);
        free(o->dsn);
        free(o);
        return rider_fail_errno(err, RIDER_E_IO, rc,
                                "could not start the operations thread");
    }
    *ret = o;
    return 0;
}

static bool is_needed(const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_destinations; i++) {
        if (settings->destinations[i].subscriptions) {
            return true;
        }
    }
    return false;
}

int operations_apply(struct operations **operations, const struct settings *settings,
                     struct rider_error *err)
{
    const char *dsn = settings->source.dsn;
    bool needed = is_needed(settings);

    if (*operations != NULL && (!needed || strcmp((*operations)->dsn, dsn) != 0)) {
        operations_destroy(*operations);
        *operations = NULL;
    }
    return needed && *operations == NULL ? create(dsn, operations, err) : 0;
}

void operations_destroy(struct operations *o)
{
    if (o == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&o->lock);
    o->stopping = true;
    (void)pthread_cond_signal(&o->wake);
    (void)pthread_mutex_unlock(&o->lock);
    (void)pthread_join(o->thread, NULL);
    operation_work_destroy(o->work);
    (void)pthread_cond_destroy(&o->wake);
    (void)pthread_mutex_destroy(&o->lock);
    free(o->dsn);
    free(o);
}
