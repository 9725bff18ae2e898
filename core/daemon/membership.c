/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membership.c - this process among the others.
 */
#include "daemon/membership.h"

#include "base/buf.h"
#include "base/log.h"
#include "daemon/rounds.h"
#include "outbox/members.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEARTBEAT_MS     400
#define DESTINATIONS_MAX ((size_t)64 * 1024)

struct membership {
    struct members *members;
    struct lane_set *lanes;
    struct rounds *rounds;
    struct log_limit complaints; /* the thread's */
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

static uint64_t beat(void *arg)
{
    struct membership *m = arg;
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
    return HEARTBEAT_MS;
}

int membership_create(const char *dsn, const char *owner, uint64_t lease_ms,
                      struct lane_set *lanes, struct membership **ret,
                      struct rider_error *err)
{
    struct membership *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    m->lanes = lanes;
    int rc = members_create(dsn, owner, lease_ms, &m->members, err);
    if (rc == 0) {
        rc = rounds_create("membership", beat, m, &m->rounds, err);
    }
    if (rc != 0) {
        members_destroy(m->members);
        free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void membership_destroy(struct membership *m)
{
    if (m == NULL) {
        return;
    }
    rounds_destroy(m->rounds);
    members_leave(m->members);
    members_destroy(m->members);
    free(m);
}
