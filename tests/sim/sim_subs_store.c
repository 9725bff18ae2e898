/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_subs_store.c - subscriptions, their rows and the lane's cursor in memory.
 *
 * A request is executed when its answer is let out, or when the connection is lost
 * after the server had received it.
 *
 * Not here: what the requests do (sim_subs_exec.c).
 */
#include "sim/sim_subs_internal.h"

#include <stdlib.h>
#include <string.h>

static struct sim_subs_store *from(struct lane_store *s)
{
    return (struct sim_subs_store *)s;
}

static struct subs_request *push(struct sim_subs_store *s, enum subs_what what)
{
    if (!s->connected) {
        return NULL;
    }
    if (s->n == SUBS_REQUESTS) {
        abort(); /* the lane has a few requests under way, never so many */
    }
    struct subs_request *r = &s->queue[s->n++];
    memset(r, 0, sizeof(*r));
    r->what = what;
    return r;
}

static void op_claim(struct lane_store *s)
{
    (void)push(from(s), SUBS_CLAIM);
}

static void op_release(struct lane_store *s)
{
    (void)push(from(s), SUBS_RELEASE);
}

static void op_expand(struct lane_store *s, size_t limit,
                      const struct lane_cursor *cursor)
{
    struct subs_request *r = push(from(s), SUBS_EXPAND);

    if (r != NULL) {
        r->limit = limit;
        r->renew = cursor != NULL;
        r->token = from(s)->my_token; /* as it is known when it is asked */
    }
}

static void op_list(struct lane_store *s)
{
    (void)push(from(s), SUBS_LIST);
}

static void op_tidy(struct lane_store *s)
{
    struct subs_request *r = push(from(s), SUBS_TIDY);

    if (r != NULL) {
        r->token = from(s)->my_token;
    }
}

static void *copy(const void *data, size_t size)
{
    void *p = malloc(size + 1);

    if (p == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(p, data, size);
    }
    return p;
}

static void op_take(struct lane_store *s, const struct lane_want *wants, size_t n)
{
    struct subs_request *r = push(from(s), SUBS_TAKE);

    if (r == NULL) {
        return;
    }
    r->wants = copy(wants, n * sizeof(*wants));
    r->n_wants = n;
    for (size_t i = 0; i < n; i++) {
        r->wants[i].busy = copy(wants[i].busy, wants[i].n_busy * sizeof(int64_t));
    }
}

static void op_end(struct lane_store *s, const struct lane_end *const *ends, size_t n,
                   const struct lane_health *health, size_t n_health)
{
    struct subs_request *r = push(from(s), SUBS_END);

    if (r == NULL) {
        return;
    }
    r->token = from(s)->my_token;
    r->ends = calloc(n + 1, sizeof(*r->ends));
    if (r->ends == NULL) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        r->ends[i] = *ends[i];
    }
    r->n_ends = n;
    r->health = copy(health, n_health * sizeof(*health));
    r->n_health = n_health;
}

static const struct lane_store_ops ops = {
    .claim = op_claim,
    .release = op_release,
    .expand = op_expand,
    .list_subs = op_list,
    .take = op_take,
    .end = op_end,
    .tidy = op_tidy,
};

static void drop(struct subs_request *r)
{
    for (size_t i = 0; i < r->n_wants; i++) {
        /* a copy of ours; NOLINTNEXTLINE(performance-no-int-to-ptr) */
        free((void *)(uintptr_t)r->wants[i].busy);
    }
    free(r->wants);
    free(r->ends);
    free(r->health);
}

static void drop_queue(struct sim_subs_store *s)
{
    for (size_t i = 0; i < s->n; i++) {
        drop(&s->queue[i]);
    }
    s->n = 0;
}

struct sim_subs_store *sim_subs_create(uint64_t *now_ms,
                                       const struct sim_subs_config *config)
{
    struct sim_subs_store *s = calloc(1, sizeof(*s));

    if (s == NULL || config->max_events > SIM_SUBS_EVENTS) {
        abort();
    }
    s->port.ops = &ops;
    s->now_ms = now_ms;
    s->config = *config;
    s->subs = calloc(config->max_subs, sizeof(*s->subs));
    s->events = calloc(config->max_events, sizeof(*s->events));
    s->rows = calloc(config->max_subs * config->max_events, sizeof(*s->rows));
    if (s->subs == NULL || s->events == NULL || s->rows == NULL) {
        abort();
    }
    return s;
}

void sim_subs_destroy(struct sim_subs_store *s)
{
    drop_queue(s);
    free(s->subs);
    free(s->events);
    free(s->rows);
    free(s);
}

struct lane_store *sim_subs_attach(struct sim_subs_store *s)
{
    drop_queue(s);
    s->connected = false;
    s->my_token = 0;
    return &s->port;
}

/* ---- what is in it ------------------------------------------------------------- */

int64_t sim_subs_add(struct sim_subs_store *s)
{
    if (s->n_subs == s->config.max_subs) {
        abort();
    }
    struct sim_sub *sub = &s->subs[s->n_subs++];

    *sub = (struct sim_sub){.number = (int64_t)s->n_subs,
                            .types = UINT32_MAX,
                            .ordered = true,
                            .limits = {.max_in_flight = 16}};
    return sub->number;
}

size_t sim_subs_count(const struct sim_subs_store *s)
{
    return s->n_subs;
}

struct sim_sub *sim_subs_sub(struct sim_subs_store *s, int64_t number)
{
    return number < 1 || (size_t)number > s->n_subs ? NULL : &s->subs[number - 1];
}

