/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature.c - Standard Webhooks signatures through OpenSSL's EVP.
 *
 * A signer keeps a keyed MAC context and re-arms it for each message, which is
 * about three times as fast as keying anew. Verification computes the expected MAC
 * once for each key and compares it with each entry of the header; the bytes of
 * the body are never copied for `v1`. Ed25519 needs the message in one piece.
 *
 * Invariant: what was signed is exactly id.timestamp.body, never a re-encoding.
 * Not here: HTTP, the store of ids already seen, keys at rest.
 */
#include "postrider/signature.h"
#include "webhooks/base64.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAC_LEN     32u
#define ED25519_LEN 64u
#define SEED_LEN    32u

struct rider_signer {
    enum rider_key_kind kind;
    EVP_MAC_CTX *mac; /* RIDER_KEY_HMAC */
    EVP_PKEY *pkey;   /* the Ed25519 kinds */
};

/** The parts of the signed text, in order. */
struct signed_text {
    const char *id, *timestamp;
    const void *body;
    size_t body_len;
};

const char *rider_signature_text(enum rider_signature_status status)
{
    switch (status) {
    case RIDER_SIGNATURE_OK:
        return "the signature is valid";
    case RIDER_SIGNATURE_MISSING_HEADER:
        return "webhook-id, webhook-timestamp or webhook-signature is missing";
    case RIDER_SIGNATURE_MALFORMED:
        return "the webhook-id or webhook-signature header is malformed";
    case RIDER_SIGNATURE_BAD_TIMESTAMP:
        return "the webhook-timestamp header is not a number of seconds";
    case RIDER_SIGNATURE_TOO_OLD:
        return "the request is older than the tolerance";
    case RIDER_SIGNATURE_TOO_NEW:
        return "the request is dated in the future";
    case RIDER_SIGNATURE_NO_MATCH:
        return "no signature was made with this secret over these bytes";
    case RIDER_SIGNATURE_NO_KEY:
        return "there is no secret to use";
    case RIDER_KEY_BAD_PREFIX:
        return "the key must start with \"whsec_\", \"whsk_\" or \"whpk_\"";
    case RIDER_KEY_NOT_BASE64:
        return "the key is not standard base64 with padding";
    case RIDER_KEY_TOO_SHORT:
        return "the key is too short (a secret has 24 to 64 bytes)";
    case RIDER_KEY_TOO_LONG:
        return "the key is too long (a secret has 24 to 64 bytes)";
    case RIDER_SIGNATURE_FAILED:
        return "the signature could not be computed";
    }
    return "unknown status";
}

static EVP_MAC_CTX *keyed_mac(const struct rider_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);

    EVP_MAC_free(hmac); /* the context holds its own reference */
    if (ctx != NULL && EVP_MAC_init(ctx, key->bytes, key->len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

/* A key is a plain value that a program may have filled itself: with no bytes anybody
 * could sign, and a length beyond its array is none. */
static bool is_key(const struct rider_key *key)
{
    size_t min = key->kind == RIDER_KEY_HMAC ? 1 : SEED_LEN;

    return key->kind != RIDER_KEY_NONE && key->kind <= RIDER_KEY_ED25519_PUBLIC &&
           key->len >= min && key->len <= sizeof(key->bytes);
}

enum rider_signature_status rider_signer_create(const struct rider_key *key,
                                                struct rider_signer **ret)
{
    if (!is_key(key)) {
        return RIDER_SIGNATURE_NO_KEY;
    }
    struct rider_signer *signer = calloc(1, sizeof(*signer));

    if (signer == NULL) {
        return RIDER_SIGNATURE_FAILED;
    }
    signer->kind = (enum rider_key_kind)key->kind;
    if (signer->kind == RIDER_KEY_HMAC) {
        signer->mac = keyed_mac(key);
    } else if (signer->kind == RIDER_KEY_ED25519_SECRET) {
        signer->pkey =
            EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->bytes, SEED_LEN);
    } else {
        signer->pkey =
            EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, SEED_LEN);
    }
    if (signer->mac == NULL && signer->pkey == NULL) {
        free(signer);
        return RIDER_SIGNATURE_FAILED;
    }
    *ret = signer;
    return RIDER_SIGNATURE_OK;
}

void rider_signer_destroy(struct rider_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    EVP_MAC_CTX_free(signer->mac);
    EVP_PKEY_free(signer->pkey);
    free(signer);
}

