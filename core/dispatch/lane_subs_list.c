/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_subs_list.c - a lane with subscriptions: which of them have something to do.
 *
 * An expand() or an end() names those that got rows; a list, once a second, names all
 * that have open rows, with their limits. Whoever has had none for a while is forgotten,
 * so that memory and turns are for those that have.
 */
#include "dispatch/lane_subs.h"

#define LIST_MS    1000
#define LIST_SHARE 10    /* times what a list takes, between two */
#define KEEP_MS    60000 /* after the last row: what was heard of an endpoint is of use */

void lane_subs_on_made(void *arg, int64_t subscription)
{
    struct lane *lane = arg;
    struct sub *s = sub_table_find(lane->subs->table, subscription);

    if (s == NULL) {
        lane->subs->list_at_ms = 0; /* its limits are not known yet */
        return;
    }
    s->pending = true;
    lane->subs->take_at_ms = 0;
}

static struct sub *find_or_add(struct lane *lane, const struct lane_sub *row)
{
    struct sub *s = sub_table_find(lane->subs->table, row->number);

    if (s != NULL) {
        pace_set_limits(&s->pace, &row->limits);
        return s;
    }
    struct pace pace = pace_make(&row->limits, lane->config.retry_initial_ms,
                                 lane->config.retry_max_ms, lane->now_ms);
    if (row->throttled_ms > 0) {
        pace_hold(&pace, lane->now_ms + (uint64_t)row->throttled_ms,
                  RIDER_CAUSE_UNREACHABLE);
    }
    s = sub_table_add(lane->subs->table, row->number, &pace);
    if (s != NULL) {
        s->failing = row->failing;
        s->used_ms = lane->now_ms;
    }
    return s;
}

/* Nothing is known of it that the database does not know. */
static bool may_be_forgotten(struct lane *lane, struct sub *s)
{
    return !s->listed && s->n_open == 0 && !s->pending &&
           s->retry_at_ms == LANE_NEVER && !s->touched &&
           lane->now_ms - s->used_ms >= KEEP_MS &&
           pace_is_at_rest(&s->pace, lane->now_ms);
}

static void forget_idle(struct lane *lane)
{
    struct sub_table *table = lane->subs->table;

    for (size_t i = sub_table_count(table); i > 0; i--) {
        struct sub *s = sub_table_at(table, i - 1);
        /* A read that is under way may bring rows of it. */
        if (!lane->reading && may_be_forgotten(lane, s)) {
            sub_table_remove(table, i - 1);
        } else {
            s->listed = false;
        }
    }
}

/* Where there are very many subscriptions, listing them must not be most of the work. */
static uint64_t list_pause(const struct lane_subs *subs, uint64_t now_ms)
{
    uint64_t pause = (now_ms - subs->list_asked_ms) * LIST_SHARE;

    return pause > LIST_MS ? pause : LIST_MS;
}

static void listed(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;

    forget_idle(lane);
    subs->listing = false;
    subs->take_at_ms = 0;
    if (subs->list_at_ms == LANE_NEVER) {
        subs->list_at_ms = lane->now_ms + list_pause(subs, lane->now_ms);
    }
    if (lane->phase == LANE_LOADING) {
        lane->phase = LANE_RUNNING;
    }
}

void lane_subs_on_sub(void *arg, const struct lane_sub *row)
{
    struct lane *lane = arg;

    if (!lane->subs->listing) {
        return;
    }
    lane_tick(lane);
    if (row == NULL) {
        listed(lane);
        return;
    }
    if (lane->phase != LANE_LOADING && !lane_is_at_work(lane)) {
        return;
    }
    struct sub *s = find_or_add(lane, row);
    if (s == NULL) {
        lane_quiesce(lane);
        return;
    }
    s->listed = true;
    s->pending = row->sendable && row->pending;
    s->retry_at_ms = row->sendable && row->retry_in_ms >= 0
                         ? lane->now_ms + (uint64_t)row->retry_in_ms + LANE_DUE_SLACK_MS
                         : LANE_NEVER;
}
