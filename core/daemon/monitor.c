/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c - samples the database for metrics and deletes what is over.
 *
 * Deleting runs after the sample, a bounded number of small pages a round, so
 * that neither writers nor the sampling ever wait long for it.
 */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/rounds.h"
#include "outbox/operation_work.h"
#include "outbox/retention.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_INTERVAL_MS 5000
#define RETIRE_INTERVAL_MS 15000
#define RETIRE_PAGE        5000
#define RETIRE_MAX_PAGES   40

/* One answer of the database: the monitor holds it until the next one comes, a reader
 * while it reads. */
struct picture {
    unsigned int holders; /* guarded by the monitor's lock */
    struct outbox_status *status;
    uint64_t sampled_ms;
};

struct monitor {
    struct rounds *rounds;
    uint64_t retire_at;   /* the thread's */
    pthread_mutex_t lock; /* guards all below */
    char *dsn;
    uint64_t retention_ms;

    struct picture *picture; /* NULL: none yet */
    bool database_up;
    uint64_t retired;
};

static void let_go(struct monitor *m, struct picture *picture)
{
    if (picture == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&m->lock);
    bool last = --picture->holders == 0;
    (void)pthread_mutex_unlock(&m->lock);
    if (last) {
        outbox_status_destroy(picture->status);
        free(picture);
    }
}

/* Returns whether the database answered. */
static bool sample(struct monitor *m, const char *dsn)
{
    struct picture *fresh = calloc(1, sizeof(*fresh));
    struct picture *old = NULL;
    struct rider_error err = {.text = "out of memory"};
    bool up = fresh != NULL && outbox_status_read(dsn, &fresh->status, &err) == 0;

    if (up) {
        fresh->holders = 1;
        fresh->sampled_ms = clock_mono_ms();
    } else {
        log_debug("monitor", "monitor.sample_failed", "%s", err.text);
        free(fresh);
    }
    (void)pthread_mutex_lock(&m->lock);
    if (up) {
        old = m->picture;
        m->picture = fresh;
    }
    m->database_up = up;
    (void)pthread_mutex_unlock(&m->lock);
    let_go(m, old);
    return up;
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

/* Here, since a relay without subscriptions may be the last that looks at the database. */
static void clean(const char *dsn)
{
    RIDER_CLEANUP_PTR(operation_work_destroy) struct operation_work *work = NULL;
    struct rider_error err;
    bool more = true;
    int rc = operation_work_create(dsn, &work, &err);

    for (int i = 0; rc == 0 && more && i < RETIRE_MAX_PAGES; i++) {
        more = false;
        rc = operation_work_sweep(work, &more, &err);
    }
    if (rc == 0) {
        rc = operation_work_clean(work, &err);
    }
    if (rc != 0) {
        log_warn("monitor", "retention.failed", "could not delete what is over: %s",
                 err.text);
    }
}

static uint64_t look(void *arg)
{
    struct monitor *m = arg;

    (void)pthread_mutex_lock(&m->lock);
    char *dsn = strdup(m->dsn);
    uint64_t keep_ms = m->retention_ms;
    (void)pthread_mutex_unlock(&m->lock);
    if (dsn != NULL && sample(m, dsn) && clock_mono_ms() >= m->retire_at) {
        retire(m, dsn, keep_ms);
        clean(dsn);
        m->retire_at = clock_mono_ms() + RETIRE_INTERVAL_MS;
    }
    free(dsn);
    return SAMPLE_INTERVAL_MS;
}

int monitor_create(const char *dsn, uint64_t retention_ms, struct monitor **ret,
                   struct rider_error *err)
{
    struct monitor *m = calloc(1, sizeof(*m));

    if (m != NULL) {
        m->dsn = strdup(dsn);
    }
    if (m == NULL || m->dsn == NULL) {
        free(m);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    m->retention_ms = retention_ms;
    m->retire_at = clock_mono_ms() + SAMPLE_INTERVAL_MS;
    (void)pthread_mutex_init(&m->lock, NULL);
    int rc = rounds_create("monitor", look, m, &m->rounds, err);
    if (rc != 0) {
        monitor_destroy(m);
        return rc;
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
    rounds_destroy(m->rounds);
    let_go(m, m->picture);
    (void)pthread_mutex_destroy(&m->lock);
    free(m->dsn);
    free(m);
}

void monitor_read(struct monitor *m, monitor_read_fn *fn, void *arg)
{
    (void)pthread_mutex_lock(&m->lock);
    struct picture *picture = m->picture;
    bool up = m->database_up;
    uint64_t retired = m->retired;
    if (picture != NULL) {
        picture->holders++;
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (picture == NULL) {
        fn(arg, NULL, 0, up, retired);
    } else {
        fn(arg, picture->status, clock_mono_ms() - picture->sampled_ms, up, retired);
    }
    let_go(m, picture);
}