static bool mac_of(EVP_MAC_CTX *ctx, const struct signed_text *text,
                   unsigned char out[MAC_LEN])
{
    const unsigned char *dot = (const unsigned char *)".";
    size_t len = 0;

    return EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(ctx, (const unsigned char *)text->id, strlen(text->id)) ==
               1 &&
           EVP_MAC_update(ctx, dot, 1) == 1 &&
           EVP_MAC_update(ctx, (const unsigned char *)text->timestamp,
                          strlen(text->timestamp)) == 1 &&
           EVP_MAC_update(ctx, dot, 1) == 1 &&
           (text->body_len == 0 ||
            EVP_MAC_update(ctx, text->body, text->body_len) == 1) &&
           EVP_MAC_final(ctx, out, &len, MAC_LEN) == 1 && len == MAC_LEN;
}

/** The signed text in one piece, freed by the caller; NULL when memory is short. */
static unsigned char *joined(const struct signed_text *text, size_t *ret_len)
{
    size_t id_len = strlen(text->id), ts_len = strlen(text->timestamp);
    size_t len = id_len + 1 + ts_len + 1 + text->body_len;
    unsigned char *all = malloc(len);

    if (all == NULL) {
        return NULL;
    }
    memcpy(all, text->id, id_len);
    all[id_len] = '.';
    memcpy(all + id_len + 1, text->timestamp, ts_len);
    all[id_len + 1 + ts_len] = '.';
    if (text->body_len > 0) {
        memcpy(all + id_len + ts_len + 2, text->body, text->body_len);
    }
    *ret_len = len;
    return all;
}

static bool ed25519_sign(EVP_PKEY *pkey, const struct signed_text *text,
                         unsigned char out[ED25519_LEN])
{
    size_t len = 0, out_len = ED25519_LEN;
    unsigned char *all = joined(text, &len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = all != NULL && ctx != NULL &&
              EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, out, &out_len, all, len) == 1;

    EVP_MD_CTX_free(ctx);
    free(all);
    return ok;
}

static bool ed25519_verify(EVP_PKEY *pkey, const struct signed_text *text,
                           const unsigned char signature[ED25519_LEN])
{
    size_t len = 0;
    unsigned char *all = joined(text, &len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = all != NULL && ctx != NULL &&
              EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, ED25519_LEN, all, len) == 1;

    EVP_MD_CTX_free(ctx);
    free(all);
    return ok;
}

/** An id is visible ASCII, and has no '.', which separates the signed parts. */
static bool id_ok(const char *id)
{
    for (const char *p = id; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '.') {
            return false;
        }
    }
    return id[0] != '\0';
}

enum rider_signature_status rider_signer_sign(struct rider_signer *signer,
                                              const char *id, int64_t timestamp,
                                              const void *body, size_t body_len,
                                              char out[RIDER_SIGNATURE_SIZE])
{
    char seconds[24];
    const struct signed_text text = {id, seconds, body, body_len};
    unsigned char raw[ED25519_LEN];

    out[0] = '\0';
    if (id == NULL || !id_ok(id)) {
        return RIDER_SIGNATURE_MALFORMED;
    }
    if (timestamp < 0) {
        return RIDER_SIGNATURE_BAD_TIMESTAMP;
    }
    (void)snprintf(seconds, sizeof(seconds), "%" PRId64, timestamp);
    if (signer->kind == RIDER_KEY_HMAC) {
        if (!mac_of(signer->mac, &text, raw)) {
            return RIDER_SIGNATURE_FAILED;
        }
        memcpy(out, "v1,", 3);
        base64_encode(raw, MAC_LEN, out + 3);
        return RIDER_SIGNATURE_OK;
    }
    if (signer->kind != RIDER_KEY_ED25519_SECRET) {
        return RIDER_SIGNATURE_NO_KEY;
    }
    if (!ed25519_sign(signer->pkey, &text, raw)) {
        return RIDER_SIGNATURE_FAILED;
    }
    memcpy(out, "v1a,", 4);
    base64_encode(raw, ED25519_LEN, out + 4);
    return RIDER_SIGNATURE_OK;
}

enum rider_signature_status rider_signature_sign(const struct rider_key *key,
                                                 const char *id, int64_t timestamp,
                                                 const void *body, size_t body_len,
                                                 char out[RIDER_SIGNATURE_SIZE])
{
    struct rider_signer *signer = NULL;
    enum rider_signature_status status = rider_signer_create(key, &signer);

    out[0] = '\0';
    if (status == RIDER_SIGNATURE_OK) {
        status = rider_signer_sign(signer, id, timestamp, body, body_len, out);
    }
    rider_signer_destroy(signer);
    return status;
}

/** Plain decimal without sign or leading zero, so that one instant has one text. */
static bool parse_seconds(const char *text, int64_t *ret)
{
    int64_t value = 0;
    size_t len = strlen(text);

    if (len == 0 || len > 18 || (text[0] == '0' && len > 1)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (text[i] - '0');
    }
    *ret = value;
    return true;
}

