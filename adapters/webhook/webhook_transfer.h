/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_transfer.h - one HTTP exchange on a reusable curl handle.
 *
 * Limits of each exchange: one deadline over everything, 16 KiB of body, 32 KiB of
 * headers (interim answers included), no redirect, no decompression, no cookie, at
 * most one silent repetition by libcurl, which is counted.
 * Thread: the client's.
 */
#ifndef WEBHOOK_TRANSFER_H
#define WEBHOOK_TRANSFER_H

#include "webhook/webhook_attempt.h"
#include "webhook/webhook_endpoint.h"
#include "webhook/webhook_guard.h"
#include "webhook/webhook_kept.h"
#include "webhook/webhook_options.h"
#include "webhook/webhook_tls.h"
#include "webhook/webhook_verdict.h"

#include <sys/queue.h>

/** Sockets of one connection that are remembered: addresses are tried two at a time. */
#define WEBHOOK_TRANSFER_SOCKETS 8u

struct webhook_transfer {
    TAILQ_ENTRY(webhook_transfer) link;
    CURL *easy;
    const struct webhook_config *config;
    struct webhook_guard *guard;
    struct webhook_kept *kept;
    struct webhook_endpoint *endpoint;
    struct webhook_delivery *delivery;
    struct curl_slist *headers;
    size_t header_bytes, body_bytes;
    unsigned requests;                     /* times the request was really sent */
    unsigned refused, opened;              /* by the guard: addresses, sockets */
    int sockets[WEBHOOK_TRANSFER_SOCKETS]; /* the last opened, around */
    uint64_t limit_ms;                     /* for the whole exchange */
    enum webhook_judgement judgement;      /* of the last refusal */
    bool answered, cut, starved;
    bool stopped; /* the guard refused an open connection */
    bool unclean; /* the kept connection may not be used; nothing was sent on it */
    bool own_tls; /* the handle carries files of a subscription */
    uint32_t retry_after_ms;
    const char *default_ca, *default_ca_path; /* libcurl's */
    struct webhook_attempt attempt;
};

/** A handle with the options that all exchanges of the destination share. NULL:
 *  libcurl refused or memory is short. `config`, `guard` and `kept` outlive it. */
struct webhook_transfer *webhook_transfer_create(const struct webhook_config *config,
                                                 struct webhook_guard *guard,
                                                 struct webhook_kept *kept);
void webhook_transfer_destroy(struct webhook_transfer *transfer);

/** Prepares the handle for a delivery: borrows the event's body, takes ownership of
 *  `headers`. `url` and `tls` are used during the call. False: out of memory, the
 *  transfer is to be ended. */
bool webhook_transfer_begin(struct webhook_transfer *transfer,
                            struct webhook_endpoint *endpoint,
                            struct webhook_delivery *delivery, const char *url,
                            struct curl_slist *headers, const struct webhook_tls *tls);

/** Prepares a transfer that ended as unclean to go on with a new connection, in the
 *  time that is left. False: out of memory. */
bool webhook_transfer_again(struct webhook_transfer *transfer);

/** What happened, for webhook_verdict(). */
struct webhook_exchange webhook_transfer_result(const struct webhook_transfer *transfer,
                                                CURLcode code);

/** Tells of the try in *ret, which borrows from the transfer until end(). False:
 *  nothing was tried, because this host could not open a socket. */
bool webhook_transfer_tell(const struct webhook_transfer *transfer,
                           const struct webhook_exchange *exchange,
                           struct rider_attempt *ret);

/** Releases what begin() took. False: out of memory, the handle cannot be used again
 *  and has to be destroyed. */
bool webhook_transfer_end(struct webhook_transfer *transfer);

#endif
