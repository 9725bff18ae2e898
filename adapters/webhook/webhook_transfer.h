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
#include "webhook/webhook_options.h"
#include "webhook/webhook_tls.h"
#include "webhook/webhook_verdict.h"

#include <sys/queue.h>

struct webhook_transfer {
    LIST_ENTRY(webhook_transfer) link;
    CURL *easy;
    const struct webhook_config *config;
    struct webhook_guard *guard;
    struct webhook_endpoint *endpoint;
    struct webhook_delivery *delivery;
    struct curl_slist *headers;
    size_t header_bytes, body_bytes;
    unsigned requests;                /* times the request was really sent */
    unsigned refused, opened;         /* by the guard: addresses, sockets */
    enum webhook_judgement judgement; /* of the last refusal */
    bool answered, cut, starved;
    bool stopped; /* the guard refused an open connection */
    bool own_tls; /* the handle carries files of a subscription */
    char retry_after[64];
    const char *default_ca, *default_ca_path; /* libcurl's */
    struct webhook_attempt attempt;
};

/** A handle with the options that all exchanges of the destination share. NULL:
 *  libcurl refused or memory is short. `guard` and `config` outlive it. */
struct webhook_transfer *webhook_transfer_create(const struct webhook_config *config,
                                                 struct webhook_guard *guard);
void webhook_transfer_destroy(struct webhook_transfer *transfer);

/** Prepares the handle for a delivery: borrows the event's body, takes ownership of
 *  `headers`. `url` and `tls` are used during the call. False: out of memory, the
 *  transfer is to be ended. */
bool webhook_transfer_begin(struct webhook_transfer *transfer,
                            struct webhook_endpoint *endpoint,
                            struct webhook_delivery *delivery, const char *url,
                            struct curl_slist *headers, const struct webhook_tls *tls);

/** What happened, for webhook_verdict(); `now` is Unix seconds. */
struct webhook_exchange webhook_transfer_result(const struct webhook_transfer *transfer,
                                                CURLcode code, int64_t now);

/** Tells of the try in *ret, which borrows from the transfer until end(). False:
 *  nothing was tried, because this host could not open a socket. */
bool webhook_transfer_tell(const struct webhook_transfer *transfer,
                           const struct webhook_exchange *exchange,
                           struct rider_attempt *ret);

/** Releases what begin() took. False: out of memory, the handle cannot be used again
 *  and has to be destroyed. */
bool webhook_transfer_end(struct webhook_transfer *transfer);

#endif
