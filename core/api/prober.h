/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prober.h - what the API asks of the adapter of a destination with subscriptions: is
 * this target usable, and what does it answer to one message.
 *
 * An interface: core/daemon implements it with an instance of the adapter that is apart
 * from the lane's, so that a trial waits for nobody and holds nobody up.
 * Thread: any, concurrently. Blocking: as each function says.
 */
#ifndef API_PROBER_H
#define API_PROBER_H

#include "base/error.h"
#include "postrider/publisher.h"

#include <stdbool.h>

#define PROBER_MAX_RESPONSE 4096

/** What one message came to; a copy of the adapter's result. */
struct prober_result {
    uint32_t outcome; /* enum rider_outcome */
    uint32_t cause;   /* enum rider_cause */
    int32_t remote_code;
    bool tried; /* the rest says something */
    bool reused;
    int64_t started_at_us;
    uint32_t dns_us, connect_us, tls_us, first_byte_us, total_us, requests;
    char remote[64];
    char cause_word[32]; /* the word for it; "" for none */
    char category[32];
    char reason[256];
    size_t response_len;
    char response[PROBER_MAX_RESPONSE];
};

struct prober {
    void *arg;
    /** 0, or -1 with *ret filled: see check_target in publisher.h. Blocks on the
     *  resolver. A destination that is not known is 0: nobody can judge. */
    int (*check)(void *arg, const char *destination, const struct rider_target *target,
                 struct rider_target_fault *ret);
    /** Sends `event`, which has a target, once. RIDER_E_NOT_FOUND: no such destination
     *  here; RIDER_E_TIMEOUT: no answer within the target's time and a little more, or
     *  no room. Blocks until then. */
    int (*send)(void *arg, const char *destination, const struct rider_event *event,
                struct prober_result *ret, struct rider_error *err);
};

#endif
