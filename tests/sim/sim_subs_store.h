/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_subs_store.h - the outbox of a destination with subscriptions in memory, as a
 * lane_store.
 *
 * It keeps the rules of schemas 006 and 007: what expand() makes, which rows take()
 * finds, what end() and tidy() let go, what goes again and in which order, who is fenced. Commits, snapshots and the queue of answers
 * are as in sim_store.h.
 */
#ifndef TESTS_SIM_SUBS_STORE_H
#define TESTS_SIM_SUBS_STORE_H

#include "dispatch/lane_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SUBS_KEYS   16
#define SIM_SUBS_EVENTS 4096

struct sim_subs_config {
    size_t max_subs, max_events;
    bool hold_dead;
    uint64_t lease_ms;
};

struct sim_subs_event {
    int64_t commit; /* 0: not committed */
    int key, number, type;
    size_t bytes; /* its payload has more than it needs */
};

enum sim_status { SIM_ACTIVE, SIM_PAUSED, SIM_DISABLED };

struct sim_sub {
    int64_t number;
    enum sim_status status;
    uint32_t types; /* a bit for each that it takes */
    bool ordered;
    struct pace_limits limits;
    const uint32_t *schedule_s;
    size_t n_schedule;
    const char *problem;
    /* outbox.subscription_health */
    uint64_t failures, throttled_until_ms;
    bool failing;
    uint32_t cause;
    size_t notes; /* how often it was written */
};

enum sim_state { SIM_NONE, SIM_PENDING, SIM_RETRY, SIM_HELD, SIM_DEAD, SIM_DELIVERED };

struct sim_subs_row {
    enum sim_state state;
    uint32_t attempts, setbacks, asked;
    uint32_t tries; /* rows of outbox.attempt */
    uint32_t cause;
    bool manual;
    bool late; /* made by a recovery: later ones of its key may have gone */
    uint64_t due_ms, updated_ms;
};

/** What was asked for and written since the start. */
struct sim_subs_counts {
    size_t expands, lists, takes, ends, tidies, tries, renewals;
};

struct sim_subs_store;

struct sim_subs_store *sim_subs_create(uint64_t *now_ms,
                                       const struct sim_subs_config *config);
void sim_subs_destroy(struct sim_subs_store *s);

/** The port for one lane; a second call starts another owner (a new process). */
struct lane_store *sim_subs_attach(struct sim_subs_store *s);

/** Adds a subscription that takes all types, in order, 16 at a time; its number. */
int64_t sim_subs_add(struct sim_subs_store *s);
size_t sim_subs_count(const struct sim_subs_store *s);
struct sim_sub *sim_subs_sub(struct sim_subs_store *s, int64_t number);

/** Inserts an uncommitted event and returns its seq; 0: no room. */
int64_t sim_subs_insert(struct sim_subs_store *s, int key, int type);
/** Makes its payload as large as this, about. */
void sim_subs_pad(struct sim_subs_store *s, int64_t seq, size_t bytes);
void sim_subs_commit(struct sim_subs_store *s, int64_t seq);
size_t sim_subs_n_events(const struct sim_subs_store *s);
const struct sim_subs_event *sim_subs_event(const struct sim_subs_store *s,
                                            int64_t seq);
struct sim_subs_row *sim_subs_row(struct sim_subs_store *s, int64_t number,
                                  int64_t seq);
/** The event is behind the cursor. */
bool sim_subs_is_expanded(const struct sim_subs_store *s, int64_t seq);

/** What somebody who asks for a redelivery does. */
void sim_subs_redeliver(struct sim_subs_store *s, int64_t number, int64_t seq);
/** Queues what passed while a subscription was disabled, as an operation does. */
void sim_subs_recover(struct sim_subs_store *s, int64_t number);

void sim_subs_connect(struct sim_subs_store *s);
/** Lets up to `n` answers out; returns how many. */
size_t sim_subs_pump(struct sim_subs_store *s, size_t n);
/** As sim_store_lose(). */
void sim_subs_lose(struct sim_subs_store *s, bool executed);
/** How long a list and an expansion take from now on: the clock moves meanwhile. */
void sim_subs_slow(struct sim_subs_store *s, uint64_t list_ms, uint64_t expand_ms);
/** Another process takes the lane: the next write is fenced. */
void sim_subs_steal(struct sim_subs_store *s);

/** What an operator does to the whole lane. */
void sim_subs_pause(struct sim_subs_store *s, bool paused);

uint64_t sim_subs_lease_until(const struct sim_subs_store *s);
bool sim_subs_is_released(const struct sim_subs_store *s);
struct sim_subs_counts sim_subs_counts(const struct sim_subs_store *s);

#endif
