/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_request.h - the headers of one attempt.
 *
 * Always webhook-id (the event's id, the same on every attempt), webhook-timestamp
 * (the time of this attempt) and webhook-signature (current secret first, one space
 * between entries). Besides: content-type, CloudEvents attributes as ce-*, the
 * writer's traceparent, tracestate and x-event-*; nothing else of what the writer
 * stored leaves the house. Custom headers of a subscription follow and can never
 * replace any of these. A trial carries webhook-test: true.
 * Pure functions, any thread; a signer serves one thread at a time.
 */
#ifndef WEBHOOK_REQUEST_H
#define WEBHOOK_REQUEST_H

#include "postrider/publisher.h"
#include "postrider/signature.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

/** Current secret and the older ones that still sign. */
#define WEBHOOK_MAX_SECRETS 10

/** Ready signers, current secret first. */
struct webhook_signers {
    struct rider_signer *list[WEBHOOK_MAX_SECRETS];
    size_t n;
};

/** A copy of `target` in which members that an older host does not know are zero;
 *  all zero for NULL. It borrows what `target` borrows. */
struct rider_target webhook_request_target(const struct rider_target *target);

/** What is wrong with the custom headers of a subscription: static text, or NULL. */
const char *webhook_request_check_headers(const struct rider_header *headers, size_t n);

/** Builds the header list of `event` for an attempt at `now` (Unix seconds). Returns
 *  0 with a list that the caller frees by curl_slist_free_all(). Otherwise -1 with
 *  the completion in *ret_refusal: the body is empty or not UTF-8 (Standard
 *  Webhooks libraries cannot verify such), or a header would break the request. */
int webhook_request_build(const struct rider_event *event,
                          const struct webhook_signers *signers, int64_t now,
                          struct curl_slist **ret, struct rider_result *ret_refusal);

#endif
