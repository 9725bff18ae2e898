/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_read.c - pages of the log and due rows, into batches.
 *
 * One read is under way at a time. Its rows are copied into the incoming
 * batch, and when it has ended the read position moves and the deliveries are
 * admitted. A page may be cut at any row (the budget is used up): keeping a
 * prefix of a page is the same as having asked for fewer rows.
 *
 * Invariant: the read position always equals the end of the last WINDOW batch,
 * or the cursor when there is none.
 */
#include "dispatch/lane_internal.h"
#include "dispatch/lane_subs.h"

#include <string.h>

struct batch *lane_take_batch(struct lane *lane, enum batch_kind kind, size_t cap)
{
    struct batch *b = lane->spare;

    if (b != NULL && b->cap >= cap) {
        lane->spare = NULL;
    } else {
        b = batch_create(cap);
    }
    if (b != NULL) {
        batch_reset(b, kind);
    }
    return b;
}

void lane_give_batch(struct lane *lane, struct batch *b)
{
    lane->bytes -= b->charged;
    if (lane->spare == NULL && b->cap >= lane->config.batch) {
        batch_reset(b, b->kind);
        lane->spare = b;
    } else {
        batch_destroy(b);
    }
}

static void destroy_list(struct batch *b)
{
    while (b != NULL) {
        struct batch *next = b->next;
        batch_destroy(b);
        b = next;
    }
}

void lane_drop_batches(struct lane *lane)
{
    destroy_list(lane->first);
    destroy_list(lane->rows);
    destroy_list(lane->incoming);
    lane->first = lane->last = lane->rows = lane->incoming = NULL;
    lane->ended = lane->being_written = (struct delivery_queue){NULL, NULL, 0};
    ready_queue_clear(&lane->ready);
    lane->rows_open = lane->unsettled = lane->bytes = 0;
    if (lane->gate != NULL) {
        key_gate_clear(lane->gate);
    }
}

/* Rows that fit into what is left of the budget, by the size of recent ones. */
static size_t rows_that_fit(const struct lane *lane)
{
    size_t left =
        lane->bytes < lane->config.max_bytes ? lane->config.max_bytes - lane->bytes : 0;
    size_t rows = left / lane->bytes_per_row;

    if (lane->first == NULL && rows == 0) {
        return 1; /* a single event larger than the budget still has to go out */
    }
    return rows < lane->config.batch ? rows : lane->config.batch;
}

static void begin(struct lane *lane, const struct lane_read *read, enum batch_kind kind)
{
    size_t cap = read->limit > lane->config.batch ? read->limit : lane->config.batch;

    lane->incoming = lane_take_batch(lane, kind, cap);
    if (lane->incoming == NULL) {
        lane->poll_at_ms =
            lane->now_ms + lane->config.poll_max_ms; /* out of memory: later */
        return;
    }
    lane->reading = true;
    lane->reading_kind = read->kind;
    lane->ports.store->ops->read(lane->ports.store, read);
}

static bool read_due(struct lane *lane)
{
    if (lane->rows_open > LANE_DUE_LIMIT / 2 || lane->counting) {
        lane->read_blocked = lane->read_blocked || lane->now_ms >= lane->due_at_ms;
        return false;
    }
    if (lane->now_ms < lane->due_at_ms) {
        return false;
    }
    lane->due_at_ms = LANE_NEVER;
    begin(lane, &(struct lane_read){.kind = READ_DUE, .limit = LANE_DUE_LIMIT},
          BATCH_ROWS);
    return true;
}

static void read_window(struct lane *lane)
{
    size_t limit = rows_that_fit(lane);

    if (limit == 0 || ready_queue_size(&lane->ready) > 2 * lane->config.batch) {
        lane->read_blocked = true; /* settled batches will make room */
        return;
    }
    struct lane_read read = {
        .kind = lane->read.win == NULL ? READ_WINDOW : READ_PAGE,
        .snap = snapshot_text(lane->read.snap),
        .win = snapshot_text(lane->read.win),
        .after_seq = lane->read.seq,
        .limit = limit,
    };
    begin(lane, &read, BATCH_WINDOW);
}

void lane_read_step(struct lane *lane)
{
    if (lane->reading) {
        return;
    }
    lane->read_blocked = false;
    if (!read_due(lane) && lane->now_ms >= lane->poll_at_ms) {
        read_window(lane);
    }
}

static bool append(struct lane *lane, const struct event_row *row)
{
    struct batch *b = lane->incoming;
    struct delivery *d = batch_append(b, row, lane->config.envelope);

    if (d == NULL) {
        return false;
    }
    if (lane->config.ordered || b->kind == BATCH_ROWS) {
        d->key = batch_key_hash(d->event.aggregate_type, d->event.aggregate_id,
                                d->subscription);
    }
    return true;
}

/* Operators replay dead rows, which the key's counts leave out: a row of a key
 * without any, or one from before the row that ended last. */
static void count_replayed(struct held_key *key, int64_t seq)
{
    if (key->rows == 0) {
        key->rows = key->active = 1;
        key->ended_seq = seq - 1;
    } else if (seq <= key->ended_seq && seq != key->taken_seq) {
        key->rows++;
        key->active++;
    }
    key->taken_seq = seq;
}

/* A due row whose key is being retried already is in memory: skip it. */
static bool accept_due(struct lane *lane, const struct event_row *row)
{
    uint64_t hash =
        batch_key_hash(row->aggregate_type, row->aggregate_id, row->subscription);
    struct held_key *key = held_keys_hold(lane->held, hash, row->subscription,
                                          row->aggregate_type, row->aggregate_id);

    if (key == NULL) {
        return false;
    }
    if (key->retrying) {
        return true;
    }
    count_replayed(key, row->seq);
    if (!append(lane, row)) {
        return false;
    }
    lane->incoming->items[lane->incoming->n - 1].unrouted =
        row->attempts == 0 && row->subscription >= 0 &&
        !lane->config.route(lane->config.route_arg, row->type, row->aggregate_type,
                            row->aggregate_id);
    key->retrying = true;
    return true;
}