/** Without the overflow that a difference of any two instants could have. */
static uint64_t seconds_between(int64_t earlier, int64_t later)
{
    return (uint64_t)later - (uint64_t)earlier;
}

static enum rider_signature_status check_time(const char *timestamp, int64_t now,
                                              int64_t tolerance)
{
    int64_t then = 0;

    if (!parse_seconds(timestamp, &then)) {
        return RIDER_SIGNATURE_BAD_TIMESTAMP;
    }
    if (tolerance < 0) {
        return RIDER_SIGNATURE_OK;
    }
    if (then < now && seconds_between(then, now) > (uint64_t)tolerance) {
        return RIDER_SIGNATURE_TOO_OLD;
    }
    return then > now && seconds_between(now, then) > (uint64_t)tolerance
               ? RIDER_SIGNATURE_TOO_NEW
               : RIDER_SIGNATURE_OK;
}

/** Finds the next entry at or after *cursor and moves past it. Entries end at a
 *  space; ret_value is what follows the comma. False at the end of the header. */
static bool next_entry(const char **cursor, const char **ret_version,
                       const char **ret_value, size_t *ret_len)
{
    const char *entry = *cursor + strspn(*cursor, " ");
    size_t len = strcspn(entry, " ");
    const char *comma = memchr(entry, ',', len);

    *cursor = entry + len;
    *ret_version = entry;
    *ret_value = comma == NULL ? entry + len : comma + 1;
    *ret_len = len - (size_t)(*ret_value - entry);
    return len > 0;
}

static bool has_entry(const char *header)
{
    const char *version = NULL, *value = NULL;
    size_t len = 0;

    while (next_entry(&header, &version, &value, &len)) {
        if (len > 0 && value - version > 1) {
            return true;
        }
    }
    return false;
}

/** True if one entry of `header` was made with this signer's key. */
static bool matches(struct rider_signer *signer, const char *header,
                    const struct signed_text *text)
{
    bool symmetric = signer->kind == RIDER_KEY_HMAC, found = false;
    const char *want = symmetric ? "v1," : "v1a,";
    const char *version = NULL, *value = NULL;
    size_t len = 0, raw_len = 0, want_len = symmetric ? MAC_LEN : ED25519_LEN;
    unsigned left = symmetric ? UINT_MAX : RIDER_SIGNATURE_TRIES;
    unsigned char expected[MAC_LEN] = {0}, raw[ED25519_LEN];

    if (symmetric && !mac_of(signer->mac, text, expected)) {
        return false;
    }
    while (left > 0 && next_entry(&header, &version, &value, &len)) {
        if (strncmp(version, want, strlen(want)) != 0 ||
            !base64_decode(value, len, raw, want_len, &raw_len) ||
            raw_len != want_len) {
            continue;
        }
        left--;
        found |= symmetric ? CRYPTO_memcmp(raw, expected, MAC_LEN) == 0
                           : ed25519_verify(signer->pkey, text, raw);
    }
    OPENSSL_cleanse(expected, sizeof(expected));
    return found;
}

enum rider_signature_status rider_signature_verify(
    const struct rider_key *keys, size_t n_keys,
    const struct rider_signed_message *message, int64_t now, int64_t tolerance)
{
    const struct signed_text text = {message->id, message->timestamp, message->body,
                                     message->body_len};

    if (message->id == NULL || message->timestamp == NULL ||
        message->signature == NULL || message->id[0] == '\0' ||
        message->timestamp[0] == '\0' || message->signature[0] == '\0') {
        return RIDER_SIGNATURE_MISSING_HEADER;
    }
    if (!id_ok(message->id) || !has_entry(message->signature)) {
        return RIDER_SIGNATURE_MALFORMED;
    }
    enum rider_signature_status status = check_time(message->timestamp, now, tolerance);

    if (status != RIDER_SIGNATURE_OK) {
        return status;
    }
    status = n_keys == 0 ? RIDER_SIGNATURE_NO_KEY : RIDER_SIGNATURE_NO_MATCH;
    for (size_t i = 0; i < n_keys && status != RIDER_SIGNATURE_OK; i++) {
        struct rider_signer *signer = NULL;
        enum rider_signature_status made = rider_signer_create(&keys[i], &signer);

        if (made != RIDER_SIGNATURE_OK) {
            return made;
        }
        if (matches(signer, message->signature, &text)) {
            status = RIDER_SIGNATURE_OK;
        }
        rider_signer_destroy(signer);
    }
    return status;
}
