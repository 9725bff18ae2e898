/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_thread.c - one destination at work.
 *
 * The loop waits for three things: the inbox (completions, requests of the
 * main thread), the database socket, and the lane's next deadline. It owns the
 * adapter instance from start() to stop(), so no two of its functions ever run
 * at the same time.
 *
 * Stopping: drain until the deadline, stop the adapter (which completes what
 * is open), settle what it reported, give the lease back, end.
 *
 * Not here: delivery rules (dispatch/lane.c), SQL (outbox/lane_pg.c).
 */
#include "daemon/lane_thread.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/inbox.h"
#include "dispatch/lane.h"
#include "outbox/lane_pg.h"
#include "outbox/migrate.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_INTERVAL_MS 1000
#define TURN_MAX_MS        1000 /* so that last_step_ms shows that the loop turns */
#define RELEASE_LIMIT_MS   2000
#define ADAPTER_STOP_MS    2000

struct lane_thread {
    struct configuration *configuration;

    const struct destination_settings *destination;
    int part;
    char name[80];
    atomic_bool wanted;
    const struct publisher_vtable *vt;
    struct inbox *inbox;
    struct lane_pg *pg;
    struct publisher *publisher;
    bool publisher_stopped;
    struct lane *lane;
    struct lane_stats stats;
    pthread_t thread;
    bool started;
    atomic_bool ended;
    atomic_uint_fast64_t stop_by_ms; /* 0: run */
    struct router *router;           /* in use by the lane */
    _Atomic(struct router *) next_router;
    pthread_mutex_t report_lock; /* guards report */
    struct adapter_report report;
};

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return clock_mono_ms();
}

static int64_t wall_us(void *arg)
{
    (void)arg;
    return clock_wall_us();
}

/* ---- building ------------------------------------------------------------- */

static int create_store(struct lane_thread *t, const struct lane_thread_config *config,
                        struct rider_error *err)
{
    const struct destination_settings *d = config->destination;
    const struct source_settings *source = &config->configuration->settings->source;
    const struct lane_pg_config pg = {
        .dsn = source->dsn,
        .destination = d->name,
        .part = config->part,
        .parts = (int)d->partitions,
        .dead_letter = d->dead_letter,
        .hold_dead = d->on_dead == ON_DEAD_HOLD,
        .from_beginning = d->start_from == START_BEGINNING,
        .owner = config->owner,
        .lease_ms = source->lease_ms,
        .schema_version = outbox_schema_version(),
        .subscriptions = d->subscriptions,
        .key_ring = config->configuration->key_ring,
        .signing_key = config->configuration->settings->webhooks.signing_key,
    };
    int rc = lane_pg_create(&pg, &t->pg, err);

    if (rc == 0) {
        lane_pg_set_router(t->pg, t->router);
    }
    return rc;
}

static int create_lane(struct lane_thread *t, struct rider_error *err)
{
    const struct destination_settings *d = t->destination;
    const struct source_settings *source = &t->configuration->settings->source;
    struct prng seed = prng_random();
    const struct lane_config config = {
        .name = t->name,
        .envelope = d->envelope,
        .ordered = d->ordering == ORDERING_KEY,
        .hold_dead = d->on_dead == ON_DEAD_HOLD,
        .subscriptions = d->subscriptions,
        .retry_initial_ms = d->retry.initial_ms,
        .retry_max_ms = d->retry.max_ms,
        .max_attempts = (uint32_t)d->retry.max_attempts,
        .max_in_flight = (size_t)d->max_in_flight,
        .max_bytes = (size_t)d->max_bytes,
        .batch = (size_t)source->batch,
        .poll_min_ms = source->poll_min_ms,
        .poll_max_ms = source->poll_max_ms,
        .lease_ms = source->lease_ms,
        .seed = prng_next(&seed),
        .route = router_wants,
        .route_arg = t->router,
    };
    const struct lane_ports ports = {
        .store = lane_pg_store(t->pg),
        .inbox = t->inbox,
        .vt = t->vt,
        .publisher = t->publisher,
        .stats = &t->stats,
        .now_ms = now_ms,
        .wall_us = wall_us,
    };

    return lane_create(&config, &ports, &t->lane, err);
}

