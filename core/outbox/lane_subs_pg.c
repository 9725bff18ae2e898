/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_subs_pg.c - the store of a lane with subscriptions: its requests and answers.
 *
 * Wants and ends travel as one JSON parameter each; the functions of schema 006 take
 * them apart.
 *
 * Not here: the rows that a take() reads (lane_pg.c), their targets (target_decode.c).
 */
#include "dispatch/cause.h"
#include "outbox/lane_pg_internal.h"

#include "base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct lane_pg *from_store(struct lane_store *s)
{
    return (struct lane_pg *)s;
}

/* ---- requests ------------------------------------------------------------------ */

void lane_subs_pg_expand(struct lane_store *s, size_t limit,
                         const struct lane_cursor *cursor)
{
    struct lane_pg *pg = from_store(s);
    char page[NUMBER_MAX];
    const char *const params[] = {pg->lane,
                                  pg->token,
                                  pg->lease,
                                  page,
                                  cursor == NULL ? "false" : "true",
                                  cursor == NULL ? NULL : cursor->cause,
                                  cursor == NULL ? NULL : cursor->error};

    (void)snprintf(page, sizeof(page), "%zu", limit);
    lane_pg_send(pg, REQ_EXPAND, "expand", params, 7);
}

/* Of the next request: a plan from when the table was small reads all of it once it has
 * grown. */
static void plan_anew(struct lane_pg *pg)
{
    pg_pipe_send(pg->pipe, &(struct pg_request){.request = REQ_SETTING,
                                                .statement = "plan_anew",
                                                .joined = true});
}

void lane_subs_pg_list(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);
    const char *const params[] = {pg->lane};

    plan_anew(pg);
    lane_pg_send(pg, REQ_LIST, "list_subs", params, 1);
}

static void write_want(struct json_writer *w, const struct lane_want *want)
{
    int64_t last = 0;

    jw_object(w, NULL);
    jw_int(w, "s", want->number);
    jw_int(w, "n", (int64_t)want->room);
    jw_array(w, "b");
    for (size_t k = 0; k < want->n_busy; k++) {
        jw_int(w, NULL, want->busy[k]);
        last = want->busy[k] > last ? want->busy[k] : last;
    }
    jw_array_end(w);
    jw_int(w, "t", last);
    jw_object_end(w);
}

void lane_subs_pg_take(struct lane_store *s, const struct lane_want *wants, size_t n)
{
    struct lane_pg *pg = from_store(s);
    struct json_writer w = jw_begin(&pg->json);

    buf_reset(&pg->json);
    jw_array(&w, NULL);
    for (size_t i = 0; i < n; i++) {
        write_want(&w, &wants[i]);
    }
    jw_array_end(&w);
    if (pg->json.failed) {
        lane_pg_fail_memory(pg);
        return;
    }
    pg->kind = READ_SUBS;
    pg->seen = pg->rows = 0;
    pg->limit = SIZE_MAX;
    pg->refused = false;
    target_scratch_reset(pg->targets);
    const char *const params[] = {pg->lane, buf_text(&pg->json),
                                  pg->config.hold_dead ? "true" : "false"};
    plan_anew(pg);
    lane_pg_send(pg, REQ_READ, "take", params, 3);
}

static const char *outcome_word(uint32_t outcome)
{
    static const char *const words[] = {
        [RIDER_DELIVERED] = "delivered",   [RIDER_RETRY] = "retry",
        [RIDER_REJECTED] = "rejected",     [RIDER_UNAVAILABLE] = "unavailable",
        [RIDER_UNROUTABLE] = "unroutable",
    };

    return outcome <= RIDER_UNROUTABLE ? words[outcome] : "retry";
}

static void write_attempt(struct json_writer *w, const struct lane_end *end)
{
    const struct rider_attempt *a = &end->attempt;

    jw_string(w, "outcome", outcome_word(end->outcome));
    jw_int(w, "started_us", a->started_at_us);
    jw_int(w, "dns_us", a->dns_us);
    jw_int(w, "connect_us", a->connect_us);
    jw_int(w, "tls_us", a->tls_us);
    jw_int(w, "first_byte_us", a->first_byte_us);
    jw_int(w, "total_us", a->total_us);
    jw_string_or_null(w, "remote", end->remote[0] == '\0' ? NULL : end->remote);
    jw_bool(w, "reused", (a->flags & RIDER_ATTEMPT_REUSED) != 0);
    jw_int(w, "requests", a->requests);
    jw_string_or_null(w, "category", end->category[0] == '\0' ? NULL : end->category);
    jw_string_or_null(w, "response", end->response);
    if (end->remote_code != 0) {
        jw_int(w, "http_status", end->remote_code);
    }
    if (end->retry_after_ms != 0) {
        jw_int(w, "retry_after_ms", (int64_t)end->retry_after_ms);
    }
}

static void write_end(struct json_writer *w, const struct lane_end *end)
{
    static const char *const states[] = {
        [PARK_RETRY] = "RETRY",
        [PARK_HELD] = "HELD",
        [PARK_DEAD] = "DEAD",
        [PARK_DELIVERED] = "DELIVERED",
    };
    const struct park *park = &end->park;

    jw_object(w, NULL);
    jw_int(w, "seq", end->seq);
    jw_int(w, "subscription", end->subscription);
    jw_string(w, "state", states[park->state]);
    jw_int(w, "attempts", park->attempts);
    jw_int(w, "setbacks", end->setbacks);
    jw_int(w, "asked", end->asked);
    jw_int(w, "delay_ms", (int64_t)park->delay_ms);
    jw_string(w, "trigger", end->trigger);
    if (park->cause != RIDER_CAUSE_NONE) {
        jw_string(w, "cause", cause_word(park->cause));
        jw_string(w, "error", park->error);
    }
    if (end->tried) {
        write_attempt(w, end);
    }
    jw_object_end(w);
}

