/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router.c - whether an event goes to one destination.
 */
#include "dispatch/router.h"

#include "dispatch/glob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct router {
    size_t n;
    struct route_rule rules[];
};

static void free_list(const char *const *globs)
{
    if (globs == NULL) {
        return;
    }
    for (const char *const *g = globs; *g != NULL; g++) {
        free((void *)(uintptr_t)*g); /* copied by copy_list() */
    }
    free((void *)(uintptr_t)globs);
}

/* False when out of memory; a NULL list stays NULL. */
static bool copy_list(const char *const *globs, const char *const **ret)
{
    size_t n = 0;

    *ret = NULL;
    if (globs == NULL) {
        return true;
    }
    while (globs[n] != NULL) {
        n++;
    }
    const char **copy = calloc(n + 1, sizeof(*copy));
    if (copy == NULL) {
        return false;
    }
    *ret = copy;
    for (size_t i = 0; i < n; i++) {
        copy[i] = strdup(globs[i]);
        if (copy[i] == NULL) {
            return false;
        }
    }
    return true;
}

struct router *router_create(const struct route_rule *rules, size_t n)
{
    struct router *r = calloc(1, sizeof(*r) + n * sizeof(r->rules[0]));

    if (r == NULL) {
        return NULL;
    }
    for (r->n = 0; r->n < n; r->n++) {
        struct route_rule *to = &r->rules[r->n];
        if (!copy_list(rules[r->n].types, &to->types) ||
            !copy_list(rules[r->n].aggregate_types, &to->aggregate_types)) {
            r->n++;
            router_destroy(r);
            return NULL;
        }
    }
    return r;
}

void router_destroy(struct router *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        free_list(r->rules[i].types);
        free_list(r->rules[i].aggregate_types);
    }
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