static int create_publisher(struct lane_thread *t, struct rider_error *err)
{
    char text[256] = "";
    int rc = t->vt->create(inbox_host(t->inbox), t->destination->options, &t->publisher,
                           text, sizeof(text));

    if (rc != 0) {
        return rider_fail(err, RIDER_E_CONFIG, "destination \"%s\": adapter \"%s\": %s",
                          t->destination->name, t->destination->adapter,
                          text[0] == '\0' ? "could not be created" : text);
    }
    return 0;
}

int lane_thread_create(const struct lane_thread_config *config,
                       struct lane_thread **ret, struct rider_error *err)
{
    struct lane_thread *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        router_destroy(config->router);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    t->configuration = configuration_ref(config->configuration);
    t->destination = config->destination;
    t->part = config->part;
    t->vt = config->vt;
    t->router = config->router;
    if (t->destination->partitions > 1) {
        (void)snprintf(t->name, sizeof(t->name), "%s/%d", t->destination->name,
                       t->part);
    } else {
        (void)snprintf(t->name, sizeof(t->name), "%s", t->destination->name);
    }
    (void)pthread_mutex_init(&t->report_lock, NULL);
    t->report.health.state = RIDER_STARTING;
    int rc = histogram_create(histogram_latency_bounds, histogram_latency_n_bounds,
                              &t->stats.commit_to_accept, err);
    if (rc == 0) {
        rc = inbox_create(t->name, (size_t)t->destination->max_in_flight,
                          t->destination->subscriptions, &t->inbox, err);
    }
    if (rc == 0) {
        rc = create_publisher(t, err);
    }
    if (rc == 0) {
        rc = create_store(t, config, err);
    }
    if (rc == 0) {
        rc = create_lane(t, err);
    }
    if (rc != 0) {
        lane_thread_destroy(t);
        return rc;
    }
    *ret = t;
    return 0;
}

/* ---- running --------------------------------------------------------------- */

static void take_stat(void *arg, const char *name, int is_counter, double value)
{
    struct adapter_report *report = arg;

    if (report->n_stats == LANE_MAX_STATS) {
        return;
    }
    struct adapter_stat *stat = &report->stats[report->n_stats++];
    (void)snprintf(stat->name, sizeof(stat->name), "%s", name);
    stat->is_counter = is_counter != 0;
    stat->value = value;
}

static void ask_adapter(struct lane_thread *t)
{
    struct adapter_report report = {.n_stats = 0};

    report.health.struct_size = sizeof(report.health);
    report.health.state = RIDER_UP;
    if (t->vt->health != NULL) {
        t->vt->health(t->publisher, &report.health);
        report.health.detail[sizeof(report.health.detail) - 1] = '\0';
    }
    if (t->vt->stats != NULL) {
        t->vt->stats(t->publisher, take_stat, &report);
    }
    bool up = report.health.state == RIDER_UP || report.health.state == RIDER_STARTING;
    lane_set_health(t->lane, up ? RIDER_CAUSE_NONE : report.health.cause,
                    report.health.detail);
    (void)pthread_mutex_lock(&t->report_lock);
    t->report = report;
    (void)pthread_mutex_unlock(&t->report_lock);
}

static void take_new_router(struct lane_thread *t)
{
    struct router *next = atomic_exchange(&t->next_router, NULL);

    if (next != NULL) {
        lane_pg_set_router(t->pg, next);
        lane_set_route(t->lane, router_wants, next);
        router_destroy(t->router);
        t->router = next;
    }
}

