/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_guard.h - opens sockets only to addresses that the policy allows.
 *
 * The decision is made on the resolved address that is about to be connected, and
 * again before each request on a connection that is used once more. With a proxy
 * the address belongs to the proxy and is the operator's choice.
 * Thread: one at a time; a guard of one's own costs nothing.
 */
#ifndef WEBHOOK_GUARD_H
#define WEBHOOK_GUARD_H

#include "webhook/webhook_target.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct webhook_guard {
    const struct webhook_policy *policy; /* outlives the guard */
    struct webhook_own own;
    uint64_t own_read_ms; /* CLOCK_MONOTONIC, 0: never */
    bool proxied;
};

/** Judges `address` against the interfaces as they are now. */
enum webhook_judgement webhook_guard_judge(struct webhook_guard *guard,
                                           const struct sockaddr *address);

/** Judges `address` against the interfaces as they are now and opens a
 *  close-on-exec socket, or returns CURL_SOCKET_BAD with the reason in
 *  *ret_judgement (WEBHOOK_ADDRESS_OK: the socket could not be opened). */
curl_socket_t webhook_guard_open(struct webhook_guard *guard,
                                 const struct curl_sockaddr *address,
                                 enum webhook_judgement *ret_judgement);

/** Judges the peer of an open connection; the list of interfaces may be a second
 *  old. */
enum webhook_judgement webhook_guard_recheck(struct webhook_guard *guard,
                                             const char *ip, int port);

#endif
