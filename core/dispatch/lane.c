/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.c - a lane's lifecycle: phases, lease, and what is due when.
 *
 * Losing the database or the lease never touches deliveries that are open with
 * the adapter: the lane waits for them to end (QUIESCING), forgets all it holds
 * in memory, and starts again from the cursor in the database. That repeats at
 * most the events that were sent and not settled.
 *
 * Not here: reading (lane_read.c), sending (lane_send.c), settling
 * (lane_settle.c).
 */
#include "dispatch/lane.h"

#include "base/log.h"
#include "base/utf8.h"
#include "dispatch/lane_internal.h"
#include "dispatch/lane_subs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STANDBY_MS 200 /* between claims of a lane that somebody else has */

static const char *const phase_words[] = {
    [LANE_OFFLINE] = "offline",   [LANE_CLAIMING] = "claiming",
    [LANE_STANDBY] = "standby",   [LANE_LOADING] = "loading",
    [LANE_RUNNING] = "running",   [LANE_QUIESCING] = "quiescing",
    [LANE_DRAINING] = "draining", [LANE_RELEASING] = "releasing",
    [LANE_STOPPED] = "stopped",
};

const char *lane_phase_word(uint64_t phase)
{
    return phase < sizeof(phase_words) / sizeof(phase_words[0]) ? phase_words[phase]
                                                                : "unknown";
}

void position_set(struct position *p, struct snapshot *snap, struct snapshot *win,
                  int64_t seq)
{
    struct position old = *p;

    p->snap = snapshot_ref(snap);
    p->win = snapshot_ref(win);
    p->seq = seq;
    snapshot_unref(old.snap);
    snapshot_unref(old.win);
}

void lane_tick(struct lane *lane)
{
    lane->now_ms = lane->ports.now_ms(lane->ports.clock_arg);
}

static void ask_claim(struct lane *lane)
{
    lane->phase = LANE_CLAIMING;
    lane->asked_ms = lane->now_ms;
    lane->ports.store->ops->claim(lane->ports.store);
}

static void on_connected(void *arg)
{
    struct lane *lane = arg;

    lane->connected = true;
    if (lane->phase == LANE_OFFLINE && !lane->stopping) {
        lane->phase = LANE_STANDBY;
        lane->claim_at_ms = 0;
    }
}

/* Requests are void: what was under way has not happened, or will be found out
 * by reading the cursor back. */
static void on_lost(void *arg, const struct rider_error *why)
{
    struct lane *lane = arg;

    (void)why; /* the store logs it */
    lane->connected = false;
    lane->reading = lane->settling = lane->writing = lane->counting = false;
    if (lane->subs != NULL) {
        lane_subs_void(lane);
    }
    atomic_fetch_add_explicit(&lane->ports.stats->db_lost, 1, memory_order_relaxed);
    lane_quiesce(lane);
}

void lane_quiesce(struct lane *lane)
{
    if (lane->phase != LANE_STOPPED) {
        lane->phase = LANE_QUIESCING;
    }
    lane->send_until_ms = 0;
}

/* Nothing of the lane is in memory any more. */
static void forget(struct lane *lane)
{
    lane_drop_batches(lane);
    held_keys_clear(lane->held);
    position_set(&lane->cursor, NULL, NULL, 0);
    position_set(&lane->read, NULL, NULL, 0);
    lane->unwritten = 0;
    lane->promote_wanted = false;
    if (lane->subs != NULL) {
        lane_subs_forget(lane);
    }
}

static void log_standby(const struct lane *lane, const struct lane_claim *claim)
{
    if (strcmp(claim->state, "ACTIVE") != 0) {
        log_info(lane->config.name, "lane.paused", "lane is %s, waiting", claim->state);
    } else {
        log_info(lane->config.name, "lane.standby",
                 "lane is held by %s for %lld ms, waiting",
                 claim->owner == NULL ? "nobody" : claim->owner,
                 (long long)claim->lease_left_ms);
    }
}

