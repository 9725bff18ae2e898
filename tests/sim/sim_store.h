/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_store.h - the outbox in memory, as a lane_store.
 *
 * Transactions are commits with a number; a snapshot is the number of the last
 * commit, written as text. Events get their seq when they are inserted and
 * become visible when they are committed, in any order, as in PostgreSQL.
 * Answers wait in a queue until the test lets them out, so a test decides what
 * has arrived when the lane loses the database or the process dies.
 */
#ifndef TESTS_SIM_STORE_H
#define TESTS_SIM_STORE_H

#include "dispatch/lane_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MAX_EVENTS 4000

struct sim_event {
    int64_t seq;
    int64_t commit;  /* 0: not committed */
    int key, number; /* number: its place in its key's order of commits */
};

struct sim_row {
    bool used;
    int64_t seq;
    char state[12]; /* as in outbox.delivery */
    uint32_t attempts;
    uint32_t cause;
    uint64_t due_ms;
};

struct sim_store;

/** `now_ms` is the test's clock, read whenever the store needs the time. */
struct sim_store *sim_store_create(const uint64_t *now_ms, bool hold_dead);
void sim_store_destroy(struct sim_store *s);

/** The port for one lane; a second call starts another owner (a new process). */
struct lane_store *sim_store_attach(struct sim_store *s);

/** Inserts an uncommitted event and returns its index. */
size_t sim_store_insert(struct sim_store *s, int key);
void sim_store_commit(struct sim_store *s, size_t event);

/** Lets the connection come up, and delivers up to `n` answers; returns how many. */
void sim_store_connect(struct sim_store *s);
size_t sim_store_pump(struct sim_store *s, size_t n);
/** Loses the connection: requests the server has got are done, answers are lost.
 *  With `executed` false, the queued requests were never received. */
void sim_store_lose(struct sim_store *s, bool executed);
/** Another process takes the lane: the next write is fenced. */
void sim_store_steal(struct sim_store *s);

const struct sim_event *sim_store_events(const struct sim_store *s, size_t *n);
/** The row of one event, or NULL. */
struct sim_row *sim_store_row(struct sim_store *s, int64_t seq);
/** The event is behind the cursor. */
bool sim_store_is_settled(const struct sim_store *s, const struct sim_event *e);
size_t sim_store_settles(const struct sim_store *s);

#endif
