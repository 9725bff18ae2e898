/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_store.h - what a lane asks of the database, and what it hears back.
 *
 * Requests never block and never fail on the spot: they are answered in the
 * order in which they were made, by the functions of struct lane_store_events,
 * or all of them are void after lost(). core/outbox implements this over
 * libpq; tests implement it in memory.
 *
 * A lane with subscriptions asks other things than one without: it expands the log
 * into rows, takes rows that may be sent, and ends them.
 * Thread: all calls in both directions are the lane's thread.
 */
#ifndef DISPATCH_LANE_STORE_H
#define DISPATCH_LANE_STORE_H

#include "base/error.h"
#include "dispatch/delivery.h"
#include "dispatch/event_row.h"
#include "dispatch/held_keys.h"
#include "dispatch/pace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The answer to a claim. Strings are borrowed for the call. */
struct lane_claim {
    bool ours;
    const char *owner;     /* whoever has it, when it is not ours */
    const char *state;     /* ACTIVE, PAUSED or BROKEN */
    int64_t lease_left_ms; /* of that owner */
    int64_t token;
    const char *snap, *win; /* win: NULL when no window is open */
    int64_t win_seq;
    bool needs_rebase; /* the cursor belongs to another cluster */
};

enum lane_read_kind {
    READ_WINDOW, /* open a window behind `snap` */
    READ_PAGE,   /* next page of the open window */
    READ_DUE,    /* rows of outbox.delivery that are due, heads of their keys only */
    READ_SUBS    /* rows that take() asked for, those of a subscription in a row */
};

struct lane_read {
    enum lane_read_kind kind;
    const char *snap, *win; /* WINDOW: snap; PAGE: both */
    int64_t after_seq;      /* PAGE */
    size_t limit;           /* an upper bound; the store may read fewer */
};

struct lane_read_end {
    enum lane_read_kind kind;
    size_t rows;     /* passed to row() and accepted */
    bool more;       /* the limit was reached, or row() refused one */
    const char *win; /* WINDOW: the snapshot of the read; NULL without rows */
};

/** Where the cursor moves to. */
struct lane_cursor {
    const char *snap, *win; /* win: NULL when no window stays open */
    int64_t win_seq, sent_seq;
    const char *cause, *error; /* why the whole lane stands still; NULL: it does not */
};

/** One row of outbox.delivery to write. */
struct lane_row {
    int64_t seq, subscription;
    const struct park *park;
};

/** One key whose first HELD row may go. */
struct lane_key {
    int64_t subscription;
    struct rider_bytes aggregate_type, aggregate_id;
};

/** What a settle says about the lease. */
enum lane_grant {
    LANE_KEPT,
    LANE_FENCED, /* another process has the lane; nothing was written */
    LANE_PAUSED  /* written; an operator wants the lane to stand still */
};

/** What a subscription's owner wants, and what is known of its endpoint. */
struct lane_sub {
    int64_t number;
    bool sendable;       /* active, and not waiting for its past */
    bool pending;        /* PENDING rows wait */
    int64_t retry_in_ms; /* until the earliest RETRY row is due; negative: none */
    struct pace_limits limits;
    int64_t throttled_ms; /* nothing is to be sent for so long; 0: nothing known */
    bool failing;
};

/** The page that was expanded. */
struct lane_expanded {
    enum lane_grant grant;
    size_t events;
    size_t rows; /* that they became */
    bool more;
};

/** How many rows of one subscription are wanted, and those that are in memory. */
struct lane_want {
    int64_t number;
    size_t room;
    const int64_t *busy; /* their seq */
    size_t n_busy;
};

/** How one delivery to a subscription ended; strings are owned by whoever made it. */
struct lane_end {
    int64_t seq, subscription;
    struct park park; /* RETRY, DEAD or DELIVERED */
    uint32_t setbacks, asked;
    uint64_t retry_after_ms;
    char trigger[TRIGGER_MAX];
    bool tried; /* the members below are set */
    uint32_t outcome;
    int32_t remote_code;
    struct rider_attempt attempt;
    char remote[64], category[32]; /* "": none */
    char *response;                /* NUL-terminated; NULL: none was kept */
};

/** What was heard of one endpoint. */
struct lane_health {
    int64_t number;
    bool ok;
    uint64_t failures;
    uint64_t throttle_ms;
    uint32_t cause;
    const char *error;
};

struct lane_store_events {
    void (*connected)(void *arg);
    /** Every open request is void; the store reconnects by itself. */
    void (*lost)(void *arg, const struct rider_error *why);
    void (*claimed)(void *arg, const struct lane_claim *claim);
    /** One call a key, then one with key NULL. */
    void (*held)(void *arg, const struct lane_key *key, uint32_t rows, uint32_t active);
    /** Returns false to refuse this row and all that follow it. */
    bool (*row)(void *arg, enum lane_read_kind kind, const struct event_row *row);
    void (*read_end)(void *arg, const struct lane_read_end *end);
    void (*settled)(void *arg, enum lane_grant grant);
    void (*rows_written)(void *arg, bool fenced);
    void (*released)(void *arg);
    /** The cursors fit this cluster now: claim again. */
    void (*rebased)(void *arg);

    /* Of a lane with subscriptions. */
    /** The subscription has new PENDING rows, by an expand() or an end(). */
    void (*rows_made)(void *arg, int64_t subscription);
    void (*expanded)(void *arg, const struct lane_expanded *page);
    /** One call for each with open rows, then one with NULL. */
    void (*sub)(void *arg, const struct lane_sub *sub);
    void (*ended)(void *arg, bool fenced);
    void (*tidied)(void *arg, bool fenced);
};

struct lane_store;

/** Implemented by the store; `rows` and `keys` are borrowed for the call. */
struct lane_store_ops {
    void (*claim)(struct lane_store *s);
    /** Whether dead rows hold their key back, the store knows itself. */
    void (*load_held)(struct lane_store *s);
    void (*read)(struct lane_store *s, const struct lane_read *read);
    /** Moves the cursor, renews the lease and inserts `rows`, all or nothing. */
    void (*settle)(struct lane_store *s, const struct lane_cursor *cursor,
                   const struct lane_row *rows, size_t n);
    /** Updates rows of outbox.delivery and lets the first HELD row of each key
     *  go, all or nothing. */
    void (*write_rows)(struct lane_store *s, const struct lane_row *rows, size_t n,
                       const struct lane_key *keys, size_t n_keys);
    void (*release)(struct lane_store *s);
    /** Fits all cursors to the cluster that the outbox is in now. */
    void (*rebase)(struct lane_store *s);

    /* Of a lane with subscriptions. */
    /** Makes rows of at most `limit` events and moves the cursor over them; with
     *  `cursor` also renews the lease and writes down its cause and error. */
    void (*expand)(struct lane_store *s, size_t limit,
                   const struct lane_cursor *cursor);
    /** Asks which subscriptions have open rows; answered by sub(). */
    void (*list_subs)(struct lane_store *s);
    /** Reads rows that may be sent; answered by row() and read_end(). */
    void (*take)(struct lane_store *s, const struct lane_want *wants, size_t n);
    /** Writes ends and health, all or nothing. */
    void (*end)(struct lane_store *s, const struct lane_end *const *ends, size_t n,
                const struct lane_health *health, size_t n_health);
    /** Lets go what an operator, a crash or a rebase has left behind. */
    void (*tidy)(struct lane_store *s);
};

struct lane_store {
    const struct lane_store_ops *ops;
    const struct lane_store_events *events;
    void *events_arg;
};

#endif
