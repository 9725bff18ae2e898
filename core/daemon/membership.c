/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membership.c - this process among the others.
 */
#include "daemon/membership.h"

#include "base/buf.h"
#include "base/log.h"
#include "outbox/members.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEARTBEAT_MS     400
#define DESTINATIONS_MAX ((size_t)64 * 1024)

struct membership {
    struct members *members;
    struct lane_set *lanes;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
    struct log_limit complaints;
};

/* Names are [a-z0-9_-]: no quoting in an array literal. */
static void add_destination(void *arg, struct lane_thread *lane)
{
    struct buf *text = arg;

    buf_putc(text, text->len == 0 ? '{' : ',');
    buf_puts(text, lane_thread_destination(lane)->name);
}

struct answer {
    const struct member_lane *list;
    size_t n;
};

/* A lane that the database does not know yet is made by whoever starts it. */
static void tell(void *arg, struct lane_thread *lane)
{
    const struct answer *a = arg;
    bool mine = true;

    for (size_t i = 0; i < a->n; i++) {
        if (a->list[i].part == lane_thread_part(lane) &&
            strcmp(a->list[i].destination, lane_thread_destination(lane)->name) == 0) {
            mine = a->list[i].mine;
        }
    }
    lane_thread_set_wanted(lane, mine);
}

static void tell_all_wanted(void *arg, struct lane_thread *lane)
{
    (void)arg;
    lane_thread_set_wanted(lane, true);
}

static void beat(struct membership *m)
{
    struct buf destinations = buf_make(DESTINATIONS_MAX);
    struct answer answer = {NULL, 0};
    struct rider_error err;

    lane_set_each(m->lanes, add_destination, &destinations);
    buf_puts(&destinations, destinations.len == 0 ? "{}" : "}");
    int rc = members_heartbeat(m->members, buf_text(&destinations), &answer.list,
                               &answer.n, &err);
    buf_done(&destinations);
    if (rc == 0) {
        lane_set_each(m->lanes, tell, &answer);
    } else if (rc != RIDER_E_DB_LOST && rc != RIDER_E_SCHEMA) {
        /* Without the list every process tries every lane; leases keep it right. */
        lane_set_each(m->lanes, tell_all_wanted, NULL);
        uint64_t silent = 0;
        if (log_limit_pass(&m->complaints, (uint64_t)time(NULL) * 1000, 60000,
                           &silent)) {
            log_warn("membership", "membership.failed",
                     "cannot share lanes with other processes: %s", err.text);
        }
    }
}

static bool wait_for_beat(struct membership *m)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)HEARTBEAT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&m->lock);
    while (!m->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&m->wake, &m->lock, &until);
    }
    bool go_on = !m->stopping;
    (void)pthread_mutex_unlock(&m->lock);
    return go_on;
}

static void *membership_main(void *arg)
{
    struct membership *m = arg;

    do {
        beat(m);
    } while (wait_for_beat(m));
    members_leave(m->members);
    return NULL;
}

int membership_create(const char *dsn, const char *owner, uint64_t lease_ms,
                      struct lane_set *lanes, struct membership **ret,
                      struct rider_error *err)
{
    struct membership *m = calloc(1, sizeof(*m));
    pthread_condattr_t attr;

    if (m == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    m->lanes = lanes;
    int rc = members_create(dsn, owner, lease_ms, &m->members, err);
    if (rc != 0) {
        free(m);
        return rc;
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&m->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&m->thread, NULL, membership_main, m);
    if (rc != 0) {
        members_destroy(m->members);
        free(m);
        return rider_fail_errno(err, RIDER_E_IO, rc,
                                "could not start the membership thread");
    }
    *ret = m;
    return 0;
}

void membership_destroy(struct membership *m)
{
    if (m == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&m->lock);
    m->stopping = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    members_destroy(m->members);
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}
