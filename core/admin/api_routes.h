/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_routes.h - the HTTP API: status, stuck, events, dead letters.
 *
 * Documented in docs/openapi.yaml; answers are the JSON of the commands. Every
 * request opens a database connection of its own and waits for it.
 * Thread: those of its http_server, concurrently.
 */
#ifndef ADMIN_API_ROUTES_H
#define ADMIN_API_ROUTES_H

#include "admin/api_auth.h"
#include "admin/http_message.h"
#include "base/error.h"

#define API_MAX_BODY   ((size_t)64 * 1024)
#define API_MAX_CHANGE 10000 /* dead letters in one request; then it says so */

struct api;

struct api_options {
    const char *listen;     /* see listen_address.h; copied */
    const char *token_file; /* see api_auth.h; copied */
    const char *dsn;        /* copied */
};

/** Listens and serves. RIDER_E_CONFIG, RIDER_E_IO. */
int api_start(const struct api_options *options, struct api **ret,
              struct rider_error *err) RIDER_MUST_CHECK;

/** "127.0.0.1:8080" with the bound port; lives as long as the API. */
const char *api_address(const struct api *api);

/** Uses another database from the next request on. Any thread. */
int api_set_dsn(struct api *api, const char *dsn,
                struct rider_error *err) RIDER_MUST_CHECK;

/** Stops as http_server_stop() does. Accepts NULL. */
void api_stop(struct api *api);

#endif
