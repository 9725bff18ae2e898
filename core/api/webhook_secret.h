/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_secret.h - secrets of subscriptions on their way between client and database.
 *
 * Texts are "whsec_" and the base64 of 24 to 64 bytes; in the database they lie sealed,
 * each for the row it is in. Whoever holds a plain one clears it.
 * Thread: any. Nothing blocks.
 */
#ifndef API_WEBHOOK_SECRET_H
#define API_WEBHOOK_SECRET_H

#include "base/buf.h"
#include "base/error.h"
#include "webhooks/key_ring.h"

#define WEBHOOK_SECRET_SIZE 104 /* whsec_, base64 of 64 bytes, NUL */
#define WEBHOOK_ID_SIZE     40  /* prefix, 32 hex digits, NUL */

struct webhook_secret {
    char text[WEBHOOK_SECRET_SIZE];
    char id[WEBHOOK_ID_SIZE]; /* "key_..." */
};

/** "sub_" or another prefix and 32 random hex digits. RIDER_E_INTERNAL. */
int webhook_id_make(const char *prefix, char out[WEBHOOK_ID_SIZE],
                    struct rider_error *err) RIDER_MUST_CHECK;

/** A new one of 32 random bytes. RIDER_E_INTERNAL. */
int webhook_secret_make(struct webhook_secret *ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Why `text` is no secret that can be used, static, or NULL; then *ret holds it. */
const char *webhook_secret_take(const char *text, struct webhook_secret *ret);

/** Seals it for the subscription `id`; *hex gets the bytes in hex. */
int webhook_secret_seal(const struct key_ring *ring, const char *id,
                        const struct webhook_secret *secret, uint32_t *ret_number,
                        struct buf *hex, struct rider_error *err) RIDER_MUST_CHECK;

/** Opens bytes in hex that were sealed for `context`, and appends them to `out`, which
 *  the caller clears. RIDER_E_CONFIG: they cannot be opened. */
int webhook_open_hex(const struct key_ring *ring, uint32_t number, const char *context,
                     const char *hex, struct buf *out,
                     struct rider_error *err) RIDER_MUST_CHECK;

/** Seals bytes for `context` with the current key, as hex. */
int webhook_seal_hex(const struct key_ring *ring, const char *context,
                     const void *plain, size_t len, struct buf *hex,
                     struct rider_error *err) RIDER_MUST_CHECK;

/** Overwrites what a buffer holds and ends it. */
void webhook_buf_wipe(struct buf *b);

void webhook_secret_clear(struct webhook_secret *secret);

#endif
