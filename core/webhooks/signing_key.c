/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signing_key.c - the text form of webhook keys.
 *
 * A prefix names the kind, the rest is base64. Lengths follow the Standard
 * Webhooks text: 24 to 64 bytes for a shared secret, 32 for an Ed25519 public
 * key, 32 or 64 (seed, or seed and public key) for a secret one.
 *
 * Not here: where secrets are stored, and how they are encrypted there.
 */
#include "postrider/signature.h"
#include "webhooks/base64.h"

#include <openssl/crypto.h>
#include <string.h>

static const struct key_form {
    const char *prefix;
    enum rider_key_kind kind;
    size_t min, max;
} key_forms[] = {
    {"whsec_", RIDER_KEY_HMAC, RIDER_SECRET_MIN, RIDER_SECRET_MAX},
    {"whsk_", RIDER_KEY_ED25519_SECRET, 32, 64},
    {"whpk_", RIDER_KEY_ED25519_PUBLIC, 32, 32},
};

static const struct key_form *find_form(const char *text, int bare_ok,
                                        const char **ret_encoded)
{
    for (size_t i = 0; i < sizeof(key_forms) / sizeof(key_forms[0]); i++) {
        size_t len = strlen(key_forms[i].prefix);

        if (strncmp(text, key_forms[i].prefix, len) == 0) {
            *ret_encoded = text + len;
            return &key_forms[i];
        }
    }
    *ret_encoded = text;
    return bare_ok != 0 ? &key_forms[0] : NULL;
}

enum rider_signature_status rider_key_parse(const char *text, int bare_ok,
                                            struct rider_key *ret)
{
    const char *encoded = NULL;
    size_t len = 0;

    memset(ret, 0, sizeof(*ret));
    if (text == NULL || text[0] == '\0') {
        return RIDER_SIGNATURE_NO_KEY;
    }
    const struct key_form *form = find_form(text, bare_ok, &encoded);

    if (form == NULL) {
        return RIDER_KEY_BAD_PREFIX;
    }
    bool fits =
        base64_decode(encoded, strlen(encoded), ret->bytes, sizeof(ret->bytes), &len);
    enum rider_signature_status status = RIDER_SIGNATURE_OK;

    /* An Ed25519 secret key has one of two lengths, nothing between. */
    bool odd = form->kind == RIDER_KEY_ED25519_SECRET && len > 32 && len != 64;

    if (len > form->max || (fits && odd)) {
        status = RIDER_KEY_TOO_LONG;
    } else if (!fits) {
        status = RIDER_KEY_NOT_BASE64;
    } else if (len < form->min) {
        status = RIDER_KEY_TOO_SHORT;
    }
    if (status != RIDER_SIGNATURE_OK) {
        rider_key_clear(ret);
        return status;
    }
    ret->kind = (uint32_t)form->kind;
    ret->len = (uint32_t)len;
    return RIDER_SIGNATURE_OK;
}

void rider_key_clear(struct rider_key *key)
{
    if (key != NULL) {
        OPENSSL_cleanse(key, sizeof(*key));
    }
}
