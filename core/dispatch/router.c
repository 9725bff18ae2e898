/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router.c - whether an event goes to one destination.
 */
#include "dispatch/router.h"

#include "dispatch/glob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As struct route_rule, with lists of its own. */
struct own_rule {
    char **types, **aggregate_types;
};

struct router {
    uint32_t part, parts;
    size_t n;
    struct own_rule rules[];
};

static void free_list(char **globs)
{
    for (char **g = globs; g != NULL && *g != NULL; g++) {
        free(*g);
    }
    free(globs);
}

/* False when out of memory; a NULL list stays NULL. */
static bool copy_list(const char *const *globs, char ***ret)
{
    size_t n = 0;

    *ret = NULL;
    if (globs == NULL) {
        return true;
    }
    while (globs[n] != NULL) {
        n++;
    }
    *ret = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; *ret != NULL && i < n; i++) {
        (*ret)[i] = strdup(globs[i]);
        if ((*ret)[i] == NULL) {
            return false;
        }
    }
    return *ret != NULL;
}

struct router *router_create(const struct route_rule *rules, size_t n, uint32_t part,
                             uint32_t parts)
{
    struct router *r = calloc(1, sizeof(*r) + n * sizeof(r->rules[0]));

    if (r == NULL) {
        return NULL;
    }
    r->part = part;
    r->parts = parts;
    for (r->n = 0; r->n < n; r->n++) {
        struct own_rule *to = &r->rules[r->n];
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

static bool any_matches(char *const *globs, struct rider_bytes text)
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

/* FNV-1a, 64 bits, over type, a zero byte and id. Part of the data model: lanes
 * of one destination must agree on it over all versions of the program. */
static uint64_t part_hash(struct rider_bytes aggregate_type,
                          struct rider_bytes aggregate_id)
{
    const unsigned char *type = aggregate_type.data;
    const unsigned char *id = aggregate_id.data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < aggregate_type.len; i++) {
        h = (h ^ type[i]) * UINT64_C(0x100000001b3);
    }
    h *= UINT64_C(0x100000001b3);
    for (size_t i = 0; i < aggregate_id.len; i++) {
        h = (h ^ id[i]) * UINT64_C(0x100000001b3);
    }
    return h ^ h >> 32;
}

bool router_wants(void *arg, struct rider_bytes type, struct rider_bytes aggregate_type,
                  struct rider_bytes aggregate_id)
{
    const struct router *r = arg;

    if (r->parts > 1 && part_hash(aggregate_type, aggregate_id) % r->parts != r->part) {
        return false;
    }

    for (size_t i = 0; i < r->n; i++) {
        if (any_matches(r->rules[i].types, type) &&
            any_matches(r->rules[i].aggregate_types, aggregate_type)) {
            return true;
        }
    }
    return false;
}

/* Of a list that is NULL: one glob, which takes everything. */
static size_t count(char *const *globs)
{
    size_t n = 0;

    while (globs != NULL && globs[n] != NULL) {
        n++;
    }
    return globs == NULL ? 1 : n;
}

static const char *glob_at(char *const *globs, size_t i)
{
    return globs == NULL ? "*" : globs[i];
}

void router_each_pair(const struct router *r,
                      void (*fn)(void *arg, const char *type,
                                 const char *aggregate_type),
                      void *arg)
{
    for (size_t i = 0; i < r->n; i++) {
        char *const *types = r->rules[i].types;
        size_t n = count(types);
        size_t m = count(r->rules[i].aggregate_types);

        for (size_t k = 0; k < n * m; k++) {
            fn(arg, glob_at(types, k / m), glob_at(r->rules[i].aggregate_types, k % m));
        }
    }
}
