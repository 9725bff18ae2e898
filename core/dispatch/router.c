/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router.c - whether an event goes to one destination.
 */
#include "dispatch/router.h"

#include "dispatch/glob.h"

#include <stdlib.h>
#include <string.h>

struct router {
    size_t n;
    struct route_rule rules[];
};

struct router *router_create(const struct route_rule *rules, size_t n)
{
    struct router *r = malloc(sizeof(*r) + n * sizeof(r->rules[0]));

    if (r != NULL) {
        r->n = n;
        if (n > 0) {
            memcpy(r->rules, rules, n * sizeof(*rules));
        }
    }
    return r;
}

void router_destroy(struct router *r)
{
    free(r);
}

static bool any_matches(const char *const *globs, struct rider_bytes text)
{
    if (globs == NULL) {
        return true;
    }
    for (; *globs != NULL; globs++) {
        if (glob_match(*globs, text.data, text.len)) {
            return true;
        }
    }
    return false;
}

bool router_wants(void *arg, struct rider_bytes type, struct rider_bytes aggregate_type)
{
    const struct router *r = arg;

    for (size_t i = 0; i < r->n; i++) {
        if (any_matches(r->rules[i].types, type) &&
            any_matches(r->rules[i].aggregate_types, aggregate_type)) {
            return true;
        }
    }
    return false;
}
