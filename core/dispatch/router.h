/* SPDX-License-Identifier: Apache-2.0 */
/*
  * router.h - whether an event goes to one lane: it does when any of its
 * destination's rules matches and, where the destination is split, the
 * aggregate falls to the lane's part. Immutable; any thread.
 */
#ifndef DISPATCH_ROUTER_H
#define DISPATCH_ROUTER_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Globs, NULL-terminated; a NULL list matches everything. */
struct route_rule {
    const char *const *types, *const *aggregate_types;
};

struct router;

/** Of `parts` lanes that share a destination, `part` takes the aggregates whose
 *  hash falls to it; 0 of 1 takes all. Copies the rules and their strings. NULL
 *  when out of memory. */
struct router *router_create(const struct route_rule *rules, size_t n, uint32_t part,
                             uint32_t parts);
void router_destroy(struct router *r);

/** A lane_route_fn; `arg` is the router. */
bool router_wants(void *arg, struct rider_bytes type, struct rider_bytes aggregate_type,
                  struct rider_bytes aggregate_id);

/** Calls `fn` for pairs of globs: an event fits one of them exactly if a rule matches
 *  it. The texts live as long as the router. */
void router_each_pair(const struct router *r,
                      void (*fn)(void *arg, const char *type,
                                 const char *aggregate_type),
                      void *arg);

#endif
