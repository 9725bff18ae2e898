/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receiver.h - a webhook receiver for trying things out: `postrider receive`.
 *
 * Takes POST on any path, verifies Standard Webhooks signatures, refuses old
 * timestamps and tells repeated ids from new ones. It answers 200 to a repeated
 * one: at-least-once delivery repeats on purpose, and a receiver that refused
 * would only make the sender try again.
 */
#ifndef RECEIVER_RECEIVER_H
#define RECEIVER_RECEIVER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "http/http_message.h"
#include "postrider/signature.h"

#include <stdbool.h>
#include <stdint.h>

struct receiver;

enum receiver_verdict {
    RECEIVER_ACCEPTED,  /* verified and new: answered 200 */
    RECEIVER_DUPLICATE, /* verified, id seen before: answered 200 */
    RECEIVER_REFUSED    /* answered 4xx; nothing about it can be trusted */
};

/** Borrowed until the callback returns. */
struct receiver_delivery {
    enum receiver_verdict verdict;
    unsigned int status;   /* the answer's */
    const char *id;        /* webhook-id, or NULL */
    const char *timestamp; /* webhook-timestamp, or NULL */
    const char *reason;    /* why it was refused; NULL otherwise */
    bool test;             /* a trial or a handshake: it says so itself */
    const struct http_request *req;
};

/** Called for each delivery on the receiver's only server thread, so never
 *  concurrently. */
typedef void receiver_fn(void *arg, const struct receiver_delivery *delivery);

struct receiver_options {
    const char *listen;           /* see listen_address.h */
    const struct rider_key *keys; /* copied; none: signatures are not looked at */
    size_t n_keys;
    int64_t tolerance_s; /* RIDER_SIGNATURE_TOLERANCE is customary */
    size_t remember;     /* ids */
    size_t max_body;     /* bytes */
    receiver_fn *on_delivery;
    void *arg;
};

#define RECEIVER_MAX_KEYS 16

/** Listens and serves. Errors of http_server_start(), and RIDER_E_CONFIG for too
 *  many keys. */
int receiver_start(const struct receiver_options *options, struct receiver **ret,
                   struct rider_error *err) RIDER_MUST_CHECK;

/** "127.0.0.1:8099" with the bound port; lives as long as the receiver. */
const char *receiver_address(const struct receiver *receiver);

/** Stops listening and frees; no callback runs afterwards. Accepts NULL. */
void receiver_stop(struct receiver *receiver);
RIDER_DEFINE_PTR_CLEANUP(struct receiver, receiver_stop);

/** The verdict on one request at the time `now` (Unix seconds), with the answer
 *  in `res`: what the server calls, open to tests. */
struct receiver_delivery receiver_judge(struct receiver *receiver,
                                        const struct http_request *req, int64_t now,
                                        struct http_response *res);

/** A receiver that judges and does not listen. */
int receiver_create(const struct receiver_options *options, struct receiver **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

#endif
