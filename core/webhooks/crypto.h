/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.h - the little that the rest of the core needs of OpenSSL.
 * Thread: any. Nothing blocks.
 */
#ifndef WEBHOOKS_CRYPTO_H
#define WEBHOOKS_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#define CRYPTO_SHA256_LEN 32

struct crypto_part {
    const void *data;
    size_t len;
};

/** SHA-256 (FIPS 180-4) of the parts, one behind the other. False: OpenSSL has failed. */
bool crypto_sha256(const struct crypto_part *parts, size_t n,
                   unsigned char out[CRYPTO_SHA256_LEN]);

/** Takes as long wherever the two differ. */
bool crypto_equal(const void *a, const void *b, size_t len);

/** Bytes that nobody can guess. False: OpenSSL has none. */
bool crypto_random(unsigned char *out, size_t n);

#endif