bool lane_on_row(void *arg, enum lane_read_kind kind, const struct event_row *row)
{
    struct lane *lane = arg;

    if (kind == READ_SUBS) {
        return lane_subs_on_row(lane, row);
    }

    if (!lane->reading || lane->incoming == NULL ||
        lane->incoming->n == lane->incoming->cap) {
        return false;
    }
    if (kind == READ_DUE) {
        return accept_due(lane, row);
    }
    if (!lane->config.route(lane->config.route_arg, row->type, row->aggregate_type,
                            row->aggregate_id)) {
        lane->incoming->last_seq = row->seq;
        return true;
    }
    bool first = lane->incoming->n == 0;
    if (!first &&
        batch_bytes(lane->incoming) + row->payload.len > lane->config.max_bytes) {
        return false;
    }
    if (!append(lane, row)) {
        return false;
    }
    lane->incoming->last_seq = row->seq;
    return true;
}

static void learn_row_size(struct lane *lane, const struct batch *b)
{
    if (b->n > 0) {
        size_t now = batch_bytes(b) / b->n + 1;
        /* Rises at once, sinks slowly: a large page must not come twice. */
        lane->bytes_per_row =
            now > lane->bytes_per_row ? now : (lane->bytes_per_row * 7 + now) / 8;
    }
}

/* Moves the read position to the end of this page; false when there is nothing
 * to remember. */
static bool advance(struct lane *lane, struct batch *b, const struct lane_read_end *end)
{
    struct snapshot *win = snapshot_ref(lane->read.win);

    if (end->kind == READ_WINDOW) {
        if (end->rows == 0) {
            return false;
        }
        win = snapshot_create(end->win);
        if (win == NULL) {
            return false;
        }
    }
    b->snap = snapshot_ref(lane->read.snap);
    b->win = win;
    b->complete = !end->more;
    if (end->rows == 0) {
        b->last_seq = lane->read.seq;
    }
    if (b->complete) {
        position_set(&lane->read, b->win, NULL, 0);
    } else {
        position_set(&lane->read, b->snap, b->win, b->last_seq);
    }
    return true;
}

static void link_window(struct lane *lane, struct batch *b)
{
    if (lane->last == NULL) {
        lane->first = b;
    } else {
        lane->last->next = b;
    }
    lane->last = b;
}

void lane_schedule_poll(struct lane *lane, size_t events, bool more)
{
    if (more) {
        lane->poll_at_ms = 0;
        lane->poll_pause_ms = lane->config.poll_min_ms;
        return;
    }
    if (events > 0) {
        lane->poll_pause_ms = lane->config.poll_min_ms;
    } else if (lane->poll_pause_ms < lane->config.poll_max_ms) {
        /* Slowly at first: a busy writer pauses for a few milliseconds often. */
        lane->poll_pause_ms += 1 + lane->poll_pause_ms / 16;
        if (lane->poll_pause_ms > lane->config.poll_max_ms) {
            lane->poll_pause_ms = lane->config.poll_max_ms;
        }
    }
    lane->poll_at_ms = lane->now_ms + lane->poll_pause_ms;
}

static void charge(struct lane *lane, struct batch *b)
{
    b->charged = batch_bytes(b);
    lane->bytes += b->charged;
}

static void admit_all(struct lane *lane, struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        lane_admit(lane, &b->items[i]);
    }
}

static void window_end(struct lane *lane, struct batch *b,
                       const struct lane_read_end *end)
{
    lane_schedule_poll(lane, end->rows, end->more);
    learn_row_size(lane, b);
    if (!advance(lane, b, end)) {
        lane_give_batch(lane, b);
        return;
    }
    batch_shrink(b);
    charge(lane, b);
    link_window(lane, b);
    atomic_fetch_add_explicit(&lane->ports.stats->events_read, end->rows,
                              memory_order_relaxed);
    /* Ask for the next page before working on this one. */
    lane_read_step(lane);
    admit_all(lane, b);
}

static void due_end(struct lane *lane, struct batch *b, const struct lane_read_end *end)
{
    uint64_t pause =
        held_keys_count(lane->held) > 0 ? LANE_DUE_HELD_MS : LANE_DUE_IDLE_MS;
    uint64_t again = lane->now_ms + (end->more ? 0 : pause);

    if (again < lane->due_at_ms) {
        lane->due_at_ms = again;
    }
    if (b->n == 0) {
        lane_give_batch(lane, b);
        return;
    }
    batch_shrink(b);
    charge(lane, b);
    b->next = lane->rows;
    lane->rows = b;
    lane->rows_open += b->n;
    b->unwritten = b->n;
    admit_all(lane, b);
}

void lane_on_read_end(void *arg, const struct lane_read_end *end)
{
    struct lane *lane = arg;
    struct batch *b = lane->incoming;

    lane->reading = false;
    lane_tick(lane);
    if (end->kind == READ_SUBS && lane->phase == LANE_RUNNING) {
        lane_subs_on_taken(lane, end);
        return;
    }
    lane->incoming = NULL;
    if (b == NULL) {
        return; /* asked for before the lane started over */
    }
    if (lane->phase != LANE_RUNNING) {
        destroy_list(b);
        return;
    }
    if (end->kind == READ_DUE) {
        due_end(lane, b, end);
    } else {
        window_end(lane, b, end);
    }
}