static void write_health(struct json_writer *w, const struct lane_health *h)
{
    jw_object(w, NULL);
    jw_int(w, "subscription", h->number);
    jw_bool(w, "ok", h->ok);
    jw_int(w, "failures", (int64_t)h->failures);
    if (h->throttle_ms > 0) {
        jw_int(w, "throttle_ms", (int64_t)h->throttle_ms);
    }
    if (h->cause != RIDER_CAUSE_NONE) {
        jw_string(w, "cause", cause_word(h->cause));
        jw_string(w, "error", h->error);
    }
    jw_object_end(w);
}

void lane_subs_pg_end(struct lane_store *s, const struct lane_end *const *ends,
                      size_t n, const struct lane_health *health, size_t n_health)
{
    struct lane_pg *pg = from_store(s);

    buf_reset(&pg->json);
    buf_reset(&pg->health);
    struct json_writer w = jw_begin(&pg->json);
    jw_array(&w, NULL);
    for (size_t i = 0; i < n; i++) {
        write_end(&w, ends[i]);
    }
    jw_array_end(&w);
    w = jw_begin(&pg->health);
    jw_array(&w, NULL);
    for (size_t i = 0; i < n_health; i++) {
        write_health(&w, &health[i]);
    }
    jw_array_end(&w);
    if (pg->json.failed || pg->health.failed) {
        lane_pg_fail_memory(pg);
        return;
    }
    const char *const params[] = {pg->lane, pg->token, buf_text(&pg->json),
                                  buf_text(&pg->health)};
    lane_pg_send(pg, REQ_END, "end", params, 4);
}

static void add_pair(void *arg, const char *type, const char *aggregate_type)
{
    struct lane_pg *pg = arg;

    pg_array_add_text(&pg->types, type, strlen(type));
    pg_array_add_text(&pg->aggregates, aggregate_type, strlen(aggregate_type));
}

static bool add_routes(struct lane_pg *pg, const char **ret_types,
                       const char **ret_aggregates)
{
    pg_array_reset(&pg->types);
    pg_array_reset(&pg->aggregates);
    if (pg->router != NULL) {
        router_each_pair(pg->router, add_pair, pg);
    }
    *ret_types = pg_array_text(&pg->types);
    *ret_aggregates = pg_array_text(&pg->aggregates);
    return *ret_types != NULL && *ret_aggregates != NULL;
}

void lane_subs_pg_tidy(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);
    const char *params[] = {pg->lane, pg->token,
                            pg->config.hold_dead ? "true" : "false", NULL, NULL};

    if (!add_routes(pg, &params[3], &params[4])) {
        lane_pg_fail_memory(pg);
        return;
    }
    lane_pg_send(pg, REQ_TIDY, "tidy", params, 5);
}

/* ---- answers ---------------------------------------------------------------------- */

void lane_subs_pg_expanded(struct lane_pg *pg, const PGresult *res)
{
    const struct lane_store_events *events = pg->store.events;
    struct lane_expanded page = {.grant = LANE_FENCED};

    if (PQntuples(res) > 0) {
        page.events = (size_t)event_decode_int(res, 0, 1);
        page.more = lane_pg_bool_at(res, 0, 2);
        page.grant = lane_pg_bool_at(res, 0, 3) ? LANE_PAUSED : LANE_KEPT;
    }
    for (int r = 1; r < PQntuples(res); r++) {
        events->rows_made(pg->store.events_arg, event_decode_int(res, r, 0));
        page.rows += (size_t)event_decode_int(res, r, 1);
    }
    events->expanded(pg->store.events_arg, &page);
}

void lane_subs_pg_listed(struct lane_pg *pg, const PGresult *res)
{
    for (int r = 0; r < PQntuples(res); r++) {
        const struct lane_sub sub = {
            .number = event_decode_int(res, r, 0),
            .sendable = lane_pg_bool_at(res, r, 1),
            .pending = lane_pg_bool_at(res, r, 2),
            .retry_in_ms = event_decode_int(res, r, 3),
            .limits = {.max_in_flight = (size_t)event_decode_int(res, r, 4),
                       .rate = (double)event_decode_int(res, r, 5) / 1000.0,
                       .burst = (double)event_decode_int(res, r, 6)},
            .throttled_ms = event_decode_int(res, r, 7),
            .failing = lane_pg_bool_at(res, r, 8),
        };
        pg->store.events->sub(pg->store.events_arg, &sub);
    }
    pg->store.events->sub(pg->store.events_arg, NULL);
}

void lane_subs_pg_ended(struct lane_pg *pg, const PGresult *res)
{
    for (int r = 1; r < PQntuples(res); r++) {
        pg->store.events->rows_made(pg->store.events_arg, event_decode_int(res, r, 0));
    }
    pg->store.events->ended(pg->store.events_arg, PQntuples(res) == 0);
}

void lane_subs_pg_tidied(struct lane_pg *pg, const PGresult *res)
{
    pg->store.events->tidied(pg->store.events_arg, !lane_pg_bool_at(res, 0, 0));
}
