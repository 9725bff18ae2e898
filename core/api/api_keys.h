/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_keys.h - the public key of v1a signatures.
 */
#ifndef API_API_KEYS_H
#define API_API_KEYS_H

#include "api/api_call.h"

/** /webhooks/keys, and /.well-known/webhooks-jwks.json, which takes no token. */
extern const struct api_route_table api_key_routes;

#endif
