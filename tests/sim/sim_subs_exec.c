/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_subs_exec.c - what the functions of schema 006 do, on rows in memory.
 */
#include "sim/sim_subs_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_FORMAT "00000000-0000-7000-8000-%012u"

/* Keeps its key back, if it keeps its order. */
static bool is_open(const struct sim_subs_store *s, const struct sim_subs_row *row)
{
    return row->state != SIM_NONE && row->state != SIM_DELIVERED &&
           (s->config.hold_dead || row->state != SIM_DEAD);
}

static int key_of(const struct sim_subs_store *s, int64_t seq)
{
    return s->events[seq - 1].key;
}

/* The first open row of a key before `end`; 0: none. */
static int64_t first_open(struct sim_subs_store *s, int64_t number, int key,
                          int64_t end)
{
    for (int64_t seq = 1; seq < end; seq++) {
        if (key_of(s, seq) == key && is_open(s, sim_subs_row(s, number, seq))) {
            return seq;
        }
    }
    return 0;
}

static int64_t last_seq(const struct sim_subs_store *s)
{
    return (int64_t)s->n_events;
}

static void set_state(struct sim_subs_store *s, struct sim_subs_row *row,
                      enum sim_state state)
{
    row->state = state;
    row->updated_ms = *s->now_ms;
}

/* As schema 007 has it: of a key with one of `changed`, or whose first open row waits,
 * that row goes and all later ones wait. */
void subs_order_key(struct sim_subs_store *s, int64_t number, int key,
                    const bool *changed)
{
    int64_t first = first_open(s, number, key, last_seq(s) + 1);

    if (first == 0 ||
        (sim_subs_row(s, number, first)->state != SIM_HELD && !changed[first])) {
        return;
    }
    for (int64_t seq = first; seq <= last_seq(s); seq++) {
        struct sim_subs_row *row = sim_subs_row(s, number, seq);
        if (key_of(s, seq) != key) {
            continue;
        }
        if (seq == first && row->state == SIM_HELD) {
            set_state(s, row, row->due_ms > *s->now_ms ? SIM_RETRY : SIM_PENDING);
        } else if (seq > first &&
                   (row->state == SIM_PENDING || row->state == SIM_RETRY)) {
            set_state(s, row, SIM_HELD);
        }
    }
}

/* ---- claim ------------------------------------------------------------------------ */

static void do_claim(struct sim_subs_store *s, bool answer)
{
    char snap[32];
    char win[32];

    if (s->paused) {
        if (answer) {
            s->port.events->claimed(s->port.events_arg,
                                    &(struct lane_claim){.state = "PAUSED"});
        }
        return;
    }
    s->token++;
    s->released = false;
    s->lease_until_ms = *s->now_ms + s->config.lease_ms;
    if (!answer) {
        return;
    }
    (void)snprintf(snap, sizeof(snap), "%" PRId64, s->snap);
    (void)snprintf(win, sizeof(win), "%" PRId64, s->win);
    s->my_token = s->token;
    s->port.events->claimed(s->port.events_arg, &(struct lane_claim){
                                                    .ours = true,
                                                    .owner = "sim",
                                                    .state = "ACTIVE",
                                                    .token = s->token,
                                                    .snap = snap,
                                                    .win = s->win == 0 ? NULL : win,
                                                    .win_seq = s->win_seq,
                                                });
}

/* ---- expand ----------------------------------------------------------------------- */

static bool is_in_window(const struct sim_subs_store *s, int64_t seq)
{
    int64_t commit = s->events[seq - 1].commit;

    if (s->win == 0) {
        return commit > s->snap;
    }
    return commit > s->snap && commit <= s->win && seq > s->win_seq;
}

static bool make_row(struct sim_subs_store *s, struct sim_sub *sub, int64_t seq)
{
    const struct sim_subs_event *e = &s->events[seq - 1];
    struct sim_subs_row *row = sim_subs_row(s, sub->number, seq);

    if (sub->status == SIM_DISABLED || (sub->types >> e->type & 1) == 0 ||
        row->state != SIM_NONE) {
        return false;
    }
    bool held =
        sub->ordered && first_open(s, sub->number, e->key, last_seq(s) + 1) != 0;
    *row = (struct sim_subs_row){.state = held ? SIM_HELD : SIM_PENDING,
                                 .due_ms = *s->now_ms,
                                 .updated_ms = *s->now_ms};
    return true;
}

static size_t read_page(struct sim_subs_store *s, size_t limit, int64_t *seqs)
{
    size_t n = 0;

    for (int64_t seq = 1; seq <= last_seq(s) && n < limit; seq++) {
        if (is_in_window(s, seq)) {
            seqs[n++] = seq;
        }
    }
    return n;
}

