/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_subs_end.c - a lane with subscriptions: what becomes of each delivery.
 *
 *   delivered     written, and the next row of its key goes
 *   retry         costs an attempt; due again by the subscription's schedule
 *   rejected      dead at once; so is 410, which also disables the subscription
 *   unavailable,  costs none: the endpoint is left alone, and its rows wait. An event
 *   unroutable    for which that happens again and again while others are taken is
 *                 to blame itself, and pays an attempt
 *   never tried   given back unsent: nothing is written, the row waits where it was
 *
 * Ends are written together, with what was heard of the endpoints; one write is under
 * way at a time.
 */
#include "dispatch/lane_subs.h"

#include "base/log.h"
#include "base/utf8.h"
#include "dispatch/cause.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETBACKS_MAX     3
#define HEALTH_OK_MS     10000 /* between notes that an endpoint is still well */
#define BEHIND_PROBE_MS  2000  /* so that another event is the next probe */
#define SCHEDULE_JITTER  5     /* a fifth of the delay is added at random */
#define OVERLOADED_FIRST 502   /* statuses that ask for less */
#define OVERLOADED_LAST  504

/* ---- one delivery ------------------------------------------------------------ */

/* Out of memory: the database still has the row, and the lane starts over. */
static struct lane_end *make_end(struct lane *lane, const struct delivery *d)
{
    struct lane_end *end = calloc(1, sizeof(*end));

    if (end == NULL) {
        lane_quiesce(lane);
        return NULL;
    }
    end->seq = d->seq;
    end->subscription = d->subscription;
    end->setbacks = d->to->setbacks;
    end->asked = d->to->asked;
    memcpy(end->trigger, d->to->trigger, sizeof(end->trigger));
    return end;
}

static void keep_attempt(struct lane_end *end, const struct inbox_failure *f)
{
    const struct rider_attempt *a = f->attempt;

    end->outcome = f->outcome;
    end->remote_code = f->remote_code;
    end->retry_after_ms = f->retry_after_ms;
    if (a == NULL) {
        return;
    }
    end->tried = true;
    end->attempt = *a;
    size_t len =
        a->remote.len < sizeof(end->remote) ? a->remote.len : sizeof(end->remote) - 1;
    if (len > 0) {
        memcpy(end->remote, a->remote.data, len);
    }
    (void)snprintf(end->category, sizeof(end->category), "%s",
                   a->category == NULL ? "" : a->category);
    if (a->response.len > 0) {
        end->response = strndup(a->response.data, a->response.len);
        if (end->response != NULL) {
            utf8_scrub(end->response);
        }
    }
}

static void describe(const struct inbox_failure *f, struct park *park)
{
    const char *reason = f->reason == NULL ? cause_word(f->cause) : f->reason;

    park->cause = f->cause;
    if (f->remote_code != 0) {
        (void)snprintf(park->error, sizeof(park->error), "%s (code %d)", reason,
                       f->remote_code);
    } else {
        (void)snprintf(park->error, sizeof(park->error), "%s", reason);
    }
    utf8_scrub(park->error);
}

/* Of the row, once it is neither open nor to be written. */
static void leave(struct lane *lane, struct delivery *d)
{
    struct sub *s = d->to->sub;

    LIST_REMOVE(d->to, link);
    s->n_open--;
    s->used_ms = lane->now_ms;
    if (d->sent_once) {
        lane->unsettled--;
    }
    lane->rows_open--;
    d->batch->unwritten--;
    lane->subs->take_at_ms = 0;
}

static void finish(struct lane *lane, struct delivery *d, struct lane_end *end)
{
    d->to->end = end;
    lane_mark_done(d);
    delivery_queue_push(&lane->ended, d);
    lane->subs->take_at_ms = 0;
}

/* The endpoint has taken something. */
static void heard_well(struct lane *lane, struct sub *s)
{
    s->ok = s->touched = true;
    s->failures = 0;
    s->success_us = lane->ports.wall_us(lane->ports.clock_arg);
}

