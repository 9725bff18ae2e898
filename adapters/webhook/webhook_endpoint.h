/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_endpoint.h - one receiver: its secrets, what waits for it.
 *
 * A destination has one endpoint of its own (the `url` option); events with a
 * target go to the endpoint of that subscription, made on first use. Each endpoint
 * has its own queue, and those with work take turns, so that one with a long queue
 * or slow answers does not hold up another. A URL belongs to a delivery, not to the
 * endpoint: it may change while earlier deliveries wait.
 * Thread: the client's.
 */
#ifndef WEBHOOK_ENDPOINT_H
#define WEBHOOK_ENDPOINT_H

#include "webhook/webhook_inbox.h"
#include "webhook/webhook_request.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct webhook_endpoint {
    TAILQ_ENTRY(webhook_endpoint) link; /* in the ready or in the idle list */
    struct webhook_delivery_list waiting;
    size_t n_waiting, in_flight;
    uint64_t answered_ms; /* when it last answered at all, CLOCK_MONOTONIC */
    struct webhook_signers signers;
    struct rider_key keys[WEBHOOK_MAX_SECRETS];
    char *key; /* the subscription's id, "" for the destination's own */
};

struct webhook_endpoints;

/** Decodes the secrets of an endpoint, current first. The first has to be a whsec_,
 *  because few receivers verify anything else; of more than WEBHOOK_MAX_SECRETS the
 *  last is kept, where a whsk_ stands. The caller clears `ret`. */
enum rider_signature_status webhook_endpoint_keys(
    const struct rider_bytes *secrets, size_t n,
    struct rider_key ret[WEBHOOK_MAX_SECRETS], size_t *ret_n);

/** `max_in_flight` applies to each endpoint, `max_total` to all together. NULL: out of
 *  memory. */
struct webhook_endpoints *webhook_endpoints_create(size_t max_in_flight,
                                                   size_t max_total);
void webhook_endpoints_destroy(struct webhook_endpoints *endpoints);

/** Finds or makes the endpoint of `target` (NULL: the destination's own, set up by
 *  webhook_endpoints_set_own()) and brings its signers up to date. NULL with
 *  the completion in *ret_refusal: bad secret, no memory, no own endpoint. */
struct webhook_endpoint *webhook_endpoints_get(struct webhook_endpoints *endpoints,
                                               const struct rider_target *target,
                                               struct rider_result *ret_refusal);

/** Describes the destination's own endpoint. `previous` may be NULL. Returns 0, or
 *  the status of the secret that cannot be used. */
enum rider_signature_status webhook_endpoints_set_own(
    struct webhook_endpoints *endpoints, const char *secret, const char *previous);

/** Appends to the endpoint's queue. */
void webhook_endpoints_enqueue(struct webhook_endpoints *endpoints,
                               struct webhook_endpoint *endpoint,
                               struct webhook_delivery *delivery);

/** Lowers the limit for all together. */
void webhook_endpoints_limit(struct webhook_endpoints *endpoints, size_t max_total);

/** Picks the next delivery in turn, counts it in flight and returns its endpoint;
 *  NULL when nothing can start. A subscription's endpoint that has something in
 *  flight gets no more than as much as is free: those that hang share what they hold,
 *  and something is left for the others. */
struct webhook_endpoint *webhook_endpoints_next(struct webhook_endpoints *endpoints,
                                                struct webhook_delivery **ret);

/** Ends what webhook_endpoints_next() began. May free an endpoint without work:
 *  `endpoint` is not to be used afterwards. */
void webhook_endpoints_finish(struct webhook_endpoints *endpoints,
                              struct webhook_endpoint *endpoint);

/** Takes everything that waits for the endpoint, in order. */
void webhook_endpoints_take_waiting(struct webhook_endpoints *endpoints,
                                    struct webhook_endpoint *endpoint,
                                    struct webhook_delivery_list *list);

/** An endpoint with something waiting, NULL when there is none. */
struct webhook_endpoint *webhook_endpoints_any_waiting(
    struct webhook_endpoints *endpoints);

size_t webhook_endpoints_count(const struct webhook_endpoints *endpoints);

#endif
