/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_internal.h - the lane's state, shared by the lane_*.c files only.
 *
 *   lane.c         lifecycle, phases, lease, what is due when
 *   lane_read.c    pages in: read position, batches, budget
 *   lane_send.c    ready queue to the adapter, completions back
 *   lane_settle.c  cursor, parked rows, held keys
 *   lane_held.c    held keys as the database counts them
 *   lane_subs.c    with subscriptions, in the place of reading: expand, list, take
 *   lane_subs_list.c which subscriptions have something to do
 *   lane_subs_end.c  with subscriptions, in the place of settling
 */
#ifndef DISPATCH_LANE_INTERNAL_H
#define DISPATCH_LANE_INTERNAL_H

#include "base/backoff.h"
#include "dispatch/batch.h"
#include "dispatch/breaker.h"
#include "dispatch/held_keys.h"
#include "dispatch/key_gate.h"
#include "dispatch/lane.h"
#include "dispatch/ready_queue.h"
#include "dispatch/tickets.h"

#define LANE_DUE_LIMIT    256  /* retried rows in memory at a time */
#define LANE_SETTLE_MS    10   /* pause between settles of a busy lane */
#define LANE_DUE_IDLE_MS  1000 /* how soon an operator's replay is noticed */
#define LANE_DUE_HELD_MS  100  /* the same while keys are held */
#define LANE_DUE_SLACK_MS 2    /* the database's clock ticks on its own */
#define LANE_RENEW_MAX_MS 4000 /* so that a cause is in the database in time */
#define LANE_RECOUNT_MS   10000
#define LANE_NEVER        UINT64_MAX

struct lane_subs;

/** A position in the log: settled, or read, up to here. */
struct position {
    struct snapshot *snap, *win;
    int64_t seq;
};

struct lane {
    struct lane_config config;
    struct lane_ports ports;
    struct prng prng;
    enum lane_phase phase;
    bool connected, stopping, releasing;
    bool wanted;     /* this process should carry the lane */
    uint64_t now_ms; /* of this step */

    /* lease */
    int64_t token;
    uint64_t asked_ms;      /* when the claim or settle under way was sent */
    uint64_t send_until_ms; /* nothing is sent after this */
    uint64_t claim_at_ms;

    /* reading */
    struct position read;
    bool reading;
    enum lane_read_kind reading_kind;
    struct batch *incoming;
    uint64_t poll_at_ms, poll_pause_ms;
    uint64_t due_at_ms;
    size_t bytes_per_row; /* running estimate */

    /* in memory */
    struct batch *first, *last; /* WINDOW, oldest first */
    struct batch *rows;         /* ROWS, any order */
    struct batch *spare;
    size_t rows_open; /* deliveries in ROWS batches not yet written */
    struct key_gate *gate;
    struct ready_queue ready;
    uint64_t order;      /* of the next admission */
    uint64_t sent_order; /* the highest that was ever sent */
    size_t bytes;        /* of all linked batches */
    bool read_blocked;   /* no room: completions and settles make some */
    struct tickets *tickets;
    struct breaker breaker;
    char breaker_error[PARK_ERROR_MAX]; /* what opened it */
    uint32_t health_cause;              /* as the adapter says; NONE: it is fine */
    char health_detail[PARK_ERROR_MAX];
    uint64_t deliveries; /* since the start */
    bool writable;

    /* settling */
    struct position cursor; /* as last sent to the database */
    int64_t sent_seq;
    bool settling, writing, counting;
    size_t unsettled; /* sent at least once and not settled */
    uint64_t settle_at_ms, renew_at_ms, recount_at_ms;
    struct held_keys *held;
    size_t unwritten; /* rows the database does not have yet */
    bool promote_wanted;
    struct delivery_queue ended; /* ROWS deliveries whose row is to be written */
    struct delivery_queue being_written;
    struct lane_row *row_scratch;
    size_t row_scratch_cap;

    struct lane_subs *subs; /* NULL: a destination without subscriptions */
};

void position_set(struct position *p, struct snapshot *snap, struct snapshot *win,
                  int64_t seq);

/** An answer to a request that was made before the lane started over concerns nothing
 *  that is in memory now. */
static inline bool lane_is_at_work(const struct lane *lane)
{
    return lane->phase == LANE_RUNNING || lane->phase == LANE_DRAINING;
}

/* lane.c */
void lane_quiesce(struct lane *lane);
/** Reads the clock: answers arrive between steps. */
void lane_tick(struct lane *lane);

/** Ends what is open, settles it and gives the lease back, then stands by. */
void lane_yield(struct lane *lane);

/** When the lease is to be renewed after a request sent now. */
uint64_t lane_renew_at(const struct lane *lane);

/* lane_read.c */
void lane_read_step(struct lane *lane);
/** When to look for events again, after a page with `events` of them. */
void lane_schedule_poll(struct lane *lane, size_t events, bool more);
bool lane_on_row(void *arg, enum lane_read_kind kind, const struct event_row *row);
void lane_on_read_end(void *arg, const struct lane_read_end *end);
void lane_drop_batches(struct lane *lane);
struct batch *lane_take_batch(struct lane *lane, enum batch_kind kind, size_t cap);
void lane_give_batch(struct lane *lane, struct batch *b);

/* lane_send.c */
void lane_send_step(struct lane *lane);
void lane_drain_inbox(struct lane *lane);
/** Something older than what was sent waits to be sent, and could be. */
bool lane_has_gap(struct lane *lane);
void lane_admit(struct lane *lane, struct delivery *d);
void lane_release_key(struct lane *lane, uint64_t key);

/* lane_settle.c */
void lane_settle_step(struct lane *lane);
/** A settle would move the cursor. */
bool lane_has_done_prefix(const struct lane *lane);
void lane_end_delivered(struct lane *lane, struct delivery *d);
/** Takes ownership of `park`. */
void lane_end_parked(struct lane *lane, struct delivery *d, struct park *park);
/** Another process has the lane: sends nothing more. */
void lane_fenced_off(struct lane *lane);
/** Frees the batches of rows that are all written. */
void lane_free_rows_batches(struct lane *lane);
/** The delivery has ended; its batch counts it. */
void lane_mark_done(struct delivery *d);

/* lane_held.c */
void lane_recount_step(struct lane *lane);
void lane_on_held(void *arg, const struct lane_key *key, uint32_t rows,
                  uint32_t active);
void lane_on_settled(void *arg, enum lane_grant grant);
void lane_on_rows_written(void *arg, bool fenced);
struct held_key *lane_held_key(struct lane *lane, const struct delivery *d);

#endif