static void move_cursor(struct sim_subs_store *s, const int64_t *seqs, size_t n,
                        bool full)
{
    int64_t here = s->win == 0 ? s->commits : s->win;

    if (full) {
        s->win = here;
        s->win_seq = seqs[n - 1];
    } else if (n > 0 || s->win != 0) {
        s->snap = here;
        s->win = s->win_seq = 0;
    }
}

static size_t make_rows(struct sim_subs_store *s, const int64_t *seqs, size_t n,
                        bool answer)
{
    size_t all = 0;

    for (size_t i = 0; i < s->n_subs; i++) {
        size_t made = 0;
        for (size_t k = 0; k < n; k++) {
            made += make_row(s, &s->subs[i], seqs[k]);
        }
        if (made > 0 && answer) {
            s->port.events->rows_made(s->port.events_arg, s->subs[i].number);
        }
        all += made;
    }
    return all;
}

static void do_expand(struct sim_subs_store *s, const struct subs_request *r,
                      bool answer)
{
    struct lane_expanded page = {.grant = LANE_FENCED};
    int64_t *seqs = calloc(r->limit + 1, sizeof(*seqs));

    if (seqs == NULL) {
        abort();
    }
    s->counts.expands++;
    *s->now_ms += s->expand_ms;
    if (r->token == s->token) {
        size_t n = r->limit == 0 ? 0 : read_page(s, r->limit, seqs);
        page = (struct lane_expanded){.grant = s->paused ? LANE_PAUSED : LANE_KEPT,
                                      .events = n,
                                      .more = r->limit > 0 && n >= r->limit};
        if (r->limit > 0) {
            move_cursor(s, seqs, n, page.more);
        }
        if (r->renew || n > 0) {
            s->counts.renewals++;
            s->lease_until_ms = *s->now_ms + s->config.lease_ms;
        }
        page.rows = make_rows(s, seqs, n, answer);
    }
    free(seqs);
    if (answer) {
        s->port.events->expanded(s->port.events_arg, &page);
    }
}

/* ---- list ------------------------------------------------------------------------- */

static void list_one(struct sim_subs_store *s, const struct sim_sub *sub)
{
    struct lane_sub out = {.number = sub->number,
                           .sendable = sub->status == SIM_ACTIVE,
                           .retry_in_ms = -1,
                           .limits = sub->limits,
                           .failing = sub->failing};
    uint64_t now = *s->now_ms;

    for (int64_t seq = 1; seq <= last_seq(s); seq++) {
        const struct sim_subs_row *row = sim_subs_row(s, sub->number, seq);
        int64_t in = row->due_ms > now ? (int64_t)(row->due_ms - now) : 0;
        out.pending = out.pending || row->state == SIM_PENDING;
        if (row->state == SIM_RETRY && (out.retry_in_ms < 0 || in < out.retry_in_ms)) {
            out.retry_in_ms = in;
        }
    }
    if (sub->throttled_until_ms > now) {
        out.throttled_ms = (int64_t)(sub->throttled_until_ms - now);
    }
    if (out.pending || out.retry_in_ms >= 0) {
        s->port.events->sub(s->port.events_arg, &out);
    }
}

static void do_list(struct sim_subs_store *s, bool answer)
{
    s->counts.lists++;
    *s->now_ms += s->list_ms;
    for (size_t i = 0; answer && i < s->n_subs; i++) {
        list_one(s, &s->subs[i]);
    }
    if (answer) {
        s->port.events->sub(s->port.events_arg, NULL);
    }
}

/* ---- take ------------------------------------------------------------------------- */

static struct rider_bytes bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static bool hand_over(struct sim_subs_store *s, const struct sim_sub *sub, int64_t seq)
{
    const struct sim_subs_event *e = &s->events[seq - 1];
    const struct sim_subs_row *from = sim_subs_row(s, sub->number, seq);
    char id[32];
    char url[64];
    char key[16];
    char payload[48 + SUBS_PAYLOAD_MAX];
    char type[16];

