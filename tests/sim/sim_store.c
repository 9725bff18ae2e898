/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_store.c - the outbox in memory, as a lane_store.
 *
 * A request is executed when its answer is let out (or when the connection is
 * lost after the server had received it), so a read sees the commits up to
 * that moment, as it would on the wire.
 */
#include "sim/sim_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REQUESTS 64
#define ID_FORMAT    "00000000-0000-7000-8000-%012u"

enum what { DO_CLAIM, DO_HELD, DO_READ, DO_SETTLE, DO_WRITE, DO_RELEASE };

struct request {
    enum what what;
    struct lane_read read;
    char snap[32], win[32];
    bool has_win;
    int64_t win_seq;
    struct lane_row *rows;
    struct park *parks;
    size_t n_rows;
    int keys[512];
    size_t n_keys;
};

struct sim_store {
    struct lane_store port;
    const uint64_t *now_ms;
    bool hold_dead, connected;
    struct sim_event events[SIM_MAX_EVENTS];
    size_t n_events;
    int64_t commits;
    int numbers[SIM_MAX_EVENTS];             /* next number of each key */
    struct sim_row rows[SIM_MAX_EVENTS + 1]; /* by seq */
    /* the lane row */
    int64_t snap, win, win_seq; /* win 0: none */
    int64_t token, owner;
    int64_t my_token, me;
    struct request queue[MAX_REQUESTS];
    size_t n;
    size_t settles;
};

static struct sim_store *from(struct lane_store *s)
{
    return (struct sim_store *)s;
}

static struct request *push(struct sim_store *s, enum what what)
{
    static struct request dropped;

    if (!s->connected || s->n == MAX_REQUESTS) {
        memset(&dropped, 0, sizeof(dropped));
        return &dropped;
    }
    struct request *r = &s->queue[s->n++];
    memset(r, 0, sizeof(*r));
    r->what = what;
    return r;
}

static void copy_rows(struct request *r, const struct lane_row *rows, size_t n)
{
    r->rows = calloc(n + 1, sizeof(*r->rows));
    r->parks = calloc(n + 1, sizeof(*r->parks));
    for (size_t i = 0; i < n; i++) {
        r->rows[i] = rows[i];
        r->parks[i] = *rows[i].park;
        r->rows[i].park = &r->parks[i];
    }
    r->n_rows = n;
}

static void op_claim(struct lane_store *s)
{
    (void)push(from(s), DO_CLAIM);
}

static void op_held(struct lane_store *s)
{
    (void)push(from(s), DO_HELD);
}

static void set_text(char *to, size_t size, const char *from_text)
{
    (void)snprintf(to, size, "%s", from_text == NULL ? "" : from_text);
}

static void op_read(struct lane_store *s, const struct lane_read *read)
{
    struct request *r = push(from(s), DO_READ);

    r->read = *read;
    set_text(r->snap, sizeof(r->snap), read->snap);
    set_text(r->win, sizeof(r->win), read->win);
}

static void op_settle(struct lane_store *s, const struct lane_cursor *cursor,
                      const struct lane_row *rows, size_t n)
{
    struct request *r = push(from(s), DO_SETTLE);

    set_text(r->snap, sizeof(r->snap), cursor->snap);
    set_text(r->win, sizeof(r->win), cursor->win);
    r->has_win = cursor->win != NULL;
    r->win_seq = cursor->win_seq;
    if (from(s)->connected) {
        copy_rows(r, rows, n);
    }
}

static void op_write(struct lane_store *s, const struct lane_row *rows, size_t n,
                     const struct lane_key *keys, size_t n_keys)
{
    struct request *r = push(from(s), DO_WRITE);

    if (!from(s)->connected) {
        return;
    }
    copy_rows(r, rows, n);
    for (size_t i = 0; i < n_keys && i < 512; i++) {
        char text[16] = "";
        memcpy(text, keys[i].aggregate_id.data, keys[i].aggregate_id.len);
        r->keys[r->n_keys++] = (int)strtol(text + 1, NULL, 10);
    }
}

static void op_release(struct lane_store *s)
{
    (void)push(from(s), DO_RELEASE);
}

static const struct lane_store_ops ops = {.claim = op_claim,
                                          .load_held = op_held,
                                          .read = op_read,
                                          .settle = op_settle,
                                          .write_rows = op_write,
                                          .release = op_release};

struct sim_store *sim_store_create(const uint64_t *now_ms, bool hold_dead)
{
    struct sim_store *s = calloc(1, sizeof(*s));

    s->port.ops = &ops;
    s->now_ms = now_ms;
    s->hold_dead = hold_dead;
    return s;
}

static void drop_queue(struct sim_store *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->queue[i].rows);
        free(s->queue[i].parks);
    }
    s->n = 0;
}

void sim_store_destroy(struct sim_store *s)
{
    drop_queue(s);
    free(s);
}

