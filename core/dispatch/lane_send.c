/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_send.c - ready deliveries to the adapter, completions back.
 *
 * Offers are arrays of pointers, and the adapter takes a prefix. A ticket is
 * open before publish() is called, because its completion may arrive before
 * publish() returns. The lease's own deadline is checked before every offer.
 *
 * Not here: what becomes of an ended delivery (lane_settle.c), the adapter's
 * side of a completion (inbox.c).
 */
#include "dispatch/lane_internal.h"

#include "base/log.h"
#include "base/utf8.h"
#include "dispatch/cause.h"
#include "dispatch/lane_subs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFER_MAX          256
#define UNROUTABLE_WAIT_MS 5000
#define SETBACKS_MAX       3
#define PROBE_DEPTH        8

/* ---- in ---------------------------------------------------------------- */

static void make_ready(struct lane *lane, struct delivery *d)
{
    d->state = DELIVERY_READY;
    if (ready_queue_push(&lane->ready, d) != 0) {
        lane_quiesce(lane); /* out of memory: the database still has the event */
    }
}

static bool is_held(struct lane *lane, const struct delivery *d)
{
    if (!lane->config.ordered || held_keys_count(lane->held) == 0) {
        return false;
    }
    return lane_held_key(lane, d) != NULL;
}

static void park_held(struct lane *lane, struct delivery *d)
{
    struct park *park = calloc(1, sizeof(*park));

    if (park == NULL) {
        lane_quiesce(lane);
        return;
    }
    park->state = PARK_HELD;
    lane_end_parked(lane, d, park);
}

void lane_admit(struct lane *lane, struct delivery *d)
{
    d->order = lane->order++;
    if (d->unrouted) {
        lane_end_delivered(lane, d);
        return;
    }
    if (!lane->config.ordered || lane->subs != NULL) {
        make_ready(lane, d);
        return;
    }
    if (d->batch->kind == BATCH_WINDOW && is_held(lane, d)) {
        park_held(lane, d);
        return;
    }
    int rc = key_gate_enter(lane->gate, d);
    if (rc < 0) {
        lane_quiesce(lane);
        return;
    }
    d->in_gate = true;
    if (rc == 1) {
        make_ready(lane, d);
    }
}

/* The open delivery of a key has ended: the next one may go, unless its key is
 * held by now; then it is parked, and the one behind it is asked. */
void lane_release_key(struct lane *lane, uint64_t key)
{
    struct delivery *next;

    while ((next = key_gate_leave(lane->gate, key)) != NULL) {
        if (next->batch->kind == BATCH_ROWS || !is_held(lane, next)) {
            make_ready(lane, next);
            return;
        }
        next->in_gate = false;
        park_held(lane, next);
    }
}

/* ---- out --------------------------------------------------------------- */

/* Places in the window. While something is open, the last one is kept for a probe:
 * an event that never ends well would otherwise fill the window behind it, and
 * nothing could show any more that the destination takes others. */
static size_t window_room(const struct lane *lane, size_t open)
{
    size_t limit = lane->config.max_in_flight;
    size_t left = lane->unsettled < limit ? limit - lane->unsettled : 0;

    /* With subscriptions each has a breaker of its own, and asks for its probe. */
    if (lane->subs != NULL || lane->breaker.state != BREAKER_CLOSED) {
        return left;
    }
    if (left > 1) {
        return left - 1;
    }
    return open == 0 ? left : 0;
}

static size_t may_open(struct lane *lane)
{
    size_t open = tickets_count(lane->tickets);
    size_t allowed = breaker_allows(&lane->breaker, lane->now_ms);
    size_t room = window_room(lane, open);

    if (allowed <= open) {
        return 0;
    }
    const struct delivery *next = ready_queue_peek(&lane->ready);
    if (next != NULL && next->sent_once && room == 0) {
        room = 1; /* counted already: sending it again takes no room */
    }
    return allowed - open < room ? allowed - open : room;
}

/* Whether `d` may be sent past `n_new` older deliveries that never were. One place
 * in the window stays theirs: the cursor waits for them, and without it the window
 * would never move again. */
static bool may_overtake(const struct lane *lane, const struct delivery *d,
                         size_t n_new)
{
    size_t reserved = n_new > 0 ? 1 : 0;

    return d->sent_once || lane->unsettled + reserved < lane->config.max_in_flight;
}

/* Each failed probe is followed by one with another event, so that an event
 * which its receiver cannot survive does not pass for an outage for ever. */
