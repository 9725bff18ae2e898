/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_subscriptions.h - the API's routes about subscriptions.
 *
 * Two tables: what lists, shows and changes them, and what deals with their secrets and
 * sends them something (api_trials.c).
 */
#ifndef ADMIN_API_SUBSCRIPTIONS_H
#define ADMIN_API_SUBSCRIPTIONS_H

#include "admin/api_call.h"
#include "admin/subscription_document.h"

extern const struct api_route_table api_subscription_routes;
extern const struct api_route_table api_trial_routes;

#define API_ACTOR_SIZE 80

/** "api " and the principal's name: who did it, for the audit row. */
void api_actor(const struct api_call *call, char out[API_ACTOR_SIZE]);

/** Faults for exact event types that a strict catalogue lacks; nothing when there are
 *  other faults. Blocks on the database. */
int api_check_types(struct api_call *call, const struct subscription_document *d,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** Routes of api_subscription_change.c. */
int api_subscription_patch(struct api_call *call, struct buf *out,
                           struct rider_error *err) RIDER_MUST_CHECK;
int api_subscription_delete(struct api_call *call, struct buf *out,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** Asks the adapter whether the target can be used, and adds a fault if not. Blocks on
 *  the resolver. */
void api_check_target(struct api_call *call, const char *destination,
                      const struct subscription_document *d);

#endif