struct lane_store *sim_store_attach(struct sim_store *s)
{
    drop_queue(s);
    s->connected = false;
    s->me++;
    return &s->port;
}

size_t sim_store_insert(struct sim_store *s, int key)
{
    struct sim_event *e = &s->events[s->n_events];

    *e = (struct sim_event){.seq = (int64_t)s->n_events + 1, .key = key};
    return s->n_events++;
}

void sim_store_commit(struct sim_store *s, size_t event)
{
    struct sim_event *e = &s->events[event];

    e->commit = ++s->commits;
    e->number = s->numbers[e->key]++;
}

void sim_store_connect(struct sim_store *s)
{
    if (!s->connected) {
        s->connected = true;
        s->port.events->connected(s->port.events_arg);
    }
}

/* ---- executing --------------------------------------------------------------- */

static struct sim_event *event_of(struct sim_store *s, int64_t seq)
{
    return &s->events[seq - 1];
}

static bool holds(const struct sim_store *s, const struct sim_row *row)
{
    return row->used &&
           (strcmp(row->state, "RETRY") == 0 || strcmp(row->state, "HELD") == 0 ||
            (s->hold_dead && strcmp(row->state, "DEAD") == 0));
}

static bool has_earlier(struct sim_store *s, int64_t seq)
{
    for (int64_t i = 1; i < seq; i++) {
        if (holds(s, &s->rows[i]) && event_of(s, i)->key == event_of(s, seq)->key) {
            return true;
        }
    }
    return false;
}

static bool hand_over(struct sim_store *s, enum lane_read_kind kind,
                      struct sim_event *e)
{
    char aggregate[16];
    char payload[48];
    struct event_row row = {.seq = e->seq, .version = 1};

    (void)snprintf(row.id, sizeof(row.id), ID_FORMAT, (unsigned int)e->seq & 0xffffffU);
    (void)snprintf(aggregate, sizeof(aggregate), "k%d", e->key);
    (void)snprintf(payload, sizeof(payload), "{\"n\":%d}", e->number);
    row.type = (struct rider_bytes){"T", 1};
    row.aggregate_type = (struct rider_bytes){"thing", 5};
    row.aggregate_id = (struct rider_bytes){aggregate, strlen(aggregate)};
    row.payload = (struct rider_bytes){payload, strlen(payload)};
    if (kind == READ_DUE) {
        row.attempts = s->rows[e->seq].attempts;
    }
    return s->port.events->row(s->port.events_arg, kind, &row);
}

static bool is_due(struct sim_store *s, const struct request *r,
                   const struct sim_event *e)
{
    int64_t snap = strtoll(r->snap, NULL, 10);
    int64_t win = strtoll(r->win, NULL, 10);
    const struct sim_row *row = &s->rows[e->seq];

    switch (r->read.kind) {
    case READ_WINDOW:
        return e->commit > snap;
    case READ_PAGE:
        return e->commit > snap && e->commit <= win && e->seq > r->read.after_seq;
    case READ_DUE:
    case READ_SUBS: /* a lane without subscriptions never asks */
        break;
    }
    return row->used && strcmp(row->state, "RETRY") == 0 && row->due_ms <= *s->now_ms &&
           !has_earlier(s, e->seq);
}

static void do_read(struct sim_store *s, const struct request *r, bool answer)
{
    struct lane_read_end end = {.kind = r->read.kind};
    char win[32];
    size_t seen = 0;
    bool refused = false;

    (void)snprintf(win, sizeof(win), "%" PRId64, s->commits);
    for (size_t i = 0; answer && i < s->n_events && seen < r->read.limit; i++) {
        if (s->events[i].commit == 0 || !is_due(s, r, &s->events[i])) {
            continue;
        }
        seen++;
        refused = refused || !hand_over(s, r->read.kind, &s->events[i]);
        end.rows += !refused;
    }
    end.more = refused || seen >= r->read.limit;
    end.win = r->read.kind == READ_WINDOW && end.rows > 0 ? win : NULL;
    if (answer) {
        s->port.events->read_end(s->port.events_arg, &end);
    }
}

static const char *word(enum park_state state)
{
    static const char *const words[] = {"RETRY", "HELD", "DEAD", "DELIVERED"};
    return words[state];
}

static void write_row(struct sim_store *s, const struct lane_row *from_row)
{
    struct sim_row *row = &s->rows[from_row->seq];

    row->used = true;
    row->seq = from_row->seq;
    (void)snprintf(row->state, sizeof(row->state), "%s", word(from_row->park->state));
    row->attempts = from_row->park->attempts;
    row->cause = from_row->park->cause;
    row->due_ms = *s->now_ms + from_row->park->delay_ms;
}