static struct delivery *choose_probe(struct lane *lane)
{
    struct delivery *skipped[PROBE_DEPTH];
    size_t depth = lane->breaker.trips % PROBE_DEPTH;
    size_t n = 0;
    size_t n_new = 0;

    while (n < depth && ready_queue_size(&lane->ready) > 1) {
        struct delivery *d = ready_queue_pop(&lane->ready);
        n_new += !d->sent_once;
        if (!may_overtake(lane, ready_queue_peek(&lane->ready), n_new)) {
            ready_queue_push_front(&lane->ready, d);
            break;
        }
        skipped[n++] = d;
    }
    struct delivery *probe = ready_queue_pop(&lane->ready);
    while (n > 0) {
        ready_queue_push_front(&lane->ready, skipped[--n]);
    }
    return probe;
}

/* A lane that stops still sends what is older than the last it has sent: the
 * cursor cannot pass it, so everything behind it would be sent again. */
bool lane_has_gap(struct lane *lane)
{
    const struct delivery *next = ready_queue_peek(&lane->ready);

    return lane->subs == NULL && next != NULL && next->order < lane->sent_order &&
           lane->breaker.state == BREAKER_CLOSED && lane->now_ms < lane->send_until_ms;
}

static struct delivery *choose(struct lane *lane)
{
    if (lane->phase == LANE_DRAINING && !lane_has_gap(lane)) {
        return NULL;
    }
    if (lane->subs != NULL) {
        struct delivery *d = ready_queue_pop(&lane->ready);
        while (d != NULL && !lane_subs_may_go(lane, d)) {
            d = ready_queue_pop(&lane->ready);
        }
        return d;
    }
    return lane->breaker.state == BREAKER_HALF_OPEN ? choose_probe(lane)
                                                    : ready_queue_pop(&lane->ready);
}

static size_t take_offer(struct lane *lane, size_t n, struct delivery **offer,
                         const struct rider_event **events)
{
    size_t i;

    for (i = 0; i < n; i++) {
        struct delivery *d = choose(lane);
        if (d == NULL) {
            break;
        }
        d->event.ticket = tickets_open(lane->tickets, d);
        if (d->event.ticket == 0) {
            ready_queue_push_front(&lane->ready, d);
            break;
        }
        d->state = DELIVERY_SENT;
        offer[i] = d;
        events[i] = &d->event;
    }
    return i;
}

static void give_back(struct lane *lane, struct delivery **offer, size_t from, size_t n)
{
    for (size_t i = n; i > from; i--) {
        struct delivery *d = offer[i - 1];
        (void)tickets_close(lane->tickets, d->event.ticket);
        make_ready(lane, d); /* by its order: a probe is not the oldest */
    }
}

static void count_sent(struct lane *lane, struct delivery **offer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!offer[i]->sent_once) {
            offer[i]->sent_once = true;
            lane->unsettled++;
        }
        if (offer[i]->order > lane->sent_order) {
            lane->sent_order = offer[i]->order;
        }
        if (offer[i]->batch->kind == BATCH_WINDOW && offer[i]->seq > lane->sent_seq) {
            lane->sent_seq = offer[i]->seq;
        }
    }
}

void lane_send_step(struct lane *lane)
{
    struct delivery *offer[OFFER_MAX];
    const struct rider_event *events[OFFER_MAX];

    while ((lane->phase == LANE_RUNNING || lane->phase == LANE_DRAINING) &&
           lane->writable && ready_queue_size(&lane->ready) > 0) {
        lane->now_ms = lane->ports.now_ms(lane->ports.clock_arg);
        if (lane->now_ms >= lane->send_until_ms) {
            return; /* the lease may be somebody else's: wait for the settle's answer */
        }
        size_t n = may_open(lane);
        n = take_offer(lane, n < OFFER_MAX ? n : OFFER_MAX, offer, events);
        if (n == 0) {
            return;
        }
        size_t taken = lane->ports.vt->publish(lane->ports.publisher, events, n);
        if (taken < n) {
            lane->writable = false;
            give_back(lane, offer, taken, n);
        }
        count_sent(lane, offer, taken < n ? taken : n);
    }
}

/* ---- back -------------------------------------------------------------- */

