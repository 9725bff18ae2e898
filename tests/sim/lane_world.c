/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_world.c - a lane with everything around it in memory.
 */
#include "sim/lane_world.h"

#include <stdlib.h>
#include <string.h>

static uint64_t world_now(void *arg)
{
    return ((struct lane_world *)arg)->now_ms;
}

static int64_t world_wall(void *arg)
{
    return (int64_t)((struct lane_world *)arg)->now_ms * 1000;
}

static bool take_all(void *arg, struct rider_bytes type,
                     struct rider_bytes aggregate_type, struct rider_bytes aggregate_id)
{
    (void)arg;
    (void)type;
    (void)aggregate_type;
    (void)aggregate_id;
    return true;
}

void lane_world_init(struct lane_world *w, uint64_t seed, bool hold_dead)
{
    struct rider_error err;

    memset(w, 0, sizeof(*w));
    w->now_ms = 1000;
    w->prng = prng_make(seed);
    w->store = sim_store_create(&w->now_ms, hold_dead);
    w->publisher.room = SIM_MAX_OPEN;
    if (histogram_create(histogram_latency_bounds, histogram_latency_n_bounds,
                         &w->stats.commit_to_accept, &err) != 0) {
        abort();
    }
    w->config = (struct lane_config){
        .name = "sim",
        .ordered = true,
        .hold_dead = hold_dead,
        .retry_initial_ms = 100,
        .retry_max_ms = 1000,
        .max_attempts = 5,
        .max_in_flight = 16,
        .max_bytes = 1024 * 1024,
        .batch = 10,
        .poll_min_ms = 2,
        .poll_max_ms = 50,
        .lease_ms = 3000,
        .seed = seed,
        .route = take_all,
    };
}

void lane_world_boot(struct lane_world *w)
{
    struct rider_error err;

    if (inbox_create("sim", w->config.max_in_flight, false, &w->inbox, &err) != 0) {
        abort();
    }
    w->publisher.host = inbox_host(w->inbox);
    const struct lane_ports ports = {
        .store = sim_store_attach(w->store),
        .inbox = w->inbox,
        .vt = &sim_publisher_vtable,
        .publisher = (struct publisher *)(void *)&w->publisher,
        .stats = &w->stats,
        .now_ms = world_now,
        .wall_us = world_wall,
        .clock_arg = w,
    };
    if (lane_create(&w->config, &ports, &w->lane, &err) != 0) {
        abort();
    }
    sim_store_connect(w->store);
}

void lane_world_kill(struct lane_world *w)
{
    lane_destroy(w->lane);
    inbox_destroy(w->inbox);
    w->lane = NULL;
    w->inbox = NULL;
    w->publisher.n_open = 0;
}

void lane_world_done(struct lane_world *w)
{
    if (w->lane != NULL) {
        lane_world_kill(w);
    }
    sim_store_destroy(w->store);
    histogram_destroy(w->stats.commit_to_accept);
}

void lane_world_settle(struct lane_world *w)
{
    size_t quiet = 0;

    while (quiet < 2) {
        lane_step(w->lane);
        quiet = sim_store_pump(w->store, 8) == 0 ? quiet + 1 : 0;
    }
}

void lane_world_pass(struct lane_world *w, uint64_t ms)
{
    w->now_ms += ms;
    lane_world_settle(w);
}

void lane_world_write(struct lane_world *w, int key)
{
    sim_store_commit(w->store, sim_store_insert(w->store, key));
}
