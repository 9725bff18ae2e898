/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_auth.h - who may use the HTTP API.
 *
 * A token file has a line for each principal: its name, its scopes, separated by
 * commas, and the SHA-256 of its token in hex. "read" and "write" are for everything,
 * "webhooks.read" and "webhooks.write" for subscriptions alone; to write includes to
 * read. Tokens themselves are nowhere
 * on this side. A changed file counts from the next request on; one with a mistake
 * leaves the old principals in force and is logged.
 * Thread: any.
 */
#ifndef API_API_AUTH_H
#define API_API_AUTH_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum api_scope {
    API_READ = 1,
    API_WRITE = 2,
    API_WEBHOOKS_READ = 4,
    API_WEBHOOKS_WRITE = 8
};

#define API_NAME_SIZE 64

struct api_principal {
    char name[API_NAME_SIZE];
    unsigned int scopes; /* of enum api_scope */
};

struct api_auth;

/** Reads the file. RIDER_E_IO, or RIDER_E_CONFIG naming the line; a file that
 *  others may write is refused. */
int api_auth_create(const char *path, struct api_auth **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;
/** Accepts NULL. */
void api_auth_destroy(struct api_auth *auth);
RIDER_DEFINE_PTR_CLEANUP(struct api_auth, api_auth_destroy);

/** Whether `header`, the value of Authorization or NULL, is "Bearer <token>" with a
 *  known token (RFC 6750). Compares with every digest in constant time. Blocks on
 *  the file when it has changed. */
bool api_auth_check(struct api_auth *auth, const char *header,
                    struct api_principal *ret);

#endif
