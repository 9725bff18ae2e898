/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_routes.h - the HTTP API: listens, and leads each request to its route.
 *
 * Documented in docs/openapi.yaml. Every request opens a database connection of its
 * own and waits for it, on a thread of its connection.
 * Thread: those of its http_server, concurrently.
 */
#ifndef API_API_ROUTES_H
#define API_API_ROUTES_H

#include "api/api_backend.h"
#include "base/error.h"

struct api;

struct api_options {
    const char *listen;         /* see listen_address.h; copied */
    const char *token_file;     /* see api_auth.h; copied */
    struct api_backend backend; /* taken over, also on failure */
};

/** Listens and serves. RIDER_E_CONFIG, RIDER_E_IO. */
int api_start(const struct api_options *options, struct api **ret,
              struct rider_error *err) RIDER_MUST_CHECK;

/** "127.0.0.1:8080" with the bound port; lives as long as the API. */
const char *api_address(const struct api *api);

/** Uses another backend, which it takes over, also on failure, from the next request
 *  on. The old one ends with its last request. Any thread. */
int api_set_backend(struct api *api, const struct api_backend *backend,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** Stops as http_server_stop() does. Accepts NULL. */
void api_stop(struct api *api);

#endif
