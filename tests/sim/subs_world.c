/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subs_world.c - a lane with subscriptions, and everything around it in memory.
 */
#include "sim/subs_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 2000 /* within one instant; more is a loop that never sleeps */

/* ---- the adapter ------------------------------------------------------------------ */

static int64_t number_behind(struct rider_bytes bytes, const char *prefix)
{
    char text[64] = "";
    size_t skip = strlen(prefix);

    if (bytes.len < sizeof(text) && bytes.len > skip) {
        memcpy(text, bytes.data, bytes.len);
    }
    return strncmp(text, prefix, skip) == 0 ? strtoll(text + skip, NULL, 10) : -1;
}

static void breach(struct subs_world *w, const char *what)
{
    if (w->broken == NULL) {
        w->broken = what;
    }
}

static void check_target(struct subs_world *w, const struct subs_open *o)
{
    const struct rider_target *target = o->event->target;
    const struct sim_sub *sub = sim_subs_sub(w->store, o->number);
    const struct sim_subs_event *e = sim_subs_event(w->store, o->seq);

    if (sub == NULL || number_behind(target->url, "https://") != o->number ||
        target->n_secrets != 1 ||
        number_behind(target->secrets[0], "https://") != o->number) {
        breach(w, "a delivery has somebody else's target");
        return;
    }
    if ((sub->types >> e->type & 1) == 0) {
        breach(w, "an event went to a subscription that does not take it");
    }
    enum sim_state state = sim_subs_row(w->store, o->number, o->seq)->state;
    if (state != SIM_PENDING && state != SIM_RETRY && state != SIM_HELD) {
        breach(w, "a delivery was sent whose row had ended");
    }
    if (w->now_ms < w->not_before_ms[o->number]) {
        breach(w, "an endpoint was asked before its Retry-After");
    }
    if (w->now_ms >= sim_subs_lease_until(w->store)) {
        breach(w, "something was sent after the lease had ended");
    }
}

/* Nothing of a key goes beside another, whatever was asked for meanwhile. */
static void check_beside(struct subs_world *w, const struct subs_open *o)
{
    const struct sim_sub *sub = sim_subs_sub(w->store, o->number);
    size_t n = 1;

    for (size_t i = 0; sub != NULL && i < w->n_open; i++) {
        const struct subs_open *other = &w->open[i];
        if (other->number != o->number) {
            continue;
        }
        if (++n > sub->limits.max_in_flight) {
            breach(w, "an endpoint got more at once than it allows");
        }
        if (other->seq == o->seq) {
            breach(w, "a row was sent twice at a time");
        }
        if (sub->ordered && other->key == o->key) {
            breach(w, "two deliveries of a key were open at once");
        }
    }
}

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    struct subs_world *w = (struct subs_world *)(void *)self;
    size_t taken = 0;

    for (; taken < n && w->n_open < w->room && w->n_open < SUBS_MAX_OPEN; taken++) {
        const struct rider_event *ev = events[taken];
        struct rider_bytes tail = {(const char *)ev->id.data + ev->id.len - 12, 12};
        struct subs_open o = {ev, number_behind(ev->target->id, "sub_"),
                              number_behind(tail, ""),
                              (int)number_behind(ev->aggregate_id, "k"), w->now_ms};
        check_target(w, &o);
        check_beside(w, &o);
        w->open[w->n_open++] = o;
    }
    w->most_open = w->n_open > w->most_open ? w->n_open : w->most_open;
    return taken;
}

static const struct publisher_vtable vtable = {
    .magic = RIDER_PUBLISHER_MAGIC,
    .struct_size = sizeof(struct publisher_vtable),
    .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
    .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
    .name = "sim",
    .publish = publish,
};

void subs_world_accept(struct subs_world *w, size_t i)
{
    if (w->n_accepted == SUBS_MAX_ACCEPTED) {
        abort();
    }
    w->accepted[w->n_accepted++] =
        (struct subs_acceptance){w->open[i].number, w->open[i].seq, w->now_ms};
}

void subs_world_end(struct subs_world *w, size_t i, const struct subs_answer *answer)
{
    const struct rider_host *host = inbox_host(w->inbox);
    const struct subs_open o = w->open[i];
    const struct rider_attempt attempt = {.struct_size = sizeof(attempt),
                                          .started_at_us = (int64_t)o.since_ms * 1000,
                                          .requests = 1,
                                          .category = answer->category};
    const struct rider_result result = {.struct_size = sizeof(result),
                                        .outcome = answer->outcome,
                                        .cause = answer->cause,
                                        .retry_after_ms = answer->retry_after_ms,
                                        .remote_code = answer->code,
                                        .reason = "simulated",
                                        .attempt = answer->untried ? NULL : &attempt};

    if (answer->taken || answer->outcome == RIDER_DELIVERED) {
        subs_world_accept(w, i);
    }
    if (answer->outcome == RIDER_UNAVAILABLE && answer->retry_after_ms > 0 &&
        w->not_before_ms[o.number] < w->now_ms + answer->retry_after_ms) {
        w->not_before_ms[o.number] = w->now_ms + answer->retry_after_ms;
    }
    w->tried += !answer->untried;
    w->n_open--;
    memmove(&w->open[i], &w->open[i + 1], (w->n_open - i) * sizeof(w->open[0]));
    host->complete(host, o.event->ticket, &result);
    host->writable(host);
    subs_world_step(w); /* it hears of one end before the next */
}

