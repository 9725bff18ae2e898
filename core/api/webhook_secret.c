/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_secret.c - secrets of subscriptions on their way between client and database.
 */
#include "api/webhook_secret.h"

#include "base/cleanup.h"
#include "outbox/secret_store.h"
#include "postrider/signature.h"
#include "webhooks/base64.h"
#include "webhooks/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEW_BYTES 32

static int random_bytes(unsigned char *out, size_t n, struct rider_error *err)
{
    return crypto_random(out, n)
               ? 0
               : rider_fail(err, RIDER_E_INTERNAL, "no random bytes from OpenSSL");
}

static void put_hex(const unsigned char *bytes, size_t n, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        buf_putc(out, digits[bytes[i] >> 4]);
        buf_putc(out, digits[bytes[i] & 15]);
    }
}

int webhook_id_make(const char *prefix, char out[WEBHOOK_ID_SIZE],
                    struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf hex = buf_make(64);
    unsigned char bytes[16];
    int rc = random_bytes(bytes, sizeof(bytes), err);

    put_hex(bytes, sizeof(bytes), &hex);
    (void)snprintf(out, WEBHOOK_ID_SIZE, "%.4s%.32s", prefix, buf_text(&hex));
    return rc;
}

int webhook_secret_make(struct webhook_secret *ret, struct rider_error *err)
{
    unsigned char bytes[NEW_BYTES];
    int rc = random_bytes(bytes, sizeof(bytes), err);

    if (rc == 0) {
        rc = webhook_id_make("key_", ret->id, err);
    }
    if (rc == 0) {
        memcpy(ret->text, "whsec_", 6);
        base64_encode(bytes, sizeof(bytes), ret->text + 6);
    }
    explicit_bzero(bytes, sizeof(bytes));
    return rc;
}

const char *webhook_secret_take(const char *text, struct webhook_secret *ret)
{
    struct rider_key key;
    struct rider_error err;
    enum rider_signature_status status = rider_key_parse(text, 0, &key);

    if (status != RIDER_SIGNATURE_OK) {
        return rider_signature_text(status);
    }
    bool symmetric = key.kind == RIDER_KEY_HMAC;
    rider_key_clear(&key);
    if (!symmetric || strlen(text) >= sizeof(ret->text)) {
        return "a secret is whsec_ and the base64 of 24 to 64 bytes";
    }
    (void)snprintf(ret->text, sizeof(ret->text), "%s", text);
    return webhook_id_make("key_", ret->id, &err) == 0 ? NULL : "no random bytes";
}

void webhook_secret_clear(struct webhook_secret *secret)
{
    explicit_bzero(secret, sizeof(*secret));
}

void webhook_buf_wipe(struct buf *b)
{
    if (b->data != NULL) {
        explicit_bzero(b->data, b->cap);
    }
    buf_done(b);
}

int webhook_seal_hex(const struct key_ring *ring, const char *context,
                     const void *plain, size_t len, struct buf *hex,
                     struct rider_error *err)
{
    if (ring == NULL) {
        return rider_fail(err, RIDER_E_INTERNAL, "there is no key ring");
    }
    unsigned char *sealed = malloc(len + KEY_RING_OVERHEAD);
    if (sealed == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = key_ring_seal(ring, context, plain, len, sealed, err);
    if (rc == 0) {
        put_hex(sealed, len + KEY_RING_OVERHEAD, hex);
    }
    free(sealed);
    return rc == 0 && hex->failed ? rider_fail(err, RIDER_E_NOMEM, "out of memory")
                                  : rc;
}

int webhook_secret_seal(const struct key_ring *ring, const char *id,
                        const struct webhook_secret *secret, uint32_t *ret_number,
                        struct buf *hex, struct rider_error *err)
{
    char context[SECRET_CONTEXT_SIZE];

    secret_context(id, secret->id, context);
    int rc =
        webhook_seal_hex(ring, context, secret->text, strlen(secret->text), hex, err);
    if (rc == 0) {
        *ret_number = key_ring_current(ring);
    }
    return rc;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *hex, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

int webhook_open_hex(const struct key_ring *ring, uint32_t number, const char *context,
                     const char *hex, struct buf *out, struct rider_error *err)
{
    size_t n = strlen(hex) / 2;

    if (ring == NULL || n <= KEY_RING_OVERHEAD) {
        return rider_fail(err, RIDER_E_CONFIG, "a sealed text cannot be opened");
    }
    unsigned char *sealed = malloc(n);
    unsigned char *plain = malloc(n);
    int rc = RIDER_E_NOMEM;
    if (sealed == NULL || plain == NULL) {
        rc = rider_fail(err, RIDER_E_NOMEM, "out of memory");
    } else if (!read_hex(hex, n, sealed)) {
        rc = rider_fail(err, RIDER_E_CONFIG, "a sealed text cannot be opened");
    } else {
        rc = key_ring_open(ring, context, &(struct key_ring_sealed){number, sealed, n},
                           plain, err);
    }
    if (rc == 0) {
        buf_append(out, plain, n - KEY_RING_OVERHEAD);
        explicit_bzero(plain, n - KEY_RING_OVERHEAD);
    }
    free(sealed);
    free(plain);
    return rc;
}
