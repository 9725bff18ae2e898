/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_settle.c - the cursor, the parked rows and the held keys.
 *
 * A settle moves the cursor over the done prefix of the WINDOW batches and, in
 * the same statement, writes a row for each delivery in it that failed or is
 * held. Rows that were read back from outbox.delivery are written by
 * write_rows, which also lets the next HELD row of their key go.
 *
 * Order: requests are answered in the order in which they were made, so a row
 * that is counted as written when its answer comes was there for every request
 * made after it. One settle and one write are under way at a time.
 */
#include "dispatch/lane_internal.h"

#include "base/log.h"
#include "dispatch/cause.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_PER_WRITE 256

/* ---- deliveries that end ------------------------------------------------ */

void lane_mark_done(struct delivery *d)
{
    struct batch *b = d->batch;

    d->state = DELIVERY_DONE;
    b->open--;
    while (b->done < b->n && b->items[b->done].state == DELIVERY_DONE) {
        b->done++;
    }
}

struct held_key *lane_held_key(struct lane *lane, const struct delivery *d)
{
    uint64_t hash =
        batch_key_hash(d->event.aggregate_type, d->event.aggregate_id, d->subscription);

    return held_keys_find(lane->held, hash, d->subscription, d->event.aggregate_type,
                          d->event.aggregate_id);
}

static bool hold(struct lane *lane, const struct delivery *d, const struct park *park)
{
    uint64_t hash =
        batch_key_hash(d->event.aggregate_type, d->event.aggregate_id, d->subscription);
    struct held_key *key =
        held_keys_hold(lane->held, hash, d->subscription, d->event.aggregate_type,
                       d->event.aggregate_id);

    if (key == NULL) {
        return false;
    }
    if (key->rows == 0) {
        key->ended_seq = d->seq - 1;
    }
    key->rows++;
    key->unwritten++;
    lane->unwritten++;
    if (park->state == PARK_RETRY) {
        key->active++;
    }
    return true;
}

static void end_row(struct lane *lane, struct delivery *d, struct park *park)
{
    d->park = park;
    lane_mark_done(d);
    delivery_queue_push(&lane->ended, d);
    if (d->in_gate) {
        lane_release_key(lane, d->key);
    }
}

void lane_end_delivered(struct lane *lane, struct delivery *d)
{
    if (d->batch->kind == BATCH_WINDOW) {
        lane_mark_done(d);
        if (d->in_gate) {
            lane_release_key(lane, d->key);
        }
        return;
    }
    struct park *park = calloc(1, sizeof(*park));
    if (park == NULL) {
        lane_quiesce(lane);
        return;
    }
    park->state = PARK_DELIVERED;
    park->attempts = d->event.attempt;
    end_row(lane, d, park);
}

void lane_end_parked(struct lane *lane, struct delivery *d, struct park *park)
{
    if (d->batch->kind == BATCH_ROWS) {
        end_row(lane, d, park);
        return;
    }
    /* A dead event that is skipped keeps its key until its row is written: after
     * a crash before that it is tried again, and must still be the first. */
    bool holds = park->state != PARK_DEAD || lane->config.hold_dead;
    bool in_gate = d->in_gate;

    if (holds && !hold(lane, d, park)) {
        free(park);
        lane_quiesce(lane);
        return;
    }
    d->park = park;
    lane_mark_done(d);
    if (in_gate && holds) {
        lane_release_key(lane, d->key); /* finds the key held: parks what waits */
    }
}

/* ---- settle ------------------------------------------------------------- */