static void start_from(struct lane *lane, const struct lane_claim *claim)
{
    struct snapshot *snap = snapshot_create(claim->snap);
    struct snapshot *win = claim->win == NULL ? NULL : snapshot_create(claim->win);

    position_set(&lane->cursor, snap, win, claim->win_seq);
    position_set(&lane->read, snap, win, claim->win_seq);
    snapshot_unref(snap);
    snapshot_unref(win);
    lane->token = claim->token;
    lane->sent_seq = claim->win_seq;
    lane->send_until_ms =
        lane->asked_ms + lane->config.lease_ms - lane->config.lease_ms / 5;
    lane->renew_at_ms = lane_renew_at(lane);
    lane->settle_at_ms = 0;
    lane->due_at_ms = 0;
    lane->recount_at_ms = lane->now_ms + LANE_RECOUNT_MS;
    lane->poll_at_ms = 0;
    lane->poll_pause_ms = lane->config.poll_min_ms;
    atomic_store_explicit(&lane->ports.stats->token, (uint64_t)claim->token,
                          memory_order_relaxed);
}

static void on_claimed(void *arg, const struct lane_claim *claim)
{
    struct lane *lane = arg;

    if (lane->phase != LANE_CLAIMING) {
        return;
    }
    lane_tick(lane);
    if (claim->needs_rebase) {
        log_warn(lane->config.name, "lane.rebase",
                 "the outbox was restored into another cluster, or the cluster lost "
                 "transactions: rebasing all cursors, events may be delivered again");
        lane->ports.store->ops->rebase(lane->ports.store);
        return;
    }
    if (!claim->ours) {
        if (lane->claim_at_ms == 0) {
            log_standby(lane, claim);
        }
    } else {
        log_info(lane->config.name, "lane.claimed", "lane claimed with token %lld",
                 (long long)claim->token);
        start_from(lane, claim);
        lane->claim_at_ms = 0;
        held_keys_clear(lane->held);
        lane->phase = LANE_LOADING;
        if (lane->subs != NULL) {
            lane_subs_load(lane);
        } else {
            lane->ports.store->ops->load_held(lane->ports.store);
        }
        return;
    }
    lane->phase = LANE_STANDBY;
    lane->claim_at_ms = lane->now_ms + STANDBY_MS + prng_below(&lane->prng, STANDBY_MS);
}

static void on_released(void *arg)
{
    struct lane *lane = arg;

    if (lane->phase != LANE_RELEASING) {
        return;
    }
    forget(lane);
    lane->phase = lane->stopping ? LANE_STOPPED : LANE_STANDBY;
    lane->claim_at_ms = lane->now_ms + STANDBY_MS;
}

static void on_rebased(void *arg)
{
    struct lane *lane = arg;

    if (lane->phase == LANE_CLAIMING) {
        ask_claim(lane);
    }
}

static const struct lane_store_events store_events = {
    .connected = on_connected,
    .lost = on_lost,
    .claimed = on_claimed,
    .held = lane_on_held,
    .row = lane_on_row,
    .read_end = lane_on_read_end,
    .settled = lane_on_settled,
    .rows_written = lane_on_rows_written,
    .released = on_released,
    .rebased = on_rebased,
    .rows_made = lane_subs_on_made,
    .expanded = lane_subs_on_expanded,
    .sub = lane_subs_on_sub,
    .ended = lane_subs_on_ended,
    .tidied = lane_subs_on_tidied,
};

