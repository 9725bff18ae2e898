/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_subs.h - the part of a lane that serves subscriptions; for lane_*.c only.
 */
#ifndef DISPATCH_LANE_SUBS_H
#define DISPATCH_LANE_SUBS_H

#include "dispatch/inbox.h"
#include "dispatch/lane_internal.h"
#include "dispatch/sub_table.h"

#define SUBS_WANTS_MAX 256 /* subscriptions asked for in one read */
#define SUBS_ROOM_MAX  64  /* rows of one of them */
#define SUBS_ROWS_MAX  512 /* rows of a read */
#define SUBS_ENDS_MAX  512 /* rows of a write */

struct lane_subs {
    struct sub_table *table;
    struct lane_want wants[SUBS_WANTS_MAX];
    size_t n_wants;
    int64_t *busy; /* of the wants */
    size_t cap_busy;
    size_t turn;    /* where the next read begins in the table */
    bool expanding; /* an expand() is under way */
    bool renewing;  /* and it renews the lease */
    bool listing, tidying;
    size_t page; /* events to expand at once */
    uint64_t list_at_ms, tidy_at_ms;
    uint64_t list_asked_ms, expand_asked_ms;
    uint64_t take_at_ms; /* when something may be taken, as far as is known */
    const struct lane_end *ends[SUBS_ENDS_MAX];
    struct lane_health health[SUBS_ENDS_MAX];
};

/** NULL: out of memory. */
struct lane_subs *lane_subs_create(void);
void lane_subs_destroy(struct lane_subs *subs);

/* lane_subs.c */
/** After a claim: asks for what there is to do. */
void lane_subs_load(struct lane *lane);
/** RUNNING: asks for what is due, and sends. */
void lane_subs_step(struct lane *lane);
/** DRAINING: keeps the lease. */
void lane_subs_keep(struct lane *lane);
/** The connection was lost: nothing is under way any more. */
void lane_subs_void(struct lane *lane);
/** The lane starts over. */
void lane_subs_forget(struct lane *lane);
uint64_t lane_subs_deadline(const struct lane *lane);

bool lane_subs_on_row(struct lane *lane, const struct event_row *row);
void lane_subs_on_taken(struct lane *lane, const struct lane_read_end *end);
void lane_subs_on_expanded(void *arg, const struct lane_expanded *page);
void lane_subs_on_tidied(void *arg, bool fenced);

/* lane_subs_list.c */
void lane_subs_on_made(void *arg, int64_t subscription);
void lane_subs_on_sub(void *arg, const struct lane_sub *row);

/* lane_subs_end.c */
/** A ticket was completed; `f` tells how. */
void lane_subs_completed(struct lane *lane, struct delivery *d,
                         const struct inbox_failure *f);
/** A row that cannot even be offered. */
void lane_subs_refused(struct lane *lane, struct delivery *d);
/** Whether `d` may be sent although it was read a while ago; one that may not goes
 *  back to where it was, and is gone. */
bool lane_subs_may_go(struct lane *lane, struct delivery *d);
void lane_subs_end_step(struct lane *lane);
void lane_subs_on_ended(void *arg, bool fenced);

#endif
