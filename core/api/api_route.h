/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_route.h - which route a path leads to. Pure; any thread.
 */
#ifndef API_API_ROUTE_H
#define API_API_ROUTE_H

#include "api/api_call.h"

#include <stdbool.h>

#define API_ALLOW_SIZE 64

/** What was found for a method and a path. */
struct api_match {
    const struct api_route *route; /* NULL: no such path or, with `allow`, method */
    char allow[API_ALLOW_SIZE];    /* the methods of the path; "" when there is none */
    char values[API_MAX_VALUES][API_VALUE_SIZE];
};

/** Looks the path, as it was sent, up in the tables. A literal segment wins over one
 *  in braces, whatever their order; HEAD is taken by GET. A value that is empty, too
 *  long or no proper text is no match. */
void api_route_find(const struct api_route_table *const *tables, size_t n,
                    const char *method, const char *path, struct api_match *ret);

#endif