static void heard_failure(struct sub *s, const struct park *park)
{
    s->touched = true;
    s->failures++;
    s->cause = park->cause;
    memcpy(s->error, park->error, sizeof(s->error));
}

static void delivered(struct lane *lane, struct delivery *d, struct lane_end *end)
{
    struct sub *s = d->to->sub;
    enum breaker_state before = s->pace.breaker.state;

    pace_succeeded(&s->pace, lane->now_ms);
    heard_well(lane, s);
    if (before != BREAKER_CLOSED && s->pace.breaker.state == BREAKER_CLOSED) {
        log_info(lane->config.name, "subscription.recovered",
                 "subscription %.*s takes events again", (int)d->to->target.id.len,
                 (const char *)d->to->target.id.data);
    }
    end->park.state = PARK_DELIVERED;
    end->park.attempts = d->event.attempt;
    lane->deliveries++;
    finish(lane, d, end);
}

static void dead(struct lane *lane, struct delivery *d, struct lane_end *end,
                 uint32_t attempts)
{
    end->park.state = PARK_DEAD;
    end->park.attempts = attempts;
    atomic_fetch_add_explicit(&lane->ports.stats->dead, 1, memory_order_relaxed);
    log_warn(lane->config.name, "event.dead",
             "event %.*s is dead for subscription %.*s after %u attempts, cause %s: %s",
             (int)d->event.id.len, (const char *)d->event.id.data,
             (int)d->to->target.id.len, (const char *)d->to->target.id.data, attempts,
             cause_word(end->park.cause), end->park.error);
    finish(lane, d, end);
}

static void again(struct lane *lane, struct delivery *d, struct lane_end *end,
                  uint32_t attempts, uint64_t delay_ms)
{
    end->park.state = PARK_RETRY;
    end->park.attempts = attempts;
    end->park.delay_ms = delay_ms;
    atomic_fetch_add_explicit(&lane->ports.stats->parked, 1, memory_order_relaxed);
    finish(lane, d, end);
}

static bool is_exhausted(const struct lane *lane, const struct sub_delivery *to,
                         uint32_t attempts)
{
    if (to->schedule_s != NULL) {
        return attempts > to->n_schedule;
    }
    return attempts >= lane->config.max_attempts;
}

static uint64_t retry_delay(struct lane *lane, const struct sub_delivery *to,
                            uint32_t attempts)
{
    if (to->schedule_s == NULL) {
        return backoff_ms(&lane->prng, lane->config.retry_initial_ms,
                          lane->config.retry_max_ms, attempts);
    }
    uint64_t delay = (uint64_t)to->schedule_s[attempts - 1] * 1000;

    return delay + prng_below(&lane->prng, delay / SCHEDULE_JITTER + 1);
}

static bool is_overloaded(const struct inbox_failure *f)
{
    return f->cause == RIDER_CAUSE_RATE_LIMITED ||
           (f->remote_code >= OVERLOADED_FIRST && f->remote_code <= OVERLOADED_LAST);
}

/* Tells whether the endpoint is to be left alone from now on. */
static bool has_opened(struct sub *s, enum breaker_state before)
{
    bool opened = before != BREAKER_OPEN && s->pace.breaker.state == BREAKER_OPEN;

    s->outages += opened;
    return opened;
}

/* It answered, and blamed this event. */
static void event_failed(struct lane *lane, struct delivery *d, struct lane_end *end,
                         const struct inbox_failure *f)
{
    uint32_t attempts = d->event.attempt;
    struct sub *s = d->to->sub;
    enum breaker_state before = s->pace.breaker.state;

    if (f->outcome == RIDER_REJECTED) {
        pace_event_failed(&s->pace, &lane->prng, lane->now_ms, f->cause, false);
        dead(lane, d, end, attempts);
        return;
    }
    if (f->outcome == RIDER_UNAVAILABLE && f->retry_after_ms > 0) {
        pace_unavailable(&s->pace, &lane->prng, lane->now_ms, f->cause,
                         f->retry_after_ms, is_overloaded(f));
    } else {
        pace_event_failed(&s->pace, &lane->prng, lane->now_ms, f->cause, true);
    }
    (void)has_opened(s, before);
    heard_failure(s, &end->park);
    if (is_exhausted(lane, d->to, attempts)) {
        dead(lane, d, end, attempts);
        return;
    }
    uint64_t delay = retry_delay(lane, d->to, attempts);
    again(lane, d, end, attempts,
          delay > f->retry_after_ms ? delay : f->retry_after_ms);
}

