/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_call.h - one call of a route of the API, as the route's function sees it.
 *
 * The function writes its answer to `out` and returns 0, or returns a code: with
 * call->problem set, that is what the client is told; else RIDER_E_CONFIG is the
 * client's mistake with the error's text, RIDER_E_NOT_FOUND a 404, and anything else
 * goes to the log only.
 */
#ifndef API_API_CALL_H
#define API_API_CALL_H

#include "api/api_auth.h"
#include "api/api_backend.h"
#include "api/api_problem.h"
#include "base/error.h"
#include "http/http_message.h"

#include <stddef.h>

struct work_slots;

#define API_MAX_BODY       ((size_t)1024 * 1024)
#define API_MAX_VALUES     2 /* {names} in the path of a route */
#define API_VALUE_SIZE     256
#define API_REQUEST_ID_LEN 36

struct api_call {
    const struct http_request *req;
    struct http_response *res; /* for its headers, and another status than 200 */
    const struct api_backend *backend;
    const char *dsn;     /* the backend's */
    const char *who;     /* the principal's name; "" on a public route */
    unsigned int scopes; /* the principal's, of enum api_scope */
    const char *request_id;
    char values[API_MAX_VALUES][API_VALUE_SIZE]; /* of the {names}, decoded */
    struct api_problem *problem;
    struct work_slots *slots; /* of all calls */
};

/** `out` is the answer's body; it stays empty with status 204 and 304. Blocks on the
 *  database. */
typedef int api_route_fn(struct api_call *call, struct buf *out,
                         struct rider_error *err);

/** A method of a path. Segments in braces take any text but a slash. */
struct api_route {
    const char *method, *path;
    unsigned int scope; /* of enum api_scope; 0: public, no token is looked at */
    api_route_fn *run;
};

/** The routes of one subject. */
struct api_route_table {
    const struct api_route *routes;
    size_t n;
};

#define API_ROUTES(array)                           \
    {                                               \
        (array), sizeof(array) / sizeof((array)[0]) \
    }

#endif
