/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_subscriptions.h - the API's routes about subscriptions.
 *
 * Two tables: what lists, shows and changes them, and what deals with their secrets and
 * sends them something (api_trials.c).
 */
#ifndef API_API_SUBSCRIPTIONS_H
#define API_API_SUBSCRIPTIONS_H

#include "api/api_call.h"
#include "api/subscription_document.h"

extern const struct api_route_table api_subscription_routes;
extern const struct api_route_table api_trial_routes;

#define API_ACTOR_SIZE 80

/** "api " and the principal's name: who did it, for the audit row. */
void api_actor(const struct api_call *call, char out[API_ACTOR_SIZE]);

/** Faults for exact event types that a strict catalogue lacks; nothing when there are
 *  other faults. Blocks on the database. */
int api_check_types(struct api_call *call, const struct subscription_document *d,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** A fault for a signature that nobody here can make. */
void api_check_schemes(const struct api_call *call, const struct api_fields *f,
                       const struct subscription_document *d);

/** Routes of api_subscription_change.c. */
int api_subscription_patch(struct api_call *call, struct buf *out,
                           struct rider_error *err) RIDER_MUST_CHECK;
int api_subscription_delete(struct api_call *call, struct buf *out,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** Before the call waits for a resolver or an endpoint, and afterwards; see
 *  work_slots.h. Refuses with a problem when too many wait: no end then. */
int api_trial_begin(struct api_call *call) RIDER_MUST_CHECK;
void api_trial_end(struct api_call *call);

/** Asks the adapter whether the target can be used, and adds a fault if not. A trial:
 *  blocks on the resolver, and may be refused. */
int api_check_target(struct api_call *call, const char *destination,
                     const struct subscription_document *d) RIDER_MUST_CHECK;

#endif
