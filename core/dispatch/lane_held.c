/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_held.c - which keys are held, as the database counts them.
 *
 * Counted when the lane is claimed, and again now and then, because operators
 * replay and discard rows behind the lane's back.
 *
 * Not here: keys that the lane itself holds and frees (lane_settle.c).
 */
#include "dispatch/lane_internal.h"

#define SWEEP_MAX 256

static void forget_fresh(void *arg, struct held_key *key)
{
    (void)arg;
    key->fresh_rows = key->fresh_active = 0;
}

/* An operator may have replayed or discarded rows: count them anew now and
 * then. Nothing is written meanwhile, so the count is exact when it comes. */
void lane_recount_step(struct lane *lane)
{
    bool reading_due = lane->reading && lane->reading_kind == READ_DUE;

    if (lane->phase != LANE_RUNNING || lane->now_ms < lane->recount_at_ms ||
        lane->settling || lane->writing || reading_due) {
        return;
    }
    lane->recount_at_ms = lane->now_ms + LANE_RECOUNT_MS;
    if (held_keys_count(lane->held) == 0) {
        return;
    }
    held_keys_each(lane->held, forget_fresh, NULL);
    lane->counting = true;
    lane->ports.store->ops->load_held(lane->ports.store);
}

/* Keys are removed after a pass: removal must not disturb the walk. */
struct sweep {
    struct lane *lane;
    struct held_key *gone[SWEEP_MAX];
    size_t n_gone;
};

static void take_fresh(void *arg, struct held_key *key)
{
    struct sweep *s = arg;

    key->rows = key->fresh_rows + key->unwritten;
    key->active = key->fresh_active;
    if (key->rows == 0 && !key->retrying) {
        if (s->n_gone < SWEEP_MAX) {
            s->gone[s->n_gone++] = key;
        }
    } else if (key->active == 0) {
        s->lane->promote_wanted = true;
    }
}

static void held_loaded(struct lane *lane)
{
    struct sweep s = {.lane = lane};
    bool again;

    lane->counting = false;
    do {
        held_keys_each(lane->held, take_fresh, &s);
        again = s.n_gone == SWEEP_MAX;
        while (s.n_gone > 0) {
            held_keys_remove(lane->held, s.gone[--s.n_gone]);
        }
    } while (again);
    if (lane->phase == LANE_LOADING) {
        lane->phase = LANE_RUNNING;
    }
}

void lane_on_held(void *arg, const struct lane_key *key, uint32_t rows, uint32_t active)
{
    struct lane *lane = arg;

    if (lane->phase != LANE_LOADING && !lane->counting) {
        return;
    }
    if (key == NULL) {
        held_loaded(lane);
        return;
    }
    uint64_t hash =
        batch_key_hash(key->aggregate_type, key->aggregate_id, key->subscription);
    struct held_key *held = held_keys_hold(lane->held, hash, key->subscription,
                                           key->aggregate_type, key->aggregate_id);
    if (held == NULL) {
        lane_quiesce(lane);
        return;
    }
    held->fresh_rows = rows;
    held->fresh_active = active;
}