static struct park *make_park(const struct inbox_failure *f, enum park_state state,
                              uint32_t attempts, uint64_t delay_ms)
{
    struct park *park = calloc(1, sizeof(*park));

    if (park == NULL) {
        return NULL;
    }
    park->state = state;
    park->cause = f->cause;
    park->attempts = attempts;
    park->delay_ms = delay_ms;
    if (f->remote_code != 0) {
        (void)snprintf(park->error, sizeof(park->error), "%s (code %d)",
                       f->reason == NULL ? cause_word(f->cause) : f->reason,
                       f->remote_code);
    } else {
        (void)snprintf(park->error, sizeof(park->error), "%s",
                       f->reason == NULL ? cause_word(f->cause) : f->reason);
    }
    utf8_scrub(park->error); /* adapters quote what peers say */
    return park;
}

static void log_dead(const struct lane *lane, const struct delivery *d,
                     const struct park *park)
{
    log_warn(lane->config.name, "event.dead",
             "event %.*s is dead after %u attempts, cause %s: %s", (int)d->event.id.len,
             (const char *)d->event.id.data, park->attempts, cause_word(park->cause),
             park->error);
}

static uint64_t retry_delay(struct lane *lane, const struct inbox_failure *f,
                            uint32_t attempts)
{
    uint64_t delay =
        f->outcome == RIDER_UNROUTABLE
            ? UNROUTABLE_WAIT_MS / 2 + prng_below(&lane->prng, UNROUTABLE_WAIT_MS)
            : backoff_ms(&lane->prng, lane->config.retry_initial_ms,
                         lane->config.retry_max_ms, attempts);
    return delay > f->retry_after_ms ? delay : f->retry_after_ms;
}

static void event_failed(struct lane *lane, struct delivery *d,
                         const struct inbox_failure *f)
{
    uint32_t failed_before = d->event.attempt - 1;
    bool counts = f->outcome != RIDER_UNROUTABLE;
    uint32_t attempts = failed_before + (counts ? 1 : 0);
    bool dead = f->outcome == RIDER_REJECTED ||
                (counts && attempts >= lane->config.max_attempts);
    struct park *park = make_park(f, dead ? PARK_DEAD : PARK_RETRY, attempts,
                                  dead ? 0 : retry_delay(lane, f, attempts));

    if (park == NULL) {
        lane_quiesce(lane); /* out of memory: the database still has the event */
        return;
    }
    if (f->outcome == RIDER_REJECTED) {
        breaker_success(&lane->breaker, 1); /* it answered */
    } else {
        (void)snprintf(lane->breaker_error, sizeof(lane->breaker_error), "%s",
                       park->error);
        breaker_event_failed(&lane->breaker, &lane->prng, lane->now_ms, f->cause,
                             counts ? BREAKER_STREAK : BREAKER_UNROUTABLE);
    }
    if (dead) {
        atomic_fetch_add_explicit(&lane->ports.stats->dead, 1, memory_order_relaxed);
        log_dead(lane, d, park);
    } else {
        atomic_fetch_add_explicit(&lane->ports.stats->parked, 1, memory_order_relaxed);
    }
    lane_end_parked(lane, d, park);
}

/* The destination was unavailable for this event again and again while it took
 * others: then it is the event's failure, and costs an attempt. */
static bool is_its_own_fault(const struct lane *lane, struct delivery *d)
{
    if (d->setbacks++ == 0) {
        d->deliveries_seen = lane->deliveries;
    }
    return d->setbacks > SETBACKS_MAX && lane->deliveries > d->deliveries_seen;
}

static void unavailable(struct lane *lane, struct delivery *d,
                        const struct inbox_failure *f)
{
    enum breaker_state before = lane->breaker.state;

    (void)snprintf(lane->breaker_error, sizeof(lane->breaker_error), "%s",
                   f->reason == NULL ? cause_word(f->cause) : f->reason);
    utf8_scrub(lane->breaker_error);
    breaker_unavailable(&lane->breaker, &lane->prng, lane->now_ms, f->cause,
                        f->retry_after_ms);
    if (before == BREAKER_CLOSED) {
        log_warn(lane->config.name, "destination.unavailable",
                 "destination is unavailable, cause %s: %s, probing again in %llu ms",
                 cause_word(f->cause), f->reason == NULL ? "no detail" : f->reason,
                 (unsigned long long)(lane->breaker.retry_at_ms - lane->now_ms));
    }
    make_ready(lane, d);
}

