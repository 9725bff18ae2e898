/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_subs.c - a lane with subscriptions: what is asked of the store, and when.
 *
 * expand   the log into rows, and with it the cursor; polls as a window read does
 * list     which subscriptions have open rows: once a second, as operators and other
 *          processes make some, too
 * take     rows that may be sent now, of many subscriptions in turn. No more of one
 *          than its endpoint may be sent: what waits, waits in the database
 * tidy     now and then
 *
 * Rows in memory stay PENDING or RETRY in the database, so that a crash needs no
 * repair; a read leaves them out by their seq.
 *
 * Not here: the answer to a list (lane_subs_list.c), how deliveries end
 * (lane_subs_end.c), sending (lane_send.c).
 */
#include "dispatch/lane_subs.h"

#include "base/log.h"
#include "dispatch/cause.h"

#include <stdlib.h>

#define TIDY_MS     15000
#define FIRST_PAGE  100
#define EXPAND_ROWS 10000 /* made in one transaction, about: the lease waits for it */

struct lane_subs *lane_subs_create(void)
{
    struct lane_subs *subs = calloc(1, sizeof(*subs));

    if (subs != NULL) {
        subs->table = sub_table_create();
        subs->cap_busy = SUBS_ROWS_MAX;
        subs->page = FIRST_PAGE;
        subs->busy = calloc(subs->cap_busy, sizeof(*subs->busy));
    }
    if (subs != NULL && (subs->table == NULL || subs->busy == NULL)) {
        lane_subs_destroy(subs);
        return NULL;
    }
    return subs;
}

void lane_subs_destroy(struct lane_subs *subs)
{
    if (subs != NULL) {
        sub_table_destroy(subs->table);
        free(subs->busy);
        free(subs);
    }
}

void lane_subs_void(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;

    /* A page that took too long for the connection must not be asked for again. */
    if (subs->expanding && subs->page > 1) {
        subs->page /= 2;
    }
    subs->expanding = subs->renewing = subs->listing = subs->tidying = false;
}

void lane_subs_forget(struct lane *lane)
{
    sub_table_clear(lane->subs->table);
    lane->subs->n_wants = 0;
}

/* ---- asking ---------------------------------------------------------------- */

static void ask_list(struct lane *lane)
{
    lane->subs->listing = true;
    lane->subs->list_asked_ms = lane->now_ms;
    lane->subs->list_at_ms = LANE_NEVER;
    lane->ports.store->ops->list_subs(lane->ports.store);
}

static void ask_tidy(struct lane *lane)
{
    lane->subs->tidying = true;
    lane->subs->tidy_at_ms = LANE_NEVER;
    lane->ports.store->ops->tidy(lane->ports.store);
}

void lane_subs_load(struct lane *lane)
{
    lane->subs->take_at_ms = 0;
    ask_tidy(lane);
    ask_list(lane);
}

static void ask_expand(struct lane *lane, size_t limit)
{
    struct lane_cursor cursor = {.cause = NULL};
    bool renew = lane->now_ms >= lane->renew_at_ms;

    if (lane->health_cause != RIDER_CAUSE_NONE) {
        cursor.cause = cause_word(lane->health_cause);
        cursor.error = lane->health_detail;
    }
    lane->subs->expanding = true;
    lane->subs->expand_asked_ms = lane->now_ms;
    lane->subs->renewing = renew;
    if (renew) {
        lane->asked_ms = lane->now_ms;
        lane->renew_at_ms = lane_renew_at(lane);
    }
    lane->poll_at_ms = LANE_NEVER;
    lane->ports.store->ops->expand(lane->ports.store, limit, renew ? &cursor : NULL);
}

static bool busy_room(struct lane_subs *subs, size_t n)
{
    if (n <= subs->cap_busy) {
        return true;
    }
    int64_t *busy = realloc(subs->busy, n * 2 * sizeof(*busy));

    if (busy == NULL) {
        return false;
    }
    /* The wants point into it. */
    for (size_t i = 0; i < subs->n_wants; i++) {
        subs->wants[i].busy = busy + (subs->wants[i].busy - subs->busy);
    }
    subs->busy = busy;
    subs->cap_busy = n * 2;
    return true;
}

