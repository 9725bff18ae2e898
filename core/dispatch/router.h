/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router.h - whether an event goes to one destination: it does when any of the
 * destination's rules matches. Immutable; any thread.
 */
#ifndef DISPATCH_ROUTER_H
#define DISPATCH_ROUTER_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>

/** Globs, NULL-terminated; a NULL list matches everything. */
struct route_rule {
    const char *const *types, *const *aggregate_types;
};

struct router;

/** Copies the rules and their strings. NULL when out of memory. */
struct router *router_create(const struct route_rule *rules, size_t n);
void router_destroy(struct router *r);

/** A lane_route_fn; `arg` is the router. */
bool router_wants(void *arg, struct rider_bytes type,
                  struct rider_bytes aggregate_type);

#endif
