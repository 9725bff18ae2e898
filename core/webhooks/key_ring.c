/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_ring.c - the keys that secrets are sealed with before they reach the database.
 *
 * A sealed text is nonce, ciphertext, tag. Keys live in the ring only: the file's text
 * is overwritten once it is parsed, and the ring when it goes.
 *
 * Not here: what is sealed and where it is kept (core/outbox), and the keys that sign
 * (signing_key.c).
 */
#include "webhooks/key_ring.h"

#include "webhooks/base64.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NONCE_LEN  12
#define TAG_LEN    16
#define MAX_FILE   16384
#define MAX_NUMBER INT64_C(2147483647) /* int in the database */

struct ring_key {
    uint32_t number;
    unsigned char bytes[KEY_RING_KEY_SIZE];
};

struct key_ring {
    uint32_t current; /* 0 while none is named */
    size_t n;
    struct ring_key keys[KEY_RING_MAX_KEYS];
};

static const struct ring_key *find_key(const struct key_ring *ring, uint32_t number)
{
    for (size_t i = 0; i < ring->n; i++) {
        if (ring->keys[i].number == number) {
            return &ring->keys[i];
        }
    }
    return NULL;
}

static bool parse_number(const char *text, uint32_t *ret)
{
    int64_t value = 0;

    if (text == NULL || text[0] < '1' || text[0] > '9') {
        return false;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') {
            return false;
        }
        value = value * 10 + (*p - '0');
        if (value > MAX_NUMBER) {
            return false;
        }
    }
    *ret = (uint32_t)value;
    return true;
}

static const char *add_current(struct key_ring *ring, const char *number)
{
    if (ring->current != 0) {
        return "there is a second \"current\" line";
    }
    return parse_number(number, &ring->current) ? NULL
                                                : "\"current\" takes a key's number";
}

static const char *add_key(struct key_ring *ring, const char *number,
                           const char *encoded)
{
    size_t len = 0;
    struct ring_key *key = &ring->keys[ring->n];

    if (ring->n == KEY_RING_MAX_KEYS) {
        return "there are more than 64 keys";
    }
    if (!parse_number(number, &key->number)) {
        return "a line starts with the key's number, from 1 on, or \"current\"";
    }
    if (find_key(ring, key->number) != NULL) {
        return "this number is taken by a line above";
    }
    if (encoded == NULL || !base64_decode(encoded, strlen(encoded), key->bytes,
                                          sizeof(key->bytes), &len)) {
        return "a key is 32 bytes in padded standard base64";
    }
    if (len != sizeof(key->bytes)) {
        return "the key is shorter than 32 bytes";
    }
    ring->n++;
    return NULL;
}

/* What is wrong with the line, or NULL. Its text is never shown. Cuts it up. */
static const char *add_line(struct key_ring *ring, char *line)
{
    char *rest = NULL;
    const char *first = strtok_r(line, " \t\r", &rest);
    const char *second = strtok_r(NULL, " \t\r", &rest);
    const char *third = strtok_r(NULL, " \t\r", &rest);

    if (first == NULL || first[0] == '#') {
        return NULL;
    }
    if (third != NULL && third[0] != '#') {
        return "there is a third word";
    }
    return strcmp(first, "current") == 0 ? add_current(ring, second)
                                         : add_key(ring, first, second);
}

static int choose_current(const char *path, struct key_ring *ring,
                          struct rider_error *err)
{
    if (ring->current != 0) {
        return find_key(ring, ring->current) != NULL
                   ? 0
                   : rider_fail(err, RIDER_E_CONFIG,
                                "%s: the current key, number %u, is not in it", path,
                                ring->current);
    }
    for (size_t i = 0; i < ring->n; i++) {
        if (ring->keys[i].number > ring->current) {
            ring->current = ring->keys[i].number;
        }
    }
    return 0;
}

static int parse_text(const char *path, char *text, struct key_ring *ring,
                      struct rider_error *err)
{
    char *rest = text;
    char *line;

    for (unsigned int number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        const char *problem = add_line(ring, line);

        if (problem != NULL) {
            return rider_fail(err, RIDER_E_CONFIG, "%s:%u: %s", path, number, problem);
        }
    }
    if (ring->n == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "%s: there is no key in it", path);
    }
    return choose_current(path, ring, err);
}

static int check_file(int fd, const char *path, struct rider_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open \"%s\"", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not a regular file", path);
    }
    if ((st.st_mode & (S_IWGRP | S_IROTH | S_IWOTH)) != 0) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "\"%s\" is open to others (mode %03o): chmod g-w,o-rw", path,
                          (unsigned int)(st.st_mode & 0777));
    }
    return 0;
}

static int read_file(const char *path, char *text, size_t cap, struct rider_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    RIDER_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open \"%s\"", path);
    }
    int rc = check_file(fd, path, err);
    if (rc != 0) {
        return rc;
    }
    while (len < cap && (n = read(fd, text + len, cap - len)) > 0) {
        len += (size_t)n;
    }
    if (n < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not read \"%s\"", path);
    }
    if (len == cap) {
        return rider_fail(err, RIDER_E_CONFIG, "%s: larger than %zu KB", path,
                          cap >> 10);
    }
    if (memchr(text, '\0', len) != NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "%s: there is a NUL byte in it", path);
    }
    text[len] = '\0';
    return 0;
}