/* Our own proxy was in the way: the endpoint has seen nothing. */
static bool is_of_the_proxy(const struct inbox_failure *f)
{
    return f->attempt != NULL && f->attempt->category != NULL &&
           strcmp(f->attempt->category, "proxy") == 0;
}

/* A receiver that counts requests says nothing about this one, and nor does a proxy. */
static bool is_its_own_fault(const struct delivery *d, const struct inbox_failure *f)
{
    const struct sub_delivery *to = d->to;

    return f->cause != RIDER_CAUSE_RATE_LIMITED && !is_of_the_proxy(f) &&
           to->setbacks >= SETBACKS_MAX && to->sub->success_us > to->failed_at_us;
}

static void endpoint_failed(struct lane *lane, struct delivery *d, struct lane_end *end,
                            const struct inbox_failure *f)
{
    struct sub *s = d->to->sub;
    enum breaker_state before = s->pace.breaker.state;

    pace_unavailable(&s->pace, &lane->prng, lane->now_ms, f->cause, f->retry_after_ms,
                     is_overloaded(f));
    if (!is_of_the_proxy(f)) {
        heard_failure(s, &end->park);
    }
    uint64_t wait = s->pace.breaker.retry_at_ms - lane->now_ms;
    if (has_opened(s, before) && before == BREAKER_CLOSED) {
        log_warn(lane->config.name, "subscription.unavailable",
                 "subscription %.*s is unavailable, cause %s: %s, probing in %llu ms",
                 (int)d->to->target.id.len, (const char *)d->to->target.id.data,
                 cause_word(f->cause), end->park.error, (unsigned long long)wait);
    }
    end->setbacks++;
    again(lane, d, end, d->event.attempt - 1,
          wait + prng_below(&lane->prng, BEHIND_PROBE_MS));
}

/* The row stays as it is in the database, where the next read finds it. */
static void give_back(struct lane *lane, struct delivery *d)
{
    d->to->sub->pending = true; /* or due: a read looks for both */
    lane_mark_done(d);
    leave(lane, d);
    lane_free_rows_batches(lane);
}

static void unsent(struct lane *lane, struct delivery *d, const struct inbox_failure *f)
{
    struct sub *s = d->to->sub;
    enum breaker_state before = s->pace.breaker.state;

    if (before == BREAKER_OPEN) {
        pace_unsent(&s->pace);
    } else {
        /* A probe that was not even tried has failed, too: without a pause it would
         * come and go at once, for ever. */
        pace_unavailable(&s->pace, &lane->prng, lane->now_ms, f->cause,
                         f->retry_after_ms, false);
    }
    (void)has_opened(s, before);
    give_back(lane, d);
}

bool lane_subs_may_go(struct lane *lane, struct delivery *d)
{
    struct sub *s = d->to->sub;

    if (d->to->outage == s->outages) {
        return true;
    }
    pace_unsent(&s->pace);
    give_back(lane, d);
    return false;
}

