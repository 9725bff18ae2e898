/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature.h - sign and verify webhooks by the Standard Webhooks rules 1.0.0.
 *
 * The signed text is `id.timestamp.body`: the webhook-id, the Unix seconds of
 * this attempt and the raw bytes of the body. A `v1` entry is an HMAC-SHA256
 * with the decoded bytes of a `whsec_` secret, a `v1a` entry an Ed25519
 * signature by a `whsk_` key. The header lists one or more entries, separated by
 * one space, so that secrets can be rotated without a gap.
 *
 * A valid signature says who wrote the request and when. It does not say that the
 * request is new: a receiver also remembers the ids it has seen for at least
 * twice the tolerance, see docs/webhooks/receiving.md.
 *
 * Blocking: nothing blocks. Threads: no shared state; a signer is used by one
 * thread at a time. Memory: keys are values on the caller's side; only a signer
 * and, for `v1a`, one copy of the message come from the heap.
 */
#ifndef RIDER_SIGNATURE_H
#define RIDER_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RIDER_SECRET_MIN 24u /* bytes of a whsec_ secret once decoded */
#define RIDER_SECRET_MAX 64u
/** "v1a," and 64 bytes in base64 and NUL; a `v1` entry takes 48 of it. */
#define RIDER_SIGNATURE_SIZE 93u
/** Seconds, both ways: what every published library uses. */
#define RIDER_SIGNATURE_TOLERANCE 300
/** Entries of `v1a` that are tried with a key: each costs a pass over the body. */
#define RIDER_SIGNATURE_TRIES 16
/** As tolerance: do not look at the clock. Only for archived requests. */
#define RIDER_SIGNATURE_ANY_TIME (-1)

/** Why a key or a request was refused. Closed; new values go to the end. */
enum rider_signature_status {
    RIDER_SIGNATURE_OK = 0,
    RIDER_SIGNATURE_MISSING_HEADER, /* id, timestamp or signature absent or empty */
    RIDER_SIGNATURE_MALFORMED,      /* no `version,value` entry, or an id with '.' */
    RIDER_SIGNATURE_BAD_TIMESTAMP,  /* not a plain decimal number of seconds */
    RIDER_SIGNATURE_TOO_OLD,
    RIDER_SIGNATURE_TOO_NEW,
    RIDER_SIGNATURE_NO_MATCH, /* no entry was made with one of the keys */
    RIDER_SIGNATURE_NO_KEY,   /* nothing to verify or sign with */
    RIDER_KEY_BAD_PREFIX,
    RIDER_KEY_NOT_BASE64, /* standard alphabet with padding is required */
    RIDER_KEY_TOO_SHORT,
    RIDER_KEY_TOO_LONG,
    RIDER_SIGNATURE_FAILED /* out of memory, or OpenSSL refused */
};

/** One sentence for `status`: lower case, no full stop, static, never NULL. */
const char *rider_signature_text(enum rider_signature_status status);

enum rider_key_kind {
    RIDER_KEY_NONE,
    RIDER_KEY_HMAC,           /* whsec_: signs and verifies v1 */
    RIDER_KEY_ED25519_SECRET, /* whsk_: signs v1a */
    RIDER_KEY_ED25519_PUBLIC  /* whpk_: verifies v1a */
};

/** A decoded key: a plain value that the caller clears when done. */
struct rider_key {
    uint32_t kind; /* enum rider_key_kind */
    uint32_t len;
    unsigned char bytes[RIDER_SECRET_MAX];
};

/** Decodes `whsec_`, `whsk_` (seed, or seed and public key) or `whpk_` text, the
 *  part after the prefix in padded standard base64. Text without a prefix is
 *  taken as whsec_ when `bare_ok` is not 0, as published verifiers do. On failure
 *  *ret is zero. */
enum rider_signature_status rider_key_parse(const char *text, int bare_ok,
                                            struct rider_key *ret);

/** Overwrites the key in a way the compiler keeps. Accepts NULL. */
void rider_key_clear(struct rider_key *key);

/** A key made ready for many signatures: about three times faster than one-shot
 *  signing. */
struct rider_signer;

/** Copies what it needs from `key`. The caller destroys *ret. */
enum rider_signature_status rider_signer_create(const struct rider_key *key,
                                                struct rider_signer **ret);
void rider_signer_destroy(struct rider_signer *signer);

/** Writes one entry, "v1,..." or "v1a,...", NUL-terminated, into `out`.
 *  `id` is the event's id, 1 or more visible ASCII characters without '.', the
 *  same on every attempt; `timestamp` is the Unix time of this attempt; `body`
 *  are the exact bytes that are sent (NULL only with length 0). */
enum rider_signature_status rider_signer_sign(struct rider_signer *signer,
                                              const char *id, int64_t timestamp,
                                              const void *body, size_t body_len,
                                              char out[RIDER_SIGNATURE_SIZE]);

/** As rider_signer_sign() with a signer that lives for this call only. */
enum rider_signature_status rider_signature_sign(const struct rider_key *key,
                                                 const char *id, int64_t timestamp,
                                                 const void *body, size_t body_len,
                                                 char out[RIDER_SIGNATURE_SIZE]);

/** What a receiver got: header values as text, NULL when absent. */
struct rider_signed_message {
    const char *id;        /* webhook-id */
    const char *timestamp; /* webhook-timestamp */
    const char *signature; /* webhook-signature */
    const void *body;      /* the raw bytes, before any parsing */
    size_t body_len;
};

/** Accepts when one entry was made with one of `keys` and the timestamp is at
 *  most `tolerance` seconds away from `now` (Unix seconds). Entries of unknown
 *  versions are skipped, and so are those of v1a after RIDER_SIGNATURE_TRIES of
 *  them. Comparison takes constant time. Returns
 *  RIDER_SIGNATURE_OK or the first reason found, in the order of the enum. */
enum rider_signature_status rider_signature_verify(
    const struct rider_key *keys, size_t n_keys,
    const struct rider_signed_message *message, int64_t now, int64_t tolerance);

#ifdef __cplusplus
}
#endif

#endif
