/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwks.c - the key of v1a signatures as receivers see it.
 *
 * The public key is computed from the seed, as signing does it: what a whsk_ text says
 * about its own public half is not believed.
 */
#include "webhooks/jwks.h"

#include "base/json_writer.h"
#include "postrider/signature.h"
#include "webhooks/base64.h"
#include "webhooks/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define KEY_LEN   32
#define TEXT_SIZE (BASE64_LEN(KEY_LEN) + 1)

static bool public_of(const unsigned char seed[KEY_LEN], unsigned char out[KEY_LEN])
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KEY_LEN);
    size_t len = KEY_LEN;
    bool ok = pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, out, &len) == 1 &&
              len == KEY_LEN;

    EVP_PKEY_free(pkey);
    return ok;
}

/* RFC 4648 section 5, without padding, as JOSE wants it. */
static void base64url(const unsigned char data[KEY_LEN], char out[TEXT_SIZE])
{
    base64_encode(data, KEY_LEN, out);
    for (char *p = out; *p != '\0'; p++) {
        if (*p == '+') {
            *p = '-';
        } else if (*p == '/') {
            *p = '_';
        } else if (*p == '=') {
            *p = '\0';
            return;
        }
    }
}

/* RFC 7638: SHA-256 of the required members in the order of their names. */
static bool thumbprint(const char *x, char out[TEXT_SIZE])
{
    unsigned char digest[CRYPTO_SHA256_LEN];
    char text[128];

    int n = snprintf(text, sizeof(text),
                     "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
    const struct crypto_part members = {text, (size_t)n};
    if (!crypto_sha256(&members, 1, digest)) {
        return false;
    }
    base64url(digest, out);
    return true;
}

static void write_key(struct json_writer *w, const char *x, const char *kid,
                      const char *whpk)
{
    jw_object(w, NULL);
    jw_string(w, "kty", "OKP");
    jw_string(w, "crv", "Ed25519");
    jw_string(w, "alg", "EdDSA");
    jw_string(w, "use", "sig");
    jw_string(w, "kid", kid);
    jw_string(w, "x", x);
    jw_string(w, "whpk", whpk);
    jw_object_end(w);
}

static int write_public(const char *signing_key, struct json_writer *w,
                        struct rider_error *err)
{
    char x[TEXT_SIZE], kid[TEXT_SIZE], whpk[TEXT_SIZE + 5] = "whpk_";
    unsigned char raw[KEY_LEN];
    struct rider_key key;
    bool good = rider_key_parse(signing_key, 0, &key) == RIDER_SIGNATURE_OK &&
                key.kind == RIDER_KEY_ED25519_SECRET;
    bool made = good && public_of(key.bytes, raw);

    rider_key_clear(&key);
    if (!good) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "the signing key is not \"whsk_\" and 32 or 64 bytes in "
                          "padded base64");
    }
    if (made) {
        base64url(raw, x);
        base64_encode(raw, KEY_LEN, whpk + 5);
        made = thumbprint(x, kid);
    }
    if (!made) {
        return rider_fail(err, RIDER_E_INTERNAL, "could not compute the public key");
    }
    write_key(w, x, kid, whpk);
    return 0;
}

int webhook_keys_write(const char *signing_key, struct buf *out,
                       struct rider_error *err)
{
    struct json_writer w = jw_begin(out);
    int rc = 0;

    jw_object(&w, NULL);
    jw_array(&w, "keys");
    if (signing_key != NULL) {
        rc = write_public(signing_key, &w, err);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    if (rc == 0 && out->failed) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    return rc;
}

int webhook_key_new(char out[WEBHOOK_KEY_SIZE], struct rider_error *err)
{
    unsigned char bytes[2 * KEY_LEN];
    bool made =
        RAND_priv_bytes(bytes, KEY_LEN) == 1 && public_of(bytes, bytes + KEY_LEN);

    if (made) {
        (void)snprintf(out, WEBHOOK_KEY_SIZE, "whsk_");
        base64_encode(bytes, sizeof(bytes), out + 5);
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return made ? 0 : rider_fail(err, RIDER_E_INTERNAL, "could not make a signing key");
}
