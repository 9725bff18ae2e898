/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_routes.h - /metrics, /livez, /readyz and /healthz.
 *
 * What they show is injected, so that the routes know no database and no lane.
 * GET and HEAD only; the status is the contract, the JSON is for people.
 */
#ifndef DAEMON_OPS_ROUTES_H
#define DAEMON_OPS_ROUTES_H

#include "http/http_message.h"

#include <stdbool.h>

/** Where the numbers come from. The functions are called from server threads,
 *  concurrently, and read atomics and cached state only: they never wait for the
 *  database or a destination. All three are required. */
struct ops_source {
    void *arg;
    /** Appends a scrape, see metrics/exposition.h. */
    void (*metrics)(void *arg, struct buf *out);
    /** Whether the loops turn; appends one JSON object. False: restart me. */
    bool (*live)(void *arg, struct buf *json);
    /** Whether work is being done or could be; appends one JSON object. */
    bool (*ready)(void *arg, struct buf *json);
};

/** An http_handler_fn; `arg` is a `struct ops_source` that outlives the server.
 *  /livez and /healthz ask live(), /readyz asks ready(); 503 when they deny. */
void ops_routes_handle(void *arg, const struct http_request *req,
                       struct http_response *res);

#endif
