/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.c - the little that the rest of the core needs of OpenSSL.
 */
#include "webhooks/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

bool crypto_sha256(const struct crypto_part *parts, size_t n,
                   unsigned char out[CRYPTO_SHA256_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool fine = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; fine && i < n; i++) {
        fine = parts[i].len == 0 ||
               EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
    }
    fine = fine && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return fine;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

bool crypto_random(unsigned char *out, size_t n)
{
    return n <= INT_MAX && RAND_bytes(out, (int)n) == 1;
}
