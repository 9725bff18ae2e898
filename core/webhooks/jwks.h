/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwks.h - the key of v1a signatures as receivers see it: a JWK set (RFC 7517) with
 * one Ed25519 key (RFC 8037), named by its thumbprint (RFC 7638).
 * Thread: any. Nothing blocks.
 */
#ifndef WEBHOOKS_JWKS_H
#define WEBHOOKS_JWKS_H

#include "base/buf.h"
#include "base/error.h"

/** Appends {"keys":[...]} for the public half of `signing_key`, whsk_ text; NULL: there
 *  is none, and the list is empty. Besides the members of a JWK the key has "whpk", the
 *  text that Standard Webhooks libraries take. RIDER_E_CONFIG: not a whsk_ key. */
int webhook_keys_write(const char *signing_key, struct buf *out,
                       struct rider_error *err) RIDER_MUST_CHECK;

/** Room for "whsk_", 64 bytes in base64 and NUL. */
#define WEBHOOK_KEY_SIZE 94

/** Makes a new whsk_ key: random seed and its public key. RIDER_E_INTERNAL. */
int webhook_key_new(char out[WEBHOOK_KEY_SIZE],
                    struct rider_error *err) RIDER_MUST_CHECK;

#endif