/* Adds `s` to the read; *n_busy counts what the wants before it point to. */
static bool want(struct lane_subs *subs, struct sub *s, size_t room, uint64_t now_ms,
                 size_t *n_busy)
{
    const struct sub_delivery *open;

    if (!busy_room(subs, *n_busy + s->n_open)) {
        return false;
    }
    struct lane_want *w = &subs->wants[subs->n_wants++];
    *w = (struct lane_want){s->number, room, subs->busy + *n_busy, s->n_open};
    LIST_FOREACH(open, &s->open, link)
    {
        subs->busy[(*n_busy)++] = open->seq;
    }
    s->wanted = room;
    s->got = 0;
    /* What becomes known from now on, the read may not see. */
    s->pending = false;
    if (s->retry_at_ms <= now_ms) {
        s->retry_at_ms = LANE_NEVER; /* the next list knows better */
    }
    return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many rows of `s` to ask for; when none, *ret_at tells when to look again. */
static size_t room_for(const struct lane *lane, struct sub *s, uint64_t *ret_at)
{
    uint64_t due = s->pending ? lane->now_ms : s->retry_at_ms;

    if (due > lane->now_ms) {
        *ret_at = due;
        return 0;
    }
    size_t room = pace_allows(&s->pace, lane->now_ms);
    if (room == 0) {
        *ret_at = pace_next_ms(&s->pace, lane->now_ms);
    }
    return room < SUBS_ROOM_MAX ? room : SUBS_ROOM_MAX;
}

/* Rows that fit into the window and, by the size of recent ones, into memory. A single
 * one always does: it may be larger than the budget. */
static size_t rows_that_fit(const struct lane *lane)
{
    size_t limit = lane->config.max_in_flight;
    size_t left = lane->rows_open < limit ? limit - lane->rows_open : 0;
    size_t most = lane->config.max_bytes;
    size_t rows = (lane->bytes < most ? most - lane->bytes : 0) / lane->bytes_per_row;

    if (rows == 0 && lane->rows_open == 0) {
        rows = 1;
    }
    left = rows < left ? rows : left;
    return left < SUBS_ROWS_MAX ? left : SUBS_ROWS_MAX;
}

/* What each of those that could use it may have of `left`, so that nobody's turn takes
 * it all. */
static size_t share_of(const struct lane *lane, size_t left)
{
    size_t n = sub_table_count(lane->subs->table);
    size_t eager = 0;

    for (size_t i = 0; i < n && eager < left; i++) {
        uint64_t ignored;
        eager += room_for(lane, sub_table_at(lane->subs->table, i), &ignored) > 0;
    }
    return left > eager && eager > 0 ? left / eager : 1;
}

/* Chooses, beginning behind the one that came last the time before. */
static void choose_wants(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;
    size_t n = sub_table_count(subs->table);
    size_t left = rows_that_fit(lane);
    size_t share = left == 0 ? 0 : share_of(lane, left);
    size_t n_busy = 0;
    uint64_t next = LANE_NEVER;
    size_t i;

    subs->n_wants = 0;
    for (i = 0; i < n && left > 0 && subs->n_wants < SUBS_WANTS_MAX; i++) {
        struct sub *s = sub_table_at(subs->table, (subs->turn + i) % n);
        uint64_t at = LANE_NEVER;
        size_t room = room_for(lane, s, &at);

        if (room == 0) {
            next = earlier(next, at);
            continue;
        }
        /* One that has rows open gets no more than are left, so that N which hang end
         * up with a share of N + 1 each, and as much stays free. */
        size_t most = s->n_open < left ? left - s->n_open : 0;
        room = room < share ? room : share;
        room = room < most ? room : most;
        if (room == 0) {
            continue;
        }
        if (!want(subs, s, room, lane->now_ms, &n_busy)) {
            break;
        }
        left -= room;
    }
    subs->turn = n == 0 ? 0 : (subs->turn + i) % n;
    subs->take_at_ms = i < n ? lane->now_ms : next; /* not all were looked at */
}

static void ask_take(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;

    if (lane->reading || lane->now_ms < subs->take_at_ms) {
        return;
    }
    choose_wants(lane);
    if (subs->n_wants == 0) {
        /* No room at all: an ended delivery makes some. */
        if (subs->take_at_ms <= lane->now_ms) {
            subs->take_at_ms = LANE_NEVER;
        }
        return;
    }
    lane->reading = true;
    lane->reading_kind = READ_SUBS;
    lane->ports.store->ops->take(lane->ports.store, subs->wants, subs->n_wants);
}

void lane_subs_keep(struct lane *lane)
{
    /* Without a cursor the claim has not been answered. */
    if (!lane->subs->expanding && lane->cursor.snap != NULL &&
        lane->now_ms >= lane->renew_at_ms) {
        ask_expand(lane, 0);
    }
}

void lane_subs_step(struct lane *lane)
{
    struct lane_subs *subs = lane->subs;

    ask_take(lane);
    if (!subs->expanding &&
        (lane->now_ms >= lane->poll_at_ms || lane->now_ms >= lane->renew_at_ms)) {
        ask_expand(lane,
                   subs->page < lane->config.batch ? subs->page : lane->config.batch);
    }
    if (!subs->tidying && lane->now_ms >= subs->tidy_at_ms) {
        ask_tidy(lane);
    }
    if (!subs->listing && lane->now_ms >= subs->list_at_ms) {
        ask_list(lane);
    }
}

uint64_t lane_subs_deadline(const struct lane *lane)
{
    const struct lane_subs *subs = lane->subs;
    uint64_t at = LANE_NEVER;

    if (!subs->expanding) {
        at = earlier(at, lane->renew_at_ms);
        at = earlier(at, lane->phase == LANE_RUNNING ? lane->poll_at_ms : LANE_NEVER);
    }
    if (lane->phase != LANE_RUNNING) {
        return at;
    }
    at = subs->listing ? at : earlier(at, subs->list_at_ms);
    at = subs->tidying ? at : earlier(at, subs->tidy_at_ms);
    return lane->reading ? at : earlier(at, subs->take_at_ms);
}

/* ---- answers ----------------------------------------------------------------- */

/* How many events the next page may have, by what became of the last one's. */
static size_t next_page(const struct lane_subs *subs, const struct lane_expanded *page)
{
    if (page->rows == 0) {
        return page->events == 0 ? subs->page : subs->page * 2;
    }
    size_t fits = EXPAND_ROWS * page->events / page->rows;
    size_t most = subs->page * 2;

    fits = fits < most ? fits : most;
    return fits == 0 ? 1 : fits;
}

void lane_subs_on_expanded(void *arg, const struct lane_expanded *page)
{
    struct lane *lane = arg;
    bool renewed = lane->subs->renewing;

    if (!lane->subs->expanding) {
        return;
    }
    lane->subs->expanding = lane->subs->renewing = false;
    lane_tick(lane);
    if (!lane_is_at_work(lane)) {
        return;
    }
    if (page->grant == LANE_FENCED) {
        lane_fenced_off(lane);
        return;
    }
    if (renewed) {
        lane->send_until_ms =
            lane->asked_ms + lane->config.lease_ms - lane->config.lease_ms / 5;
    }
    atomic_fetch_add_explicit(&lane->ports.stats->events_read, page->events,
                              memory_order_relaxed);
    lane->subs->page = next_page(lane->subs, page);
    lane->subs->page =
        lane->subs->page < lane->config.batch ? lane->subs->page : lane->config.batch;
    lane_schedule_poll(lane, page->events, page->more);
    if (page->more && lane->rows_open > 0) {
        /* What waits to be taken and written gets half of the connection's time. */
        lane->poll_at_ms = lane->now_ms + (lane->now_ms - lane->subs->expand_asked_ms);
    }
    if (page->grant == LANE_PAUSED && lane->phase == LANE_RUNNING) {
        log_info(lane->config.name, "lane.paused", "lane is paused, giving it back");
        lane_yield(lane);
    }
}

void lane_subs_on_tidied(void *arg, bool fenced)
{
    struct lane *lane = arg;

    if (!lane->subs->tidying) {
        return;
    }
    lane->subs->tidying = false;
    lane_tick(lane);
    lane->subs->tidy_at_ms = lane->now_ms + TIDY_MS;
    if (fenced && lane->phase == LANE_LOADING) {
        lane_quiesce(lane);
    } else if (fenced && lane_is_at_work(lane)) {
        lane_fenced_off(lane);
    }
}

/* The rows of each subscription have a batch of their own, so that an endpoint that
 * hangs keeps no other one's memory. */
static struct batch *batch_for(struct lane *lane, const struct sub *s)
{
    struct batch *b = lane->incoming;

    if (b != NULL && b->items[0].subscription == s->number) {
        return b->n < b->cap ? b : NULL;
    }
    b = batch_create(s->wanted);
    if (b == NULL) {
        return NULL;
    }
    batch_reset(b, BATCH_ROWS);
    b->next = lane->incoming;
    lane->incoming = b;
    return b;
}

/* Rises at once, so that rows which were refused are not asked for at once again. */
static void learn_row_size(struct lane *lane, size_t size)
{
    lane->bytes_per_row =
        size > lane->bytes_per_row ? size : (lane->bytes_per_row * 7 + size) / 8;
}

static bool fits(struct lane *lane, const struct event_row *row)
{
    size_t used = lane->bytes;

    for (const struct batch *b = lane->incoming; b != NULL; b = b->next) {
        used += batch_bytes(b);
    }
    if (used == 0 || used + row->payload.len <= lane->config.max_bytes) {
        return true;
    }
    learn_row_size(lane, row->payload.len);
    return false;
}

bool lane_subs_on_row(struct lane *lane, const struct event_row *row)
{
    struct sub *s = sub_table_find(lane->subs->table, row->subscription);

    if (!lane->reading || s == NULL || row->to == NULL || s->got == s->wanted) {
        return false;
    }
    if (!fits(lane, row)) {
        return false;
    }
    struct batch *b = batch_for(lane, s);
    struct delivery *d = b == NULL ? NULL : batch_append(b, row, lane->config.envelope);
    if (d == NULL) {
        if (b != NULL && b->n == 0) {
            lane->incoming = b->next;
            batch_destroy(b);
        }
        return false;
    }
    d->to->sub = s;
    s->got++;
    return true;
}

static void admit(struct lane *lane, struct delivery *d)
{
    struct sub *s = d->to->sub;

    LIST_INSERT_HEAD(&s->open, d->to, link);
    s->n_open++;
    pace_sent(&s->pace, lane->now_ms);
    /* The outage may have begun while the row was read. */
    d->to->outage = s->outages - (s->pace.breaker.state == BREAKER_OPEN);
    if (d->to->problem != NULL) {
        d->order = lane->order++;
        lane_subs_refused(lane, d);
    } else {
        lane_admit(lane, d);
    }
}

static void admit_batch(struct lane *lane, struct batch *b)
{
    b->charged = batch_bytes(b);
    lane->bytes += b->charged;
    learn_row_size(lane, b->charged / b->n + 1);
    b->next = lane->rows;
    lane->rows = b;
    lane->rows_open += b->n;
    b->unwritten = b->n;
    for (size_t i = 0; i < b->n; i++) {
        admit(lane, &b->items[i]);
    }
}

static struct batch *in_order_of_reading(struct batch *newest)
{
    struct batch *list = NULL;

    while (newest != NULL) {
        struct batch *next = newest->next;
        newest->next = list;
        list = newest;
        newest = next;
    }
    return list;
}

void lane_subs_on_taken(struct lane *lane, const struct lane_read_end *end)
{
    struct lane_subs *subs = lane->subs;
    struct batch *b = in_order_of_reading(lane->incoming);

    lane->incoming = NULL;
    while (b != NULL) {
        struct batch *next = b->next;
        admit_batch(lane, b);
        b = next;
    }
    for (size_t i = 0; i < subs->n_wants; i++) {
        struct sub *s = sub_table_find(subs->table, subs->wants[i].number);
        if (s != NULL && (s->got == s->wanted || end->more)) {
            s->pending = true; /* there may be more, due ones too */
        }
    }
    subs->n_wants = 0;
    subs->take_at_ms = earlier(subs->take_at_ms, lane->now_ms);
}
