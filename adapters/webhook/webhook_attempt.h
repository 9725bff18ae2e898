/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_attempt.h - what is remembered of one try, for people who ask why.
 *
 * Thread: the client's.
 */
#ifndef WEBHOOK_ATTEMPT_H
#define WEBHOOK_ATTEMPT_H

#include "postrider/publisher.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/** "[address]:port" and NUL. */
#define WEBHOOK_REMOTE_MAX (INET6_ADDRSTRLEN + 16)

struct webhook_attempt {
    int64_t started_at_us;    /* since 1970-01-01 UTC */
    uint64_t started_mono_us; /* CLOCK_MONOTONIC */
    char remote[WEBHOOK_REMOTE_MAX];
    char *response; /* owned, NULL as long as nothing is kept */
    size_t response_len, keep;
};

/** Starts the clocks; `keep` bytes of the answer's body are wanted. */
void webhook_attempt_begin(struct webhook_attempt *attempt, size_t keep);

/** The address that is dialled, or was refused, last. */
void webhook_attempt_dial(struct webhook_attempt *attempt,
                          const struct sockaddr *address);
void webhook_attempt_dial_text(struct webhook_attempt *attempt, const char *ip,
                               int port);

/** Keeps what is wanted of a piece of the body; without memory nothing. */
void webhook_attempt_body(struct webhook_attempt *attempt, const char *data,
                          size_t len);

/** The answer begins again: the request is repeated. */
void webhook_attempt_restart(struct webhook_attempt *attempt);

/** Microseconds since begin(). */
uint64_t webhook_attempt_spent_us(const struct webhook_attempt *attempt);

/** Tells of the try. Phases are those of `easy`; on a connection that was `reused`
 *  there was nothing to resolve or connect. *ret borrows from `attempt`; requests
 *  and category are the caller's to add. */
void webhook_attempt_tell(const struct webhook_attempt *attempt, CURL *easy,
                          bool reused, struct rider_attempt *ret);

/** Frees what is kept; may begin again. */
void webhook_attempt_done(struct webhook_attempt *attempt);

#endif
