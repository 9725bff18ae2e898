/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_route.c - which route a path leads to.
 */
#include "api/api_route.h"

#include "api/api_request.h"

#include <stdio.h>
#include <string.h>

/* Takes the segment at *path as a value. */
static bool take_value(const char **path, char out[API_VALUE_SIZE])
{
    RIDER_CLEANUP(buf_done) struct buf value = buf_make(API_VALUE_SIZE - 1);
    size_t len = strcspn(*path, "/");

    if (len == 0 || !api_request_decode(*path, len, &value)) {
        return false;
    }
    memcpy(out, buf_text(&value), value.len + 1);
    *path += len;
    return true;
}

/* Compares a pattern with a path; *ret_literal counts the bytes that are the same. */
static bool matches(const char *pattern, const char *path, struct api_match *ret,
                    size_t *ret_literal)
{
    size_t n = 0;

    *ret_literal = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++) {
                return false;
            }
            ++*ret_literal;
            continue;
        }
        if (n == API_MAX_VALUES || !take_value(&path, ret->values[n++])) {
            return false;
        }
        pattern += strcspn(pattern, "}") + 1;
    }
    return *path == '\0';
}

static void add_method(struct api_match *match, const char *method)
{
    size_t len = strlen(match->allow);

    (void)snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s",
                   len == 0 ? "" : ", ", method);
    if (strcmp(method, "GET") == 0) {
        add_method(match, "HEAD");
    }
}

static void consider(const struct api_route *route, const char *method,
                     const char *path, size_t *best, struct api_match *ret)
{
    struct api_match found = {.route = NULL};
    size_t literal = 0;

    if (!matches(route->path, path, &found, &literal) || literal < *best) {
        return;
    }
    if (literal > *best) {
        *best = literal;
        *ret = (struct api_match){.route = NULL};
    }
    add_method(ret, route->method);
    if (strcmp(route->method, method) == 0 ||
        (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0)) {
        ret->route = route;
        memcpy(ret->values, found.values, sizeof(ret->values));
    }
}

void api_route_find(const struct api_route_table *const *tables, size_t n,
                    const char *method, const char *path, struct api_match *ret)
{
    size_t best = 0;

    *ret = (struct api_match){.route = NULL};
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            consider(&tables[t]->routes[i], method, path, &best, ret);
        }
    }
}