static void promote(struct sim_store *s, int key)
{
    for (size_t i = 0; i < s->n_events; i++) {
        struct sim_row *row = &s->rows[s->events[i].seq];
        if (s->events[i].key == key && holds(s, row)) {
            if (strcmp(row->state, "HELD") == 0) {
                (void)snprintf(row->state, sizeof(row->state), "RETRY");
                row->due_ms = *s->now_ms;
            }
            return;
        }
    }
}

static void do_claim(struct sim_store *s, bool answer)
{
    char snap[32];
    char win[32];

    s->token++;
    s->owner = s->me;
    (void)snprintf(snap, sizeof(snap), "%" PRId64, s->snap);
    (void)snprintf(win, sizeof(win), "%" PRId64, s->win);
    if (!answer) {
        return;
    }
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

static void do_held(struct sim_store *s)
{
    for (int key = 0; key < SIM_MAX_EVENTS; key++) {
        uint32_t rows = 0;
        uint32_t active = 0;
        for (size_t i = 0; i < s->n_events; i++) {
            const struct sim_row *row = &s->rows[s->events[i].seq];
            if (s->events[i].key == key && holds(s, row)) {
                rows++;
                active += strcmp(row->state, "RETRY") == 0;
            }
        }
        if (rows > 0) {
            char text[16];
            (void)snprintf(text, sizeof(text), "k%d", key);
            struct lane_key k = {0, {"thing", 5}, {text, strlen(text)}};
            s->port.events->held(s->port.events_arg, &k, rows, active);
        }
    }
    s->port.events->held(s->port.events_arg, NULL, 0, 0);
}

static bool do_settle(struct sim_store *s, const struct request *r)
{
    if (s->my_token != s->token) {
        return false;
    }
    s->snap = strtoll(r->snap, NULL, 10);
    s->win = r->has_win ? strtoll(r->win, NULL, 10) : 0;
    s->win_seq = r->win_seq;
    for (size_t i = 0; i < r->n_rows; i++) {
        write_row(s, &r->rows[i]);
    }
    s->settles++;
    return true;
}

static bool do_write(struct sim_store *s, const struct request *r)
{
    if (s->my_token != s->token) {
        return false;
    }
    for (size_t i = 0; i < r->n_rows; i++) {
        write_row(s, &r->rows[i]);
    }
    for (size_t i = 0; i < r->n_keys; i++) {
        promote(s, r->keys[i]);
    }
    return true;
}

static void execute(struct sim_store *s, struct request *r, bool answer)
{
    const struct lane_store_events *events = s->port.events;
    bool ok;

    switch (r->what) {
    case DO_CLAIM:
        do_claim(s, answer);
        break;
    case DO_HELD:
        if (answer) {
            do_held(s);
        }
        break;
    case DO_READ:
        do_read(s, r, answer);
        break;
    case DO_SETTLE:
        ok = do_settle(s, r);
        if (answer) {
            events->settled(s->port.events_arg, ok ? LANE_KEPT : LANE_FENCED);
        }
        break;
    case DO_WRITE:
        ok = do_write(s, r);
        if (answer) {
            events->rows_written(s->port.events_arg, !ok);
        }
        break;
    case DO_RELEASE:
        s->owner = 0;
        if (answer) {
            events->released(s->port.events_arg);
        }
        break;
    }
}

static struct request pop(struct sim_store *s)
{
    struct request r = s->queue[0];

    s->n--;
    memmove(&s->queue[0], &s->queue[1], s->n * sizeof(s->queue[0]));
    return r;
}

size_t sim_store_pump(struct sim_store *s, size_t n)
{
    size_t done = 0;

    while (done < n && s->n > 0) {
        struct request r = pop(s);
        execute(s, &r, true);
        free(r.rows);
        free(r.parks);
        done++;
    }
    return done;
}

void sim_store_lose(struct sim_store *s, bool executed)
{
    const struct rider_error why = {RIDER_E_DB_LOST, "simulated loss"};

    while (executed && s->n > 0) {
        struct request r = pop(s);
        execute(s, &r, false);
        free(r.rows);
        free(r.parks);
    }
    drop_queue(s);
    if (s->connected) {
        s->connected = false;
        s->port.events->lost(s->port.events_arg, &why);
    }
}

void sim_store_steal(struct sim_store *s)
{
    s->token++;
}

const struct sim_event *sim_store_events(const struct sim_store *s, size_t *n)
{
    *n = s->n_events;
    return s->events;
}

struct sim_row *sim_store_row(struct sim_store *s, int64_t seq)
{
    return s->rows[seq].used ? &s->rows[seq] : NULL;
}

bool sim_store_is_settled(const struct sim_store *s, const struct sim_event *e)
{
    return e->commit != 0 &&
           (e->commit <= s->snap ||
            (s->win != 0 && e->commit <= s->win && e->seq <= s->win_seq));
}

size_t sim_store_settles(const struct sim_store *s)
{
    return s->settles;
}