static void count_failure(struct lane *lane, const struct inbox_failure *f)
{
    struct lane_stats *stats = lane->ports.stats;
    uint32_t outcome = f->outcome < LANE_OUTCOMES ? f->outcome : RIDER_RETRY;
    uint32_t cause = f->cause < LANE_CAUSES ? f->cause : RIDER_CAUSE_UNKNOWN;

    atomic_fetch_add_explicit(&stats->attempts[outcome], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->failures[cause], 1, memory_order_relaxed);
    if ((f->flags & RIDER_RESULT_MAYBE_DELIVERED) != 0) {
        atomic_fetch_add_explicit(&stats->duplicates_risked, 1, memory_order_relaxed);
    }
}

static void violation(struct lane *lane, size_t n)
{
    struct lane_stats *stats = lane->ports.stats;

    if (n > 0 && atomic_fetch_add_explicit(&stats->contract_violations, n,
                                           memory_order_relaxed) == 0) {
        log_error(lane->config.name, "adapter.contract",
                  "adapter completed a ticket that is not open, ignoring");
    }
}

static void observe(struct lane *lane, const struct delivery *d, int64_t wall_us)
{
    histogram_observe(lane->ports.stats->commit_to_accept,
                      (double)(wall_us - d->event.occurred_at_us) / 1e6);
}

static void count_delivered(struct lane *lane, size_t n)
{
    struct lane_stats *stats = lane->ports.stats;

    atomic_fetch_add_explicit(&stats->delivered, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->attempts[RIDER_DELIVERED], n,
                              memory_order_relaxed);
    atomic_store_explicit(&stats->last_progress_ms, lane->now_ms, memory_order_relaxed);
}

/* Of a delivery to a subscription, which ends in its own way. */
static void take_attempt(struct lane *lane, struct delivery *d,
                         const struct inbox_failure *f)
{
    if (f->outcome == RIDER_DELIVERED) {
        observe(lane, d, lane->ports.wall_us(lane->ports.clock_arg));
        count_delivered(lane, 1);
    } else if (f->outcome != RIDER_UNAVAILABLE || f->attempt != NULL) {
        count_failure(lane, f);
    }
    if (lane->phase != LANE_QUIESCING) {
        lane_subs_completed(lane, d, f);
    }
}

static void take_failure(struct lane *lane, const struct inbox_failure *f)
{
    struct delivery *d = tickets_close(lane->tickets, f->ticket);

    if (d == NULL) {
        violation(lane, 1);
        return;
    }
    if (d->to != NULL) {
        take_attempt(lane, d, f);
        return;
    }
    count_failure(lane, f);
    if (lane->phase == LANE_QUIESCING) {
        return; /* forgotten: the cursor in the database decides */
    }
    if (f->outcome == RIDER_UNAVAILABLE && !is_its_own_fault(lane, d)) {
        unavailable(lane, d, f);
    } else {
        event_failed(lane, d, f);
    }
}

static void take_delivered(struct lane *lane, const uint64_t *tickets, size_t n)
{
    int64_t wall_us = lane->ports.wall_us(lane->ports.clock_arg);
    enum breaker_state before = lane->breaker.state;
    size_t good = 0;

    for (size_t i = 0; i < n; i++) {
        struct delivery *d = tickets_close(lane->tickets, tickets[i]);
        if (d == NULL) {
            violation(lane, 1);
            continue;
        }
        if (d->to != NULL) {
            take_attempt(lane, d, &(struct inbox_failure){.outcome = RIDER_DELIVERED});
            continue;
        }
        good++;
        if (lane->phase != LANE_QUIESCING) {
            observe(lane, d, wall_us);
            lane_end_delivered(lane, d);
        }
    }
    if (good == 0) {
        return; /* tickets that were not open say nothing about the destination */
    }
    lane->deliveries += good;
    breaker_success(&lane->breaker, good);
    if (before != BREAKER_CLOSED && lane->breaker.state == BREAKER_CLOSED) {
        log_info(lane->config.name, "destination.recovered",
                 "destination takes events again");
    }
    count_delivered(lane, good);
}

void lane_drain_inbox(struct lane *lane)
{
    struct inbox_contents in = inbox_drain(lane->ports.inbox);

    if (in.writable) {
        lane->writable = true;
    }
    if (in.n_delivered > 0) {
        take_delivered(lane, in.delivered, in.n_delivered);
    }
    for (size_t i = 0; i < in.n_failed; i++) {
        take_failure(lane, &in.failed[i]);
    }
    violation(lane, in.dropped);
}