int64_t sim_subs_insert(struct sim_subs_store *s, int key, int type)
{
    if (s->n_events == s->config.max_events) {
        return 0;
    }
    s->events[s->n_events++] = (struct sim_subs_event){.key = key, .type = type};
    return (int64_t)s->n_events;
}

void sim_subs_pad(struct sim_subs_store *s, int64_t seq, size_t bytes)
{
    if (bytes > SUBS_PAYLOAD_MAX) {
        abort();
    }
    s->events[seq - 1].bytes = bytes;
}

void sim_subs_commit(struct sim_subs_store *s, int64_t seq)
{
    struct sim_subs_event *e = &s->events[seq - 1];

    e->commit = ++s->commits;
    e->number = s->numbers[e->key]++;
}

size_t sim_subs_n_events(const struct sim_subs_store *s)
{
    return s->n_events;
}

const struct sim_subs_event *sim_subs_event(const struct sim_subs_store *s, int64_t seq)
{
    return &s->events[seq - 1];
}

struct sim_subs_row *sim_subs_row(struct sim_subs_store *s, int64_t number, int64_t seq)
{
    return &s->rows[(size_t)(number - 1) * s->config.max_events + (size_t)(seq - 1)];
}

bool sim_subs_is_expanded(const struct sim_subs_store *s, int64_t seq)
{
    int64_t commit = s->events[seq - 1].commit;

    return commit != 0 && (commit <= s->snap ||
                           (s->win != 0 && commit <= s->win && seq <= s->win_seq));
}

void sim_subs_redeliver(struct sim_subs_store *s, int64_t number, int64_t seq)
{
    struct sim_subs_row *row = sim_subs_row(s, number, seq);
    bool ordered = s->subs[number - 1].ordered;
    bool changed[SIM_SUBS_EVENTS + 1] = {false};

    if (row->state == SIM_NONE) {
        return;
    }
    row->asked++;
    row->manual = true;
    row->due_ms = row->updated_ms = *s->now_ms;
    if (row->state == SIM_RETRY) {
        row->state = SIM_PENDING;
    } else if (row->state == SIM_DELIVERED || row->state == SIM_DEAD) {
        row->state = ordered ? SIM_HELD : SIM_PENDING;
        row->attempts = row->setbacks = 0;
    }
    changed[seq] = true;
    if (ordered) {
        subs_order_key(s, number, s->events[seq - 1].key, changed);
    }
}

/* The lane has passed it, the subscription takes it, and there is no row. */
static bool is_missed(struct sim_subs_store *s, const struct sim_sub *sub, int64_t seq)
{
    return sim_subs_is_expanded(s, seq) &&
           (sub->types >> s->events[seq - 1].type & 1) != 0 &&
           sim_subs_row(s, sub->number, seq)->state == SIM_NONE;
}

void sim_subs_recover(struct sim_subs_store *s, int64_t number)
{
    const struct sim_sub *sub = &s->subs[number - 1];
    bool changed[SIM_SUBS_EVENTS + 1] = {false};

    for (int64_t seq = 1; seq <= (int64_t)s->n_events; seq++) {
        changed[seq] = is_missed(s, sub, seq);
        if (changed[seq]) {
            *sim_subs_row(s, number, seq) =
                (struct sim_subs_row){.state = sub->ordered ? SIM_HELD : SIM_PENDING,
                                      .late = true,
                                      .due_ms = *s->now_ms,
                                      .updated_ms = *s->now_ms};
        }
    }
    for (int key = 0; sub->ordered && key < SIM_SUBS_KEYS; key++) {
        subs_order_key(s, number, key, changed);
    }
}

/* ---- the connection ------------------------------------------------------------- */

void sim_subs_connect(struct sim_subs_store *s)
{
    if (!s->connected) {
        s->connected = true;
        s->port.events->connected(s->port.events_arg);
    }
}

static void run_first(struct sim_subs_store *s, bool answer)
{
    struct subs_request r = s->queue[0];

    s->n--;
    memmove(&s->queue[0], &s->queue[1], s->n * sizeof(s->queue[0]));
    subs_execute(s, &r, answer);
    drop(&r);
}

size_t sim_subs_pump(struct sim_subs_store *s, size_t n)
{
    size_t done = 0;

    for (; done < n && s->n > 0; done++) {
        run_first(s, true);
    }
    return done;
}

void sim_subs_lose(struct sim_subs_store *s, bool executed)
{
    const struct rider_error why = {RIDER_E_DB_LOST, "simulated loss"};

    while (executed && s->n > 0) {
        run_first(s, false);
    }
    drop_queue(s);
    if (s->connected) {
        s->connected = false;
        s->port.events->lost(s->port.events_arg, &why);
    }
}

void sim_subs_slow(struct sim_subs_store *s, uint64_t list_ms, uint64_t expand_ms)
{
    s->list_ms = list_ms;
    s->expand_ms = expand_ms;
}

void sim_subs_steal(struct sim_subs_store *s)
{
    s->token++;
}

void sim_subs_pause(struct sim_subs_store *s, bool paused)
{
    s->paused = paused;
}

uint64_t sim_subs_lease_until(const struct sim_subs_store *s)
{
    return s->lease_until_ms;
}

bool sim_subs_is_released(const struct sim_subs_store *s)
{
    return s->released;
}

struct sim_subs_counts sim_subs_counts(const struct sim_subs_store *s)
{
    return s->counts;
}
