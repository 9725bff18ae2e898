/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_attempt.c - clocks, address and the beginning of the answer of one try.
 *
 * libcurl's times are microseconds from the start of a transfer, each including
 * those before it, which is what the contract wants. A request that libcurl repeats
 * is timed anew by it, so no phase is allowed to end after the whole.
 *
 * Not here: the outcome (webhook_verdict.c), removing what a terminal would obey,
 * which the host does.
 */
#include "webhook/webhook_attempt.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void webhook_attempt_begin(struct webhook_attempt *attempt, size_t keep)
{
    attempt->started_at_us = (int64_t)clock_us(CLOCK_REALTIME);
    attempt->started_mono_us = clock_us(CLOCK_MONOTONIC);
    attempt->remote[0] = '\0';
    attempt->response = NULL;
    attempt->response_len = 0;
    attempt->keep = keep;
}

void webhook_attempt_dial_text(struct webhook_attempt *attempt, const char *ip,
                               int port)
{
    bool v6 = strchr(ip, ':') != NULL;

    (void)snprintf(attempt->remote, sizeof(attempt->remote), "%s%.*s%s:%d",
                   v6 ? "[" : "", INET6_ADDRSTRLEN, ip, v6 ? "]" : "", port);
}

void webhook_attempt_dial(struct webhook_attempt *attempt,
                          const struct sockaddr *address)
{
    char ip[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (address->sa_family == AF_INET) {
        memcpy(&in, address, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, ip, sizeof(ip));
        webhook_attempt_dial_text(attempt, ip, ntohs(in.sin_port));
    } else if (address->sa_family == AF_INET6) {
        memcpy(&in6, address, sizeof(in6));
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof(ip));
        webhook_attempt_dial_text(attempt, ip, ntohs(in6.sin6_port));
    }
}

void webhook_attempt_body(struct webhook_attempt *attempt, const char *data, size_t len)
{
    size_t room = attempt->keep - attempt->response_len;

    len = len < room ? len : room;
    if (len > 0 && attempt->response == NULL) {
        attempt->response = malloc(attempt->keep);
    }
    if (len > 0 && attempt->response != NULL) {
        memcpy(attempt->response + attempt->response_len, data, len);
        attempt->response_len += len;
    }
}

void webhook_attempt_restart(struct webhook_attempt *attempt)
{
    attempt->response_len = 0;
}

/** A phase of the transfer, no later than its end. */
static uint32_t phase(CURL *easy, CURLINFO which, uint32_t total_us)
{
    curl_off_t us = 0;

    (void)curl_easy_getinfo(easy, which, &us);
    if (us <= 0) {
        return 0;
    }
    return us < (curl_off_t)total_us ? (uint32_t)us : total_us;
}

uint64_t webhook_attempt_spent_us(const struct webhook_attempt *attempt)
{
    return clock_us(CLOCK_MONOTONIC) - attempt->started_mono_us;
}

void webhook_attempt_tell(const struct webhook_attempt *attempt, CURL *easy,
                          bool reused, struct rider_attempt *ret)
{
    uint64_t total_us = webhook_attempt_spent_us(attempt);

    *ret = (struct rider_attempt){
        .struct_size = sizeof(*ret),
        .flags = reused ? RIDER_ATTEMPT_REUSED : 0,
        .started_at_us = attempt->started_at_us,
        .total_us = total_us < INT32_MAX ? (uint32_t)total_us : INT32_MAX,
        .remote = {attempt->remote, strlen(attempt->remote)},
        .response = {attempt->response, attempt->response_len},
    };
    ret->first_byte_us = phase(easy, CURLINFO_STARTTRANSFER_TIME_T, ret->total_us);
    if (!reused) {
        ret->dns_us = phase(easy, CURLINFO_NAMELOOKUP_TIME_T, ret->total_us);
        ret->connect_us = phase(easy, CURLINFO_CONNECT_TIME_T, ret->total_us);
        ret->tls_us = phase(easy, CURLINFO_APPCONNECT_TIME_T, ret->total_us);
    }
}

void webhook_attempt_done(struct webhook_attempt *attempt)
{
    free(attempt->response);
    attempt->response = NULL;
    attempt->response_len = 0;
}