    (void)snprintf(id, sizeof(id), "sub_%d", (int)sub->number);
    (void)snprintf(url, sizeof(url), "https://%d.example/", (int)sub->number);
    (void)snprintf(key, sizeof(key), "k%d", e->key);
    (void)snprintf(type, sizeof(type), "T%d", e->type);
    size_t len = (size_t)snprintf(payload, 48, "{\"n\":%d", e->number);
    memset(payload + len, ' ', e->bytes);
    memcpy(payload + len + e->bytes, "}", 2);
    const struct rider_bytes secret = bytes(url);
    const struct subscription_row to = {
        .target = {.struct_size = sizeof(struct rider_target),
                   .n_secrets = 1,
                   .id = bytes(id),
                   .url = bytes(url),
                   .secrets = &secret},
        .problem = sub->problem,
        .schedule_s = sub->schedule_s,
        .n_schedule = sub->n_schedule,
    };
    struct event_row row = {.seq = seq,
                            .subscription = sub->number,
                            .attempts = from->attempts,
                            .version = 1,
                            .type = bytes(type),
                            .aggregate_type = bytes("thing"),
                            .aggregate_id = bytes(key),
                            .payload = bytes(payload),
                            .to = &to,
                            .progress = {from->setbacks, from->asked,
                                         (int64_t)from->updated_ms * 1000,
                                         from->manual ? "manual" : "schedule"}};
    (void)snprintf(row.id, sizeof(row.id), ID_FORMAT, (unsigned int)seq & 0xffffffU);
    return s->port.events->row(s->port.events_arg, READ_SUBS, &row);
}

static bool is_busy(const struct lane_want *want, int64_t seq)
{
    for (size_t i = 0; i < want->n_busy; i++) {
        if (want->busy[i] == seq) {
            return true;
        }
    }
    return false;
}

/* A later row of its key is being sent: this one was put before it meanwhile. */
static bool is_beside(const struct sim_subs_store *s, const struct sim_sub *sub,
                      const struct lane_want *want, int64_t seq)
{
    for (size_t i = 0; sub->ordered && i < want->n_busy; i++) {
        if (want->busy[i] > seq && key_of(s, want->busy[i]) == key_of(s, seq)) {
            return true;
        }
    }
    return false;
}

/* Rows of one state that may go, in the order of the log; returns how many. */
static size_t candidates(struct sim_subs_store *s, const struct sim_sub *sub,
                         const struct lane_want *want, enum sim_state state,
                         int64_t *seqs)
{
    bool open[SIM_SUBS_KEYS] = {false};
    size_t n = 0;

    for (int64_t seq = 1; seq <= last_seq(s); seq++) {
        const struct sim_subs_row *row = sim_subs_row(s, sub->number, seq);
        bool *before = &open[key_of(s, seq)];
        if (row->state == state && !(sub->ordered && *before) && !is_busy(want, seq) &&
            !is_beside(s, sub, want, seq) &&
            (state != SIM_RETRY || row->due_ms <= *s->now_ms)) {
            seqs[n++] = seq;
        }
        *before = *before || is_open(s, row);
    }
    return n;
}

static void sort_by_due(struct sim_subs_store *s, int64_t number, int64_t *seqs,
                        size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k > 0 && sim_subs_row(s, number, seqs[k])->due_ms <
                                        sim_subs_row(s, number, seqs[k - 1])->due_ms;
             k--) {
            int64_t swap = seqs[k];
            seqs[k] = seqs[k - 1];
            seqs[k - 1] = swap;
        }
    }
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool take_one(struct sim_subs_store *s, const struct lane_want *want,
                     size_t *ret_rows)
{
    const struct sim_sub *sub = sim_subs_sub(s, want->number);
    int64_t *seqs = calloc(2 * s->n_events + 1, sizeof(*seqs));
    bool fits = true;

    if (seqs == NULL) {
        abort();
    }
    if (sub != NULL && sub->status == SIM_ACTIVE) {
        size_t n = candidates(s, sub, want, SIM_RETRY, seqs);
        sort_by_due(s, sub->number, seqs, n);
        n += candidates(s, sub, want, SIM_PENDING, seqs + n);
        n = n < want->room ? n : want->room;
        qsort(seqs, n, sizeof(*seqs), by_number);
        for (size_t i = 0; i < n && fits; i++) {
            fits = hand_over(s, sub, seqs[i]);
            *ret_rows += fits;
        }
    }
    free(seqs);
    return fits;
}

static void do_take(struct sim_subs_store *s, const struct subs_request *r, bool answer)
{
    struct lane_read_end end = {.kind = READ_SUBS};

    s->counts.takes++;
    if (!answer) {
        return;
    }
    for (size_t i = 0; i < r->n_wants && !end.more; i++) {
        end.more = !take_one(s, &r->wants[i], &end.rows);
    }
    s->port.events->read_end(s->port.events_arg, &end);
}

/* ---- end -------------------------------------------------------------------------- */

