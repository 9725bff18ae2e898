/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c - samples the database for metrics and applies retention.
 *
 * Retention runs after the sample, a bounded number of small pages a round, so
 * that neither writers nor the sampling ever wait long for it.
 */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "outbox/retention.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE_INTERVAL_MS 5000
#define RETIRE_INTERVAL_MS 15000
#define RETIRE_PAGE        5000
#define RETIRE_MAX_PAGES   40

struct monitor {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    bool stopping;
    char *dsn;
    uint64_t retention_ms;

    struct outbox_status *status;
    uint64_t sampled_ms;
    bool database_up;
    uint64_t retired;
};

static void sample(struct monitor *m, const char *dsn)
{
    struct outbox_status *status = NULL;
    struct rider_error err;
    int rc = outbox_status_read(dsn, &status, &err);

    if (rc != 0) {
        log_debug("monitor", "monitor.sample_failed", "%s", err.text);
    }
    (void)pthread_mutex_lock(&m->lock);
    struct outbox_status *old = m->status;
    if (rc == 0) {
        m->status = status;
        m->sampled_ms = clock_mono_ms();
    }
    m->database_up = rc == 0;
    (void)pthread_mutex_unlock(&m->lock);
    if (rc == 0) {
        outbox_status_destroy(old);
    }
}

static void retire(struct monitor *m, const char *dsn, uint64_t keep_ms)
{
    struct rider_error err;
    int64_t deleted = 0;

    if (outbox_retire(dsn, keep_ms, RETIRE_PAGE, RETIRE_MAX_PAGES, &deleted, &err) !=
        0) {
        log_warn("monitor", "retention.failed", "could not delete settled events: %s",
                 err.text);
        return;
    }
    if (deleted > 0) {
        log_debug("monitor", "retention.done", "deleted %lld settled events",
                  (long long)deleted);
    }
    (void)pthread_mutex_lock(&m->lock);
    m->retired += (uint64_t)deleted;
    (void)pthread_mutex_unlock(&m->lock);
}

/* Waits out the interval; false when the monitor is to stop. */
static bool wait_for_round(struct monitor *m, uint64_t ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    (void)pthread_mutex_lock(&m->lock);
    int rc = 0;
    while (!m->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&m->wake, &m->lock, &until);
    }
    bool go_on = !m->stopping;
    (void)pthread_mutex_unlock(&m->lock);
    return go_on;
}

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;
    uint64_t retire_at = clock_mono_ms() + SAMPLE_INTERVAL_MS;

    do {
        (void)pthread_mutex_lock(&m->lock);
        char *dsn = strdup(m->dsn);
        uint64_t keep_ms = m->retention_ms;
        (void)pthread_mutex_unlock(&m->lock);
        if (dsn == NULL) {
            continue;
        }
        sample(m, dsn);
        if (m->database_up && clock_mono_ms() >= retire_at) {
            retire(m, dsn, keep_ms);
            retire_at = clock_mono_ms() + RETIRE_INTERVAL_MS;
        }
        free(dsn);
    } while (wait_for_round(m, SAMPLE_INTERVAL_MS));
    return NULL;
}

int monitor_create(const char *dsn, uint64_t retention_ms, struct monitor **ret,
                   struct rider_error *err)
{
    struct monitor *m = calloc(1, sizeof(*m));
    pthread_condattr_t attr;

    if (m == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    m->retention_ms = retention_ms;
    m->dsn = strdup(dsn);
    if (m->dsn == NULL) {
        free(m);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&m->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    int rc = pthread_create(&m->thread, NULL, monitor_main, m);
    if (rc != 0) {
        free(m->dsn);
        free(m);
        return rider_fail_errno(err, RIDER_E_IO, rc,
                                "could not start the monitor thread");
    }
    *ret = m;
    return 0;
}

void monitor_set_source(struct monitor *m, const char *dsn, uint64_t retention_ms)
{
    char *copy = strdup(dsn);

    if (copy == NULL) {
        return; /* out of memory: the old source stays */
    }
    (void)pthread_mutex_lock(&m->lock);
    char *old = m->dsn;
    m->dsn = copy;
    m->retention_ms = retention_ms;
    (void)pthread_mutex_unlock(&m->lock);
    free(old);
}

void monitor_destroy(struct monitor *m)
{
    if (m == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&m->lock);
    m->stopping = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    outbox_status_destroy(m->status);
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    free(m->dsn);
    free(m);
}

void monitor_read(struct monitor *m, monitor_read_fn *fn, void *arg)
{
    (void)pthread_mutex_lock(&m->lock);
    uint64_t age = m->status == NULL ? 0 : clock_mono_ms() - m->sampled_ms;
    fn(arg, m->status, age, m->database_up, m->retired);
    (void)pthread_mutex_unlock(&m->lock);
}