static bool reserve_rows(struct lane *lane, size_t n)
{
    if (n <= lane->row_scratch_cap) {
        return true;
    }
    size_t cap = lane->row_scratch_cap == 0 ? 64 : lane->row_scratch_cap;
    while (cap < n) {
        cap *= 2;
    }
    struct lane_row *rows = realloc(lane->row_scratch, cap * sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    lane->row_scratch = rows;
    lane->row_scratch_cap = cap;
    return true;
}

static bool add_row(struct lane *lane, size_t *n, const struct delivery *d)
{
    if (!reserve_rows(lane, *n + 1)) {
        return false;
    }
    lane->row_scratch[(*n)++] = (struct lane_row){
        .seq = d->seq, .subscription = d->subscription, .park = d->park};
    return true;
}

/* Collects what the cursor passes and moves it there. Returns false when it
 * does not move, or when there is no memory for the rows. */
static bool collect_prefix(struct lane *lane, size_t *ret_rows)
{
    bool moved = false;

    for (struct batch *b = lane->first; b != NULL; b = b->next) {
        for (size_t i = b->settled; i < b->done; i++) {
            if (b->items[i].park != NULL && !add_row(lane, ret_rows, &b->items[i])) {
                lane_quiesce(lane); /* never settle without the rows */
                return false;
            }
        }
        b->submitted = b->done;
        if (b->done < b->n) {
            if (b->done > b->settled) {
                position_set(&lane->cursor, b->snap, b->win, b->items[b->done - 1].seq);
                moved = true;
            }
            break;
        }
        b->passed = true;
        if (b->complete) {
            position_set(&lane->cursor, b->win, NULL, 0);
        } else {
            position_set(&lane->cursor, b->snap, b->win, b->last_seq);
        }
        moved = true;
    }
    return moved;
}

static void submit_settle(struct lane *lane, size_t n_rows)
{
    struct lane_cursor cursor = {
        .snap = snapshot_text(lane->cursor.snap),
        .win = snapshot_text(lane->cursor.win),
        .win_seq = lane->cursor.seq,
        .sent_seq = lane->sent_seq,
    };

#ifdef POSTRIDER_MUTANT_EARLY_DELIVERED /* see deploy/cmake/Mutant.cmake */
    cursor.snap = snapshot_text(lane->read.snap);
    cursor.win = snapshot_text(lane->read.win);
    cursor.win_seq = lane->read.seq;
#endif
    if (lane->breaker.state != BREAKER_CLOSED) {
        cursor.cause = cause_word(lane->breaker.cause);
        cursor.error = lane->breaker_error;
    } else if (lane->health_cause != RIDER_CAUSE_NONE) {
        cursor.cause = cause_word(lane->health_cause);
        cursor.error = lane->health_detail;
    }
    lane->settling = true;
    lane->asked_ms = lane->now_ms;
    lane->renew_at_ms = lane_renew_at(lane);
    lane->settle_at_ms = LANE_NEVER;
    lane->ports.store->ops->settle(lane->ports.store, &cursor, lane->row_scratch,
                                   n_rows);
}

bool lane_has_done_prefix(const struct lane *lane)
{
    const struct batch *b = lane->first;

    return b != NULL && (b->done > b->settled || b->done == b->n);
}

/* A busy lane settles in groups; one that is idle, full or stopping at once. */
static bool settle_is_due(struct lane *lane)
{
    if (lane->now_ms >= lane->renew_at_ms) {
        return true;
    }
    if (!lane_has_done_prefix(lane)) {
        return false;
    }
    if (lane->phase == LANE_DRAINING || lane->now_ms >= lane->settle_at_ms ||
        lane->unsettled * 2 >= lane->config.max_in_flight) {
        return true;
    }
    return false;
}

static void settle_if_due(struct lane *lane)
{
    size_t rows = 0;

    if (lane->settling || lane->counting || !settle_is_due(lane)) {
        return;
    }
    bool moved = collect_prefix(lane, &rows);
    if (lane->phase == LANE_QUIESCING || lane->cursor.snap == NULL) {
        return;
    }
    if (moved || lane->now_ms >= lane->renew_at_ms) {
        submit_settle(lane, moved ? rows : 0);
    }
}

/* A row's next attempt is `delay_ms` away. */
static void due_in(struct lane *lane, uint64_t delay_ms)
{
    uint64_t at = lane->now_ms + delay_ms + LANE_DUE_SLACK_MS;

    if (at < lane->due_at_ms) {
        lane->due_at_ms = at;
    }
}

/* The row is in the database: what follows from it may begin. */
static void row_is_written(struct lane *lane, const struct delivery *d)
{
    bool holds = d->park->state != PARK_DEAD || lane->config.hold_dead;

    if (!holds) {
        if (d->in_gate) {
            lane_release_key(lane, d->key);
        }
        return;
    }
    lane->unwritten--;
    struct held_key *key = lane_held_key(lane, d);
    if (key == NULL) {
        return;
    }
    key->unwritten--;
    if (d->park->state == PARK_RETRY) {
        due_in(lane, d->park->delay_ms);
    }
    if (key->active == 0) {
        lane->promote_wanted = true;
    }
}

static void settle_batch(struct lane *lane, struct batch *b)
{
    for (size_t i = b->settled; i < b->submitted; i++) {
        struct delivery *d = &b->items[i];
        if (d->sent_once) {
            lane->unsettled--;
        }
        if (d->park != NULL) {
            row_is_written(lane, d);
        }
    }
    b->settled = b->submitted;
}

static void free_settled(struct lane *lane)
{
    while (lane->first != NULL && lane->first->passed) {
        struct batch *b = lane->first;
        lane->first = b->next;
        if (lane->first == NULL) {
            lane->last = NULL;
        }
        lane_give_batch(lane, b);
    }
}

void lane_fenced_off(struct lane *lane)
{
    atomic_fetch_add_explicit(&lane->ports.stats->fenced, 1, memory_order_relaxed);
    log_warn(lane->config.name, "lane.fenced",
             "another process has taken the lane, sending nothing more");
    lane_quiesce(lane);
}

void lane_on_settled(void *arg, enum lane_grant grant)
{
    struct lane *lane = arg;

    if (!lane->settling) {
        return;
    }
    lane->settling = false;
    if (!lane_is_at_work(lane)) {
        return;
    }
    lane_tick(lane);
    lane->settle_at_ms = lane->asked_ms + LANE_SETTLE_MS;
    if (grant == LANE_FENCED) {
        lane_fenced_off(lane);
        return;
    }
    lane->send_until_ms =
        lane->asked_ms + lane->config.lease_ms - lane->config.lease_ms / 5;
    for (struct batch *b = lane->first; b != NULL; b = b->next) {
        settle_batch(lane, b);
        if (!b->passed) {
            break;
        }
    }
    free_settled(lane);
    if (grant == LANE_PAUSED && lane->phase == LANE_RUNNING) {
        log_info(lane->config.name, "lane.paused", "lane is paused, giving it back");
        lane_yield(lane);
    }
    atomic_fetch_add_explicit(&lane->ports.stats->settles, 1, memory_order_relaxed);
}

/* ---- rows of outbox.delivery --------------------------------------------- */

struct promotion {
    struct lane *lane;
    struct lane_key keys[ROWS_PER_WRITE];
    size_t n;
};

static void add_key(struct promotion *p, const struct held_key *key)
{
    p->keys[p->n++] = (struct lane_key){
        .subscription = key->subscription,
        .aggregate_type = key->aggregate_type,
        .aggregate_id = key->aggregate_id,
    };
}

/* Held keys whose rows would wait for ever: nothing of theirs is active. */
static void add_if_stranded(void *arg, struct held_key *key)
{
    struct promotion *p = arg;

    if (key->rows > 0 && key->active == 0 && key->unwritten == 0 && !key->retrying &&
        p->n < ROWS_PER_WRITE) {
        key->active = 1;
        add_key(p, key);
    }
}

static bool frees_key(const struct lane *lane, const struct park *park)
{
    return park->state == PARK_DELIVERED ||
           (park->state == PARK_DEAD && !lane->config.hold_dead);
}

static size_t collect_ended(struct lane *lane, struct promotion *p)
{
    size_t rows = 0;

    while (lane->ended.head != NULL && rows < ROWS_PER_WRITE / 2) {
        struct delivery *d = lane->ended.head;
        if (!add_row(lane, &rows, d)) {
            break;
        }
        (void)delivery_queue_pop(&lane->ended);
        delivery_queue_push(&lane->being_written, d);
        struct held_key *key = lane_held_key(lane, d);
        if (key != NULL && lane->config.ordered && frees_key(lane, d->park)) {
            add_key(p, key);
        }
    }
    return rows;
}

static void write_if_due(struct lane *lane)
{
    struct promotion p = {.lane = lane};

    if (lane->writing || lane->counting ||
        (lane->ended.head == NULL && !lane->promote_wanted)) {
        return;
    }
    size_t rows = collect_ended(lane, &p);
    if (lane->promote_wanted) {
        lane->promote_wanted = false;
        held_keys_each(lane->held, add_if_stranded, &p);
        lane->due_at_ms = lane->now_ms;
    }
    if (rows == 0 && p.n == 0) {
        return;
    }
    lane->writing = true;
    lane->ports.store->ops->write_rows(lane->ports.store, lane->row_scratch, rows,
                                       p.keys, p.n);
}

/* What the row's end means for its key. */
static void key_after_row(struct lane *lane, const struct delivery *d)
{
    struct held_key *key = lane_held_key(lane, d);

    if (key == NULL) {
        return;
    }
    key->retrying = false;
    if (d->park->state == PARK_RETRY) {
        due_in(lane, d->park->delay_ms);
        return;
    }
    key->active -= key->active > 0;
    if (!frees_key(lane, d->park)) {
        return;
    }
    key->ended_seq = d->seq > key->ended_seq ? d->seq : key->ended_seq;
    key->taken_seq = 0;
    key->rows -= key->rows > 0;
    if (key->rows == 0) {
        held_keys_remove(lane->held, key);
        return;
    }
    if (key->rows > key->unwritten) {
        /* Its next row is in the database, so the write has let it go. */
        key->active += key->active == 0;
        lane->due_at_ms = lane->now_ms;
    }
}

void lane_free_rows_batches(struct lane *lane)
{
    struct batch **link = &lane->rows;

    while (*link != NULL) {
        struct batch *b = *link;
        if (b->unwritten == 0) {
            *link = b->next;
            lane_give_batch(lane, b);
        } else {
            link = &b->next;
        }
    }
}

void lane_on_rows_written(void *arg, bool fenced)
{
    struct lane *lane = arg;
    struct delivery *d;

    if (!lane->writing) {
        return;
    }
    lane->writing = false;
    if (!lane_is_at_work(lane)) {
        return;
    }
    lane_tick(lane);
    if (fenced) {
        lane_fenced_off(lane);
        return;
    }
    while ((d = delivery_queue_pop(&lane->being_written)) != NULL) {
        key_after_row(lane, d);
        if (d->sent_once) {
            lane->unsettled--;
        }
        lane->rows_open--;
        d->batch->unwritten--;
    }
    lane_free_rows_batches(lane);
}

void lane_settle_step(struct lane *lane)
{
    lane_recount_step(lane); /* first: a busy lane always has something to write */
    write_if_due(lane);
    settle_if_due(lane);
}