static void end_row(struct sim_subs_store *s, const struct lane_end *end)
{
    struct sim_subs_row *row = sim_subs_row(s, end->subscription, end->seq);
    bool again = row->asked > end->asked;
    enum sim_state state = end->park.state == PARK_RETRY       ? SIM_RETRY
                           : end->park.state == PARK_DELIVERED ? SIM_DELIVERED
                                                               : SIM_DEAD;

    if (end->tried) {
        row->tries++;
        s->counts.tries++;
    }
    if (row->state != SIM_PENDING && row->state != SIM_RETRY &&
        row->state != SIM_HELD) {
        return;
    }
    if (row->state == SIM_HELD && (again || state == SIM_RETRY)) {
        state = SIM_HELD; /* it goes again, in its turn */
    } else if (again && state != SIM_RETRY) {
        state = SIM_PENDING;
    }
    set_state(s, row, state);
    row->attempts = again ? 0 : end->park.attempts;
    row->setbacks = again ? 0 : end->setbacks;
    row->manual = again;
    row->due_ms = *s->now_ms + (again ? 0 : end->park.delay_ms);
    row->cause = end->park.cause;
}

static void note_health(struct sim_subs_store *s, const struct lane_health *h)
{
    struct sim_sub *sub = sim_subs_sub(s, h->number);

    sub->failures = h->failures + (h->ok ? 0 : sub->failures);
    sub->failing = h->failures > 0 || (!h->ok && sub->failing);
    sub->throttled_until_ms = h->throttle_ms == 0 ? 0 : *s->now_ms + h->throttle_ms;
    sub->cause = h->cause != 0 ? h->cause : sub->cause;
    sub->notes++;
}

static bool promote(struct sim_subs_store *s, int64_t number, int key)
{
    int64_t first = first_open(s, number, key, last_seq(s) + 1);
    struct sim_subs_row *row = first == 0 ? NULL : sim_subs_row(s, number, first);

    if (row == NULL || row->state != SIM_HELD) {
        return false;
    }
    set_state(s, row, row->due_ms > *s->now_ms ? SIM_RETRY : SIM_PENDING);
    return true;
}

static void do_end(struct sim_subs_store *s, const struct subs_request *r, bool answer)
{
    bool fenced = r->token != s->token;

    s->counts.ends++;
    for (size_t i = 0; !fenced && i < r->n_ends; i++) {
        end_row(s, &r->ends[i]);
        if (r->ends[i].park.cause == RIDER_CAUSE_GONE_410) {
            sim_subs_sub(s, r->ends[i].subscription)->status = SIM_DISABLED;
        }
    }
    for (size_t i = 0; !fenced && i < r->n_health; i++) {
        note_health(s, &r->health[i]);
    }
    for (size_t i = 0; !fenced && i < r->n_ends; i++) {
        const struct lane_end *end = &r->ends[i];
        if (end->park.state != PARK_RETRY &&
            promote(s, end->subscription, key_of(s, end->seq)) && answer) {
            s->port.events->rows_made(s->port.events_arg, end->subscription);
        }
    }
    if (answer) {
        s->port.events->ended(s->port.events_arg, fenced);
    }
}

/* ---- tidy ------------------------------------------------------------------------- */

/* Whatever is open and not HELD keeps the key, wherever it is. */
static bool has_head(struct sim_subs_store *s, int64_t number, int key)
{
    for (int64_t seq = 1; seq <= last_seq(s); seq++) {
        const struct sim_subs_row *row = sim_subs_row(s, number, seq);
        if (key_of(s, seq) == key && row->state != SIM_HELD && is_open(s, row)) {
            return true;
        }
    }
    return false;
}

static void do_tidy(struct sim_subs_store *s, const struct subs_request *r, bool answer)
{
    bool fenced = r->token != s->token;

    s->counts.tidies++;
    for (size_t i = 0; !fenced && i < s->n_subs; i++) {
        for (int key = 0; key < SIM_SUBS_KEYS; key++) {
            if (!has_head(s, s->subs[i].number, key)) {
                (void)promote(s, s->subs[i].number, key);
            }
        }
    }
    if (answer) {
        s->port.events->tidied(s->port.events_arg, fenced);
    }
}

void subs_execute(struct sim_subs_store *s, const struct subs_request *r, bool answer)
{
    switch (r->what) {
    case SUBS_CLAIM:
        do_claim(s, answer);
        break;
    case SUBS_EXPAND:
        do_expand(s, r, answer);
        break;
    case SUBS_LIST:
        do_list(s, answer);
        break;
    case SUBS_TAKE:
        do_take(s, r, answer);
        break;
    case SUBS_END:
        do_end(s, r, answer);
        break;
    case SUBS_TIDY:
        do_tidy(s, r, answer);
        break;
    case SUBS_RELEASE:
        s->released = true;
        if (answer) {
            s->port.events->released(s->port.events_arg);
        }
        break;
    }
}
