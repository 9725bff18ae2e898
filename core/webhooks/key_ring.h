/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_ring.h - the keys that secrets are sealed with before they reach the database.
 *
 * The ring is a file: lines `NUMBER BASE64-OF-32-BYTES`, at most one line `current
 * NUMBER` (without it the highest number is current), empty lines and `#` comments.
 * New secrets are sealed with the current key; the others only open older ones.
 * AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D, 8.3: at most 2^32
 * seals a key); the associated data is the context, which names the row a secret
 * belongs to, and the key's number, so that a sealed text opens in its own place only.
 *
 * Thread: any, a ring is immutable. Blocking: only key_ring_read(), on the file.
 * Errors name the place and the reason, never a key or a secret.
 */
#ifndef WEBHOOKS_KEY_RING_H
#define WEBHOOKS_KEY_RING_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_RING_OVERHEAD 28 /* bytes a seal adds: nonce 12, tag 16 */
#define KEY_RING_KEY_SIZE 32
#define KEY_RING_MAX_KEYS 64

struct key_ring;

/** Reads the file, which only its owner may write and others may not read (a group
 *  may: credentials of systemd and of Kubernetes come so). RIDER_E_IO when it cannot
 *  be read, RIDER_E_CONFIG for what is in it. The caller destroys *ret. */
int key_ring_read(const char *path, struct key_ring **ret,
                  struct rider_error *err) RIDER_MUST_CHECK;
/** Overwrites the keys. Accepts NULL. */
void key_ring_destroy(struct key_ring *ring);
RIDER_DEFINE_PTR_CLEANUP(struct key_ring, key_ring_destroy);

/** The number of the key that seals. */
uint32_t key_ring_current(const struct key_ring *ring);
bool key_ring_has(const struct key_ring *ring, uint32_t number);
/** Writes the numbers, in the order of the file, and returns how many there are. */
size_t key_ring_numbers(const struct key_ring *ring, uint32_t out[KEY_RING_MAX_KEYS]);
/** Whether both have the same keys, in the same order, and the same current one. Two
 *  NULLs are equal. Takes the same time whatever the keys are. */
bool key_ring_equal(const struct key_ring *a, const struct key_ring *b);

/** Seals `len` bytes with the current key, key_ring_current(). `out` has room for
 *  len + KEY_RING_OVERHEAD. RIDER_E_INTERNAL: OpenSSL refused. */
int key_ring_seal(const struct key_ring *ring, const char *context, const void *plain,
                  size_t len, unsigned char *out,
                  struct rider_error *err) RIDER_MUST_CHECK;

/** What key_ring_seal() made, and the number of its key. Borrowed. */
struct key_ring_sealed {
    uint32_t number;
    const unsigned char *bytes;
    size_t len;
};

/** Opens it. `out` has room for len - KEY_RING_OVERHEAD and is overwritten with zeros
 *  when this fails. RIDER_E_CONFIG: the ring lacks the key, or key, context and bytes
 *  do not belong together. */
int key_ring_open(const struct key_ring *ring, const char *context,
                  const struct key_ring_sealed *sealed, unsigned char *out,
                  struct rider_error *err) RIDER_MUST_CHECK;

/** Room for a line of the file: number, space, base64, NUL. */
#define KEY_RING_LINE_SIZE 64

/** Makes a new random key and writes its line, without a newline. RIDER_E_INTERNAL. */
int key_ring_new_line(uint32_t number, char out[KEY_RING_LINE_SIZE],
                      struct rider_error *err) RIDER_MUST_CHECK;

#endif
