/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_publisher.c - an adapter without a thread.
 */
#include "sim/sim_publisher.h"

#include <stdlib.h>
#include <string.h>

static struct sim_publisher *self_of(struct publisher *p)
{
    return (struct sim_publisher *)(void *)p;
}

int sim_publisher_key(const struct rider_event *ev)
{
    return (int)strtol((const char *)ev->aggregate_id.data + 1, NULL, 10);
}

int sim_publisher_number(const struct rider_event *ev)
{
    return (int)strtol((const char *)ev->payload.data + 5, NULL, 10);
}

static void count_key(struct sim_publisher *p)
{
    for (size_t i = 0; i < p->n_open; i++) {
        size_t same = 0;
        for (size_t j = 0; j < p->n_open; j++) {
            same += sim_publisher_key(p->open[i]) == sim_publisher_key(p->open[j]);
        }
        if (same > p->most_open_of_a_key) {
            p->most_open_of_a_key = same;
        }
    }
}

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    struct sim_publisher *p = self_of(self);
    size_t taken = 0;

    while (taken < n && p->n_open < p->room && p->n_open < SIM_MAX_OPEN) {
        p->open[p->n_open++] = events[taken++];
    }
    count_key(p);
    return taken;
}

void sim_publisher_record(struct sim_publisher *p, size_t i)
{
    if (p->n_accepted < SIM_MAX_ACCEPTED) {
        p->accepted[p->n_accepted++] = (struct sim_acceptance){
            sim_publisher_key(p->open[i]), sim_publisher_number(p->open[i])};
    }
}

void sim_publisher_end(struct sim_publisher *p, size_t i,
                       const struct rider_result *result)
{
    uint64_t ticket = p->open[i]->ticket;

    if (result->outcome == RIDER_DELIVERED) {
        sim_publisher_record(p, i);
    }
    p->n_open--;
    memmove(&p->open[i], &p->open[i + 1], (p->n_open - i) * sizeof(p->open[0]));
    p->host->complete(p->host, ticket, result);
    p->host->writable(p->host);
}

void sim_publisher_end_all(struct sim_publisher *p, const struct rider_result *result)
{
    while (p->n_open > 0) {
        sim_publisher_end(p, 0, result);
    }
}

const struct publisher_vtable sim_publisher_vtable = {
    .magic = RIDER_PUBLISHER_MAGIC,
    .struct_size = sizeof(struct publisher_vtable),
    .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
    .name = "sim",
    .publish = publish,
};