int lane_create(const struct lane_config *config, const struct lane_ports *ports,
                struct lane **ret, struct rider_error *err)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (lane == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    lane->config = *config;
    lane->ports = *ports;
    lane->prng = prng_make(config->seed);
    lane->phase = LANE_OFFLINE;
    lane->writable = lane->wanted = true;
    lane->bytes_per_row = 1024;
    lane->breaker = breaker_make(config->max_in_flight, config->retry_initial_ms,
                                 config->retry_max_ms);
    lane->gate = key_gate_create();
    lane->held = held_keys_create();
    lane->tickets = tickets_create(config->max_in_flight);
    lane->subs = config->subscriptions ? lane_subs_create() : NULL;
    if (lane->gate == NULL || lane->held == NULL || lane->tickets == NULL ||
        (config->subscriptions && lane->subs == NULL)) {
        lane_destroy(lane);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    ports->store->events = &store_events;
    ports->store->events_arg = lane;
    *ret = lane;
    return 0;
}

void lane_destroy(struct lane *lane)
{
    if (lane == NULL) {
        return;
    }
    lane_drop_batches(lane);
    batch_destroy(lane->spare);
    position_set(&lane->cursor, NULL, NULL, 0);
    position_set(&lane->read, NULL, NULL, 0);
    key_gate_destroy(lane->gate);
    held_keys_destroy(lane->held);
    tickets_destroy(lane->tickets);
    lane_subs_destroy(lane->subs);
    ready_queue_done(&lane->ready);
    free(lane->row_scratch);
    free(lane);
}

/* Nothing is open any more: what is in memory may go, and the lane starts again
 * from the database. */
static void start_over(struct lane *lane)
{
    forget(lane);
    lane->claim_at_ms = 0;
    if (lane->stopping) {
        lane->phase = LANE_STOPPED;
    } else if (lane->connected) {
        lane->phase = LANE_STANDBY;
    } else {
        lane->phase = LANE_OFFLINE;
    }
}

static void release_step(struct lane *lane)
{
    if ((lane->releasing || !lane->stopping) && !lane->settling && !lane->writing &&
        !lane->counting && lane_is_quiet(lane)) {
        lane->phase = LANE_RELEASING;
        lane->ports.store->ops->release(lane->ports.store);
    }
}

static void publish_stats(struct lane *lane)
{
    struct lane_stats *stats = lane->ports.stats;
    const memory_order relaxed = memory_order_relaxed;

    atomic_store_explicit(&stats->phase, lane->phase, relaxed);
    atomic_store_explicit(&stats->in_flight, tickets_count(lane->tickets), relaxed);
    atomic_store_explicit(&stats->ready, ready_queue_size(&lane->ready), relaxed);
    atomic_store_explicit(&stats->bytes, lane->bytes, relaxed);
    atomic_store_explicit(&stats->held_keys, held_keys_count(lane->held), relaxed);
    atomic_store_explicit(&stats->breaker, lane->breaker.state, relaxed);
    atomic_store_explicit(&stats->breaker_cause, lane->breaker.cause, relaxed);
    atomic_store_explicit(&stats->last_step_ms, lane->now_ms, relaxed);
    if (lane->phase == LANE_RUNNING && ready_queue_size(&lane->ready) == 0 &&
        tickets_count(lane->tickets) == 0) {
        atomic_store_explicit(&stats->last_progress_ms, lane->now_ms, relaxed);
    }
}

/* RUNNING. Read first: the server works on the next page while this one goes out. */
static void run_step(struct lane *lane)
{
    if (lane->subs != NULL) {
        lane_subs_step(lane);
        lane_send_step(lane);
        lane_subs_end_step(lane);
        return;
    }
    lane_read_step(lane);
    lane_send_step(lane);
    lane_settle_step(lane);
}

static void drain_step(struct lane *lane)
{
    if (lane->subs != NULL) {
        lane_subs_keep(lane);
        lane_subs_end_step(lane);
    } else {
        lane_send_step(lane);
        lane_settle_step(lane);
    }
    release_step(lane);
}

void lane_step(struct lane *lane)
{
    lane_tick(lane);
    lane_drain_inbox(lane);
    switch (lane->phase) {
    case LANE_STANDBY:
        if (lane->wanted && lane->connected && lane->now_ms >= lane->claim_at_ms) {
            ask_claim(lane);
        }
        break;
    case LANE_RUNNING:
        run_step(lane);
        break;
    case LANE_DRAINING:
        drain_step(lane);
        break;
    case LANE_QUIESCING:
        if (tickets_count(lane->tickets) == 0) {
            start_over(lane);
        }
        break;
    case LANE_OFFLINE:
    case LANE_CLAIMING:
    case LANE_LOADING:
    case LANE_RELEASING:
    case LANE_STOPPED:
        break;
    }
    publish_stats(lane);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t lane_deadline(const struct lane *lane)
{
    uint64_t at = LANE_NEVER;

    if (lane->phase == LANE_STANDBY) {
        return lane->wanted ? lane->claim_at_ms : LANE_NEVER;
    }
    if ((lane->phase != LANE_RUNNING && lane->phase != LANE_DRAINING) ||
        lane->cursor.snap == NULL) {
        return at; /* without a cursor the claim has not been answered */
    }
    if (lane->subs != NULL) {
        return lane_subs_deadline(lane);
    }
    if (!lane->settling && !lane->counting) {
        at = earlier(at, lane->renew_at_ms);
        if (lane_has_done_prefix(lane)) {
            at = earlier(at, lane->settle_at_ms);
        }
    }
    if (lane->phase == LANE_RUNNING && !lane->reading && !lane->read_blocked) {
        at = earlier(at, lane->poll_at_ms);
        at = earlier(at, lane->due_at_ms);
    }
    if (lane->breaker.state == BREAKER_OPEN && ready_queue_size(&lane->ready) > 0) {
        at = earlier(at, lane->breaker.retry_at_ms);
    }
    return at;
}

void lane_set_route(struct lane *lane, lane_route_fn *route, void *arg)
{
    lane->config.route = route;
    lane->config.route_arg = arg;
    if (lane->subs != NULL) {
        lane->subs->tidy_at_ms = 0; /* takes the routes down */
    }
}

uint64_t lane_renew_at(const struct lane *lane)
{
    uint64_t third = lane->config.lease_ms / 3;

    return lane->asked_ms + (third < LANE_RENEW_MAX_MS ? third : LANE_RENEW_MAX_MS);
}

void lane_set_health(struct lane *lane, uint32_t cause, const char *detail)
{
    lane->health_cause = cause;
    (void)snprintf(lane->health_detail, sizeof(lane->health_detail), "%s", detail);
    utf8_scrub(lane->health_detail);
}

void lane_yield(struct lane *lane)
{
    if (lane->phase == LANE_RUNNING) {
        lane->phase = LANE_DRAINING;
    }
}

void lane_set_wanted(struct lane *lane, bool wanted)
{
    /* Not at the change alone: that may find the lane still claiming. */
    if (!wanted && lane->phase == LANE_RUNNING) {
        log_info(lane->config.name, "lane.yield", "lane goes to another process");
        lane_yield(lane);
    }
    lane->wanted = wanted;
}

void lane_drain(struct lane *lane)
{
    lane->stopping = true;
    switch (lane->phase) {
    case LANE_RUNNING:
        lane->phase = LANE_DRAINING;
        break;
    case LANE_OFFLINE:
    case LANE_STANDBY:
        lane->phase = LANE_STOPPED;
        break;
    case LANE_CLAIMING:
    case LANE_LOADING:
        /* A lease may be on its way: give it back by the ordinary road. */
        lane->phase = LANE_DRAINING;
        break;
    case LANE_QUIESCING:
    case LANE_DRAINING:
    case LANE_RELEASING:
    case LANE_STOPPED:
        break;
    }
}

bool lane_is_quiet(struct lane *lane)
{
    return tickets_count(lane->tickets) == 0 &&
           !(lane->phase == LANE_DRAINING && !lane->releasing && lane_has_gap(lane));
}

void lane_release(struct lane *lane)
{
    lane->releasing = true;
}

bool lane_is_released(const struct lane *lane)
{
    return lane->phase == LANE_STOPPED;
}
