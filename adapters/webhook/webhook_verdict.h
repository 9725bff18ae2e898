/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_verdict.h - what the end of one HTTP exchange means.
 *
 * 2xx and nothing else is delivered (Standard Webhooks 1.0.0). An endpoint that
 * cannot take events now (no connection, no answer, 429, 502, 503, 504) is
 * unavailable and burns no attempt; an answer that blames the event costs one.
 * Pure functions, any thread.
 */
#ifndef WEBHOOK_VERDICT_H
#define WEBHOOK_VERDICT_H

#include "postrider/publisher.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

/** The longest Retry-After that is honoured. */
#define WEBHOOK_RETRY_AFTER_CAP_MS (60u * 60u * 1000u)

/** What is known about an exchange when it has ended. */
struct webhook_exchange {
    CURLcode code;
    long status;       /* of the final response, 0 when none came */
    bool answered;     /* the final response's header block is complete */
    bool cut;          /* this side stopped reading: a cap was reached */
    bool sent;         /* the request, or a part of it, left this host */
    bool blocked;      /* the guard refused every address */
    bool peer_alive;   /* the endpoint answered others since this one was sent */
    bool resolved;     /* the name has addresses */
    bool at_proxy;     /* it ended before the proxy had reached the endpoint */
    bool starved;      /* this host could not open a socket */
    long proxy_status; /* answer to CONNECT, 0 when none came */
    uint32_t retry_after_ms;
};

/** The verdict on an exchange; result.reason is static text. */
struct rider_result webhook_verdict(const struct webhook_exchange *exchange);

/** The word for what went wrong, of a closed list: dns, connect_refused,
 *  connect_timeout, tls, blocked_address, timeout, reset, protocol,
 *  response_too_large, http_3xx, http_4xx, http_5xx, proxy. NULL: delivered. */
const char *webhook_category(const struct webhook_exchange *exchange);

/** Reads a Retry-After value (RFC 9110 section 10.2.3): seconds or an HTTP date,
 *  the latter relative to `now` in Unix seconds. Returns milliseconds, at most
 *  WEBHOOK_RETRY_AFTER_CAP_MS; 0 for what is past, negative, fractional or not
 *  understood. */
uint32_t webhook_retry_after(const char *value, int64_t now);

#endif