/* Everything that can be done now. */
static void work(struct lane_thread *t)
{
    take_new_router(t);
    lane_set_wanted(t->lane, atomic_load(&t->wanted));
    lane_pg_step(t->pg, clock_mono_ms());
    lane_step(t->lane);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Waits for news, or until something is due. */
static void wait_for_news(struct lane_thread *t, uint64_t until)
{
    struct pollfd fds[2];
    uint64_t now = clock_mono_ms();
    uint64_t at = earlier(until, now + TURN_MAX_MS);

    at = earlier(at, lane_deadline(t->lane));
    at = earlier(at, lane_pg_deadline(t->pg));
    fds[0] = (struct pollfd){.fd = inbox_fd(t->inbox), .events = POLLIN};
    fds[1].fd = lane_pg_fd(t->pg, &fds[1].events);
    (void)poll(fds, 2, at <= now ? 0 : (int)(at - now));
}

static void run_until_stopped(struct lane_thread *t)
{
    uint64_t report_at = 0;

    while (atomic_load(&t->stop_by_ms) == 0) {
        uint64_t now = clock_mono_ms();
        if (now >= report_at) {
            ask_adapter(t);
            report_at = now + REPORT_INTERVAL_MS;
        }
        work(t);
        wait_for_news(t, report_at);
    }
}

static void drain(struct lane_thread *t)
{
    uint64_t stop_by = atomic_load(&t->stop_by_ms);

    lane_drain(t->lane);
    for (work(t); !lane_is_quiet(t->lane) && clock_mono_ms() < stop_by; work(t)) {
        wait_for_news(t, stop_by);
    }
}

static void stop_publisher(struct lane_thread *t)
{
    uint64_t limit = clock_mono_ms() + ADAPTER_STOP_MS;

    t->vt->stop(t->publisher, limit);
    t->publisher_stopped = true;
    lane_step(t->lane); /* what it completed last */
}

static void release(struct lane_thread *t)
{
    uint64_t limit = clock_mono_ms() + RELEASE_LIMIT_MS;

    lane_release(t->lane);
    for (work(t); !lane_is_released(t->lane) && clock_mono_ms() < limit; work(t)) {
        wait_for_news(t, limit);
    }
    if (!lane_is_released(t->lane)) {
        log_warn(t->name, "lane.not_released",
                 "could not give the lease back in time, it runs out by itself");
    }
}

static void *thread_main(void *arg)
{
    struct lane_thread *t = arg;
    char text[256] = "";

    if (t->vt->start(t->publisher, text, sizeof(text)) != 0) {
        log_error(t->name, "adapter.start_failed", "adapter could not start: %s", text);
    } else {
        run_until_stopped(t);
        drain(t);
        stop_publisher(t);
        release(t);
    }
    atomic_store(&t->ended, true);
    return NULL;
}

int lane_thread_start(struct lane_thread *t, struct rider_error *err)
{
    char name[16];
    int rc = pthread_create(&t->thread, NULL, thread_main, t);

    if (rc != 0) {
        return rider_fail_errno(err, RIDER_E_IO, rc, "could not start a thread");
    }
    t->started = true;
    (void)snprintf(name, sizeof(name), "lane %.9s", t->name);
    (void)pthread_setname_np(t->thread, name);
    return 0;
}

void lane_thread_stop(struct lane_thread *t, uint64_t deadline_ms)
{
    atomic_store(&t->stop_by_ms, deadline_ms == 0 ? 1 : deadline_ms);
    inbox_wake(t->inbox);
}

void lane_thread_destroy(struct lane_thread *t)
{
    if (t == NULL) {
        return;
    }
    if (t->started) {
        (void)pthread_join(t->thread, NULL);
    }
    if (t->publisher != NULL) {
        t->vt->destroy(t->publisher);
    }
    lane_destroy(t->lane);
    lane_pg_destroy(t->pg);
    inbox_destroy(t->inbox);
    router_destroy(t->router);
    router_destroy(atomic_load(&t->next_router));
    histogram_destroy(t->stats.commit_to_accept);
    (void)pthread_mutex_destroy(&t->report_lock);

    configuration_unref(t->configuration);
    free(t);
}

void lane_thread_set_router(struct lane_thread *t, struct router *router)
{
    router_destroy(atomic_exchange(&t->next_router, router));
    inbox_wake(t->inbox);
}

void lane_thread_set_wanted(struct lane_thread *t, bool wanted)
{
    if (atomic_exchange(&t->wanted, wanted) != wanted) {
        inbox_wake(t->inbox);
    }
}

/* ---- looking at it ----------------------------------------------------------- */

const struct destination_settings *lane_thread_destination(const struct lane_thread *t)
{
    return t->destination;
}

int lane_thread_part(const struct lane_thread *t)
{
    return t->part;
}

const char *lane_thread_name(const struct lane_thread *t)
{
    return t->name;
}

const struct lane_stats *lane_thread_stats(const struct lane_thread *t)
{
    return &t->stats;
}

void lane_thread_report(struct lane_thread *t, struct adapter_report *ret)
{
    (void)pthread_mutex_lock(&t->report_lock);
    *ret = t->report;
    (void)pthread_mutex_unlock(&t->report_lock);
}

bool lane_thread_has_ended(const struct lane_thread *t)
{
    return atomic_load(&t->ended);
}