void lane_subs_completed(struct lane *lane, struct delivery *d,
                         const struct inbox_failure *f)
{
    if (f->outcome == RIDER_UNAVAILABLE && f->attempt == NULL) {
        unsent(lane, d, f);
        return;
    }
    struct lane_end *end = make_end(lane, d);
    if (end == NULL) {
        return;
    }
    keep_attempt(end, f);
    if (f->outcome == RIDER_DELIVERED) {
        delivered(lane, d, end);
        return;
    }
    describe(f, &end->park);
    if (f->cause == RIDER_CAUSE_GONE_410) {
        pace_event_failed(&d->to->sub->pace, &lane->prng, lane->now_ms, f->cause,
                          false);
        heard_failure(d->to->sub, &end->park);
        dead(lane, d, end, d->event.attempt);
    } else if ((f->outcome == RIDER_UNAVAILABLE || f->outcome == RIDER_UNROUTABLE) &&
               !is_its_own_fault(d, f)) {
        endpoint_failed(lane, d, end, f);
    } else {
        event_failed(lane, d, end, f);
    }
}

void lane_subs_refused(struct lane *lane, struct delivery *d)
{
    char reason[PARK_ERROR_MAX];
    const struct inbox_failure f = {
        .outcome = RIDER_UNROUTABLE,
        .cause = RIDER_CAUSE_SECRET_UNDECRYPTABLE,
        .reason = reason,
    };
    (void)snprintf(reason, sizeof(reason), "%s", d->to->problem);
    struct lane_end *end = make_end(lane, d);

    if (end != NULL) {
        describe(&f, &end->park);
        endpoint_failed(lane, d, end, &f);
    }
}

/* ---- written -------------------------------------------------------------------- */

static bool has_news(const struct lane *lane, const struct sub *s)
{
    return s->failures > 0 || (s->ok && (s->failing || s->written_ms == 0 ||
                                         lane->now_ms - s->written_ms >= HEALTH_OK_MS));
}

/* Adds what was heard of the endpoint, once a write. */
static void add_health(struct lane *lane, struct sub *s, size_t *n)
{
    const struct breaker *b = &s->pace.breaker;

    if (!s->touched) {
        return;
    }
    s->touched = false;
    if (!has_news(lane, s)) {
        return;
    }
    lane->subs->health[(*n)++] = (struct lane_health){
        .number = s->number,
        .ok = s->ok,
        .failures = s->failures,
        .throttle_ms = b->state == BREAKER_OPEN && b->retry_at_ms > lane->now_ms
                           ? b->retry_at_ms - lane->now_ms
                           : 0,
        .cause = s->failures > 0 ? s->cause : RIDER_CAUSE_NONE,
        .error = s->error,
    };
    s->failing = s->failures > 0;
    s->ok = false;
    s->failures = 0;
    s->written_ms = lane->now_ms;
}

void lane_subs_end_step(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;
    size_t n = 0;
    size_t n_health = 0;

    if (lane->writing || lane->ended.head == NULL) {
        return;
    }
    while (lane->ended.head != NULL && n < SUBS_ENDS_MAX) {
        struct delivery *d = delivery_queue_pop(&lane->ended);
        delivery_queue_push(&lane->being_written, d);
        subs->ends[n++] = d->to->end;
        add_health(lane, d->to->sub, &n_health);
    }
    lane->writing = true;
    lane->ports.store->ops->end(lane->ports.store, subs->ends, n, subs->health,
                                n_health);
}

void lane_subs_on_ended(void *arg, bool fenced)
{
    struct lane *lane = arg;
    struct delivery *d;

    if (!lane->writing) {
        return;
    }
    lane->writing = false;
    lane_tick(lane);
    if (lane->phase != LANE_RUNNING && lane->phase != LANE_DRAINING) {
        return;
    }
    if (fenced) {
        lane_fenced_off(lane);
        return;
    }
    while ((d = delivery_queue_pop(&lane->being_written)) != NULL) {
        const struct lane_end *end = d->to->end;
        struct sub *s = d->to->sub;

        uint64_t due = lane->now_ms + end->park.delay_ms + LANE_DUE_SLACK_MS;

        if (end->park.state == PARK_RETRY && due < s->retry_at_ms) {
            s->retry_at_ms = due;
        }
        leave(lane, d);
    }
    lane_free_rows_batches(lane);
    atomic_fetch_add_explicit(&lane->ports.stats->settles, 1, memory_order_relaxed);
}