/* ---- the world -------------------------------------------------------------------- */

static uint64_t world_now(void *arg)
{
    return ((struct subs_world *)arg)->now_ms;
}

static int64_t world_wall(void *arg)
{
    return (int64_t)((struct subs_world *)arg)->now_ms * 1000;
}

void subs_world_init(struct subs_world *w, uint64_t seed,
                     const struct sim_subs_config *config)
{
    struct rider_error err;

    memset(w, 0, sizeof(*w));
    w->now_ms = 1000;
    w->prng = prng_make(seed);
    w->store = sim_subs_create(&w->now_ms, config);
    w->room = SUBS_MAX_OPEN;
    w->not_before_ms = calloc(config->max_subs + 1, sizeof(*w->not_before_ms));
    if (w->not_before_ms == NULL ||
        histogram_create(histogram_latency_bounds, histogram_latency_n_bounds,
                         &w->stats.commit_to_accept, &err) != 0) {
        abort();
    }
    w->config = (struct lane_config){
        .name = "sim",
        .ordered = true,
        .subscriptions = true,
        .hold_dead = config->hold_dead,
        .retry_initial_ms = 100,
        .retry_max_ms = 1000,
        .max_attempts = 5,
        .max_in_flight = 64,
        .max_bytes = (size_t)1024 * 1024,
        .batch = 10,
        .poll_min_ms = 2,
        .poll_max_ms = 50,
        .lease_ms = config->lease_ms,
        .seed = seed,
    };
}

void subs_world_boot(struct subs_world *w)
{
    struct rider_error err;

    if (inbox_create("sim", w->config.max_in_flight, true, &w->inbox, &err) != 0) {
        abort();
    }
    const struct lane_ports ports = {
        .store = sim_subs_attach(w->store),
        .inbox = w->inbox,
        .vt = &vtable,
        .publisher = (struct publisher *)(void *)w,
        .stats = &w->stats,
        .now_ms = world_now,
        .wall_us = world_wall,
        .clock_arg = w,
    };
    if (lane_create(&w->config, &ports, &w->lane, &err) != 0) {
        abort();
    }
    sim_subs_connect(w->store);
}

void subs_world_kill(struct subs_world *w)
{
    lane_destroy(w->lane);
    inbox_destroy(w->inbox);
    w->lane = NULL;
    w->inbox = NULL;
    w->n_open = 0;
}

void subs_world_done(struct subs_world *w)
{
    if (w->lane != NULL) {
        subs_world_kill(w);
    }
    sim_subs_destroy(w->store);
    histogram_destroy(w->stats.commit_to_accept);
    free(w->not_before_ms);
}

void subs_world_step(struct subs_world *w)
{
    lane_step(w->lane);
    w->steps++;
    if (w->stats.phase != LANE_RUNNING && w->stats.phase != LANE_DRAINING) {
        memset(w->not_before_ms, 0, /* it forgets what it was told */
               (sim_subs_count(w->store) + 1) * sizeof(*w->not_before_ms));
    }
    w->most_bytes = w->stats.bytes > w->most_bytes ? w->stats.bytes : w->most_bytes;
    if (w->stats.in_flight != w->n_open) {
        breach(w, "the lane and its adapter count differently");
    }
}

void subs_world_settle(struct subs_world *w)
{
    size_t quiet = 0;

    for (size_t turn = 0; quiet < 2 || lane_deadline(w->lane) <= w->now_ms; turn++) {
        if (turn == TURNS_MAX) {
            breach(w, "the lane does not come to rest");
            return;
        }
        subs_world_step(w);
        quiet = sim_subs_pump(w->store, 8) == 0 ? quiet + 1 : 0;
    }
}

void subs_world_pass(struct subs_world *w, uint64_t ms, subs_act_fn *act, void *arg)
{
    uint64_t end = w->now_ms + ms;

    subs_world_settle(w);
    while (w->now_ms < end && w->broken == NULL) {
        uint64_t next = lane_deadline(w->lane);
        w->now_ms = next < end ? next : end;
        subs_world_settle(w);
        if (act != NULL) {
            act(w, arg);
            subs_world_settle(w);
        }
    }
}

int64_t subs_world_write(struct subs_world *w, int key)
{
    int64_t seq = sim_subs_insert(w->store, key, 0);

    if (seq == 0) {
        abort();
    }
    sim_subs_commit(w->store, seq);
    return seq;
}
