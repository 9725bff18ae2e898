/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_client.h - the thread that carries deliveries out.
 *
 * The host's thread puts events into a bounded inbox; the client's thread sorts
 * them by endpoint, runs the transfers and completes each ticket exactly once.
 */
#ifndef WEBHOOK_CLIENT_H
#define WEBHOOK_CLIENT_H

#include "postrider/publisher.h"

#include "webhook/webhook_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Events taken and not yet completed, at most. */
#define WEBHOOK_INBOX_CAPACITY 16384

struct webhook_client;

/** What the client counts. Read at any time from any thread. */
struct webhook_counts {
    uint64_t requests;    /* requests really sent, repetitions included */
    uint64_t repeats;     /* of these, sent once more by libcurl itself */
    uint64_t connections; /* opened */
    uint64_t blocked;     /* addresses the guard refused */
    uint64_t cut;         /* answers that this side stopped reading */
    uint64_t clamped;     /* Retry-After values above the longest that is honoured */
    uint64_t proxy_faults;
    uint64_t in_flight, open, endpoints;
    uint32_t cause;      /* enum rider_cause of the last trouble of the own URL */
    uint32_t bad_streak; /* exchanges with it since it last answered */
    uint32_t answered;   /* 1 once the own URL has answered */
    bool subscriptions;  /* there is no own URL */
};

/** Checks the options together. `host` and `config` outlive *ret. Returns 0, or an
 *  errno value and one line in `err`. No I/O. */
int webhook_client_create(const struct rider_host *host,
                          const struct webhook_config *config,
                          struct webhook_client **ret, char *err, size_t err_size);

/** Starts the thread. Returns 0, or an errno value and one line in `err`. */
int webhook_client_start(struct webhook_client *client, char *err, size_t err_size);

/** Takes a prefix of `events`, never blocks; returns its length. */
size_t webhook_client_publish(struct webhook_client *client,
                              const struct rider_event *const *events, size_t n);

/** Waits until nothing is open or the host's clock passes the deadline; returns how
 *  many are open. */
size_t webhook_client_flush(struct webhook_client *client, uint64_t deadline_ms);

/** Gives back what was not sent, waits for the rest until the deadline, aborts what
 *  then remains, and joins the thread. */
void webhook_client_stop(struct webhook_client *client, uint64_t deadline_ms);

/** Accepts NULL and a client that was never started. */
void webhook_client_destroy(struct webhook_client *client);

/** check_target() of the vtable: any thread, may block on the resolver. */
int webhook_client_check(const struct webhook_client *client,
                         const struct rider_target *target,
                         struct rider_target_fault *ret);

void webhook_client_counts(struct webhook_client *client, struct webhook_counts *ret);

#endif
