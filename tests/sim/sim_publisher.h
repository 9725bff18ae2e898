/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_publisher.h - an adapter without a thread: it keeps what it takes, and
 * the test decides how and when each delivery ends. It records every
 * acceptance in order.
 */
#ifndef TESTS_SIM_PUBLISHER_H
#define TESTS_SIM_PUBLISHER_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>

#define SIM_MAX_OPEN     512
#define SIM_MAX_ACCEPTED 20000

struct sim_acceptance {
    int key, number;
};

struct sim_publisher {
    const struct rider_host *host;
    size_t room; /* how many it takes at once */
    const struct rider_event *open[SIM_MAX_OPEN];
    size_t n_open;
    size_t most_open_of_a_key;
    struct sim_acceptance accepted[SIM_MAX_ACCEPTED];
    size_t n_accepted;
};

extern const struct publisher_vtable sim_publisher_vtable;

/** Ends the delivery at `i` of open[]; a DELIVERED one is recorded. */
void sim_publisher_end(struct sim_publisher *p, size_t i,
                       const struct rider_result *result);
void sim_publisher_end_all(struct sim_publisher *p, const struct rider_result *result);
/** The receiver got it, but the adapter does not know. */
void sim_publisher_record(struct sim_publisher *p, size_t i);

/** "k12" and {"n":3} of an event. */
int sim_publisher_key(const struct rider_event *ev);
int sim_publisher_number(const struct rider_event *ev);

#endif