int key_ring_read(const char *path, struct key_ring **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(key_ring_destroy)
    struct key_ring *ring = calloc(1, sizeof(*ring));
    char *text = calloc(1, MAX_FILE);
    int rc;

    if (ring == NULL || text == NULL) {
        free(text);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    rc = read_file(path, text, MAX_FILE, err);
    if (rc == 0) {
        rc = parse_text(path, text, ring, err);
    }
    OPENSSL_cleanse(text, MAX_FILE);
    free(text);
    if (rc == 0) {
        *ret = RIDER_STEAL(ring);
    }
    return rc;
}

void key_ring_destroy(struct key_ring *ring)
{
    if (ring != NULL) {
        OPENSSL_cleanse(ring, sizeof(*ring));
        free(ring);
    }
}

uint32_t key_ring_current(const struct key_ring *ring)
{
    return ring->current;
}

bool key_ring_has(const struct key_ring *ring, uint32_t number)
{
    return find_key(ring, number) != NULL;
}

size_t key_ring_numbers(const struct key_ring *ring, uint32_t out[KEY_RING_MAX_KEYS])
{
    for (size_t i = 0; i < ring->n; i++) {
        out[i] = ring->keys[i].number;
    }
    return ring->n;
}

bool key_ring_equal(const struct key_ring *a, const struct key_ring *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->n == b->n && a->current == b->current &&
           CRYPTO_memcmp(a->keys, b->keys, a->n * sizeof(a->keys[0])) == 0;
}

/* The associated data: the context, then the number in four bytes, so that no two
 * pairs of them are one text. */
static bool add_context(EVP_CIPHER_CTX *ctx, const char *context, uint32_t number)
{
    const unsigned char tail[4] = {(unsigned char)(number >> 24),
                                   (unsigned char)(number >> 16),
                                   (unsigned char)(number >> 8), (unsigned char)number};
    int n = 0;

    return EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)context,
                            (int)strlen(context)) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, tail, sizeof(tail)) == 1;
}

static bool seal_with(const struct ring_key *key, const char *context,
                      const void *plain, size_t len, unsigned char *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char *body = out + NONCE_LEN;
    int n = 0, end = 0;
    bool ok =
        ctx != NULL && RAND_bytes(out, NONCE_LEN) == 1 &&
        EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, out, 1) == 1 &&
        add_context(ctx, context, key->number) &&
        (len == 0 || EVP_CipherUpdate(ctx, body, &n, plain, (int)len) == 1) &&
        EVP_CipherFinal_ex(ctx, body + n, &end) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, body + len) == 1;

    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

int key_ring_seal(const struct key_ring *ring, const char *context, const void *plain,
                  size_t len, unsigned char *out, struct rider_error *err)
{
    const struct ring_key *key = find_key(ring, ring->current);

    if (key == NULL || len > INT32_MAX || !seal_with(key, context, plain, len, out)) {
        return rider_fail(err, RIDER_E_INTERNAL, "could not seal a secret");
    }
    return 0;
}

static bool open_with(const struct ring_key *key, const char *context,
                      const unsigned char *sealed, size_t len, unsigned char *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const unsigned char *body = sealed + NONCE_LEN;
    unsigned char tag[TAG_LEN];
    int n = 0, end = 0;

    memcpy(tag, body + len, TAG_LEN);
    bool ok =
        ctx != NULL &&
        EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, sealed, 0) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
        add_context(ctx, context, key->number) &&
        (len == 0 || EVP_CipherUpdate(ctx, out, &n, body, (int)len) == 1) &&
        EVP_CipherFinal_ex(ctx, tag, &end) == 1;

    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        OPENSSL_cleanse(out, len);
    }
    return ok;
}

int key_ring_open(const struct key_ring *ring, const char *context,
                  const struct key_ring_sealed *sealed, unsigned char *out,
                  struct rider_error *err)
{
    const struct ring_key *key = find_key(ring, sealed->number);

    if (key == NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "the key ring lacks key %u",
                          sealed->number);
    }
    if (sealed->len < KEY_RING_OVERHEAD || sealed->len > INT32_MAX ||
        !open_with(key, context, sealed->bytes, sealed->len - KEY_RING_OVERHEAD, out)) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "a secret does not open with key %u: it was sealed with "
                          "another key or for another row, or it was changed",
                          sealed->number);
    }
    return 0;
}

int key_ring_new_line(uint32_t number, char out[KEY_RING_LINE_SIZE],
                      struct rider_error *err)
{
    unsigned char bytes[KEY_RING_KEY_SIZE];

    if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1) {
        return rider_fail(err, RIDER_E_INTERNAL, "could not get random bytes");
    }
    int n = snprintf(out, KEY_RING_LINE_SIZE, "%u ", number);
    base64_encode(bytes, sizeof(bytes), out + n);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return 0;
}
