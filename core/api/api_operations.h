/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_operations.h - the API's routes about recoveries, dead letters of subscriptions
 * and event types.
 */
#ifndef API_API_OPERATIONS_H
#define API_API_OPERATIONS_H

#include "api/api_call.h"

extern const struct api_route_table api_operation_routes;

/** Routes of api_webhook_dead.c. */
int api_webhook_dead_list(struct api_call *call, struct buf *out,
                          struct rider_error *err) RIDER_MUST_CHECK;
int api_webhook_dead_redrive(struct api_call *call, struct buf *out,
                             struct rider_error *err) RIDER_MUST_CHECK;

/** Routes of api_event_types.c. */
int api_event_types_show(struct api_call *call, struct buf *out,
                         struct rider_error *err) RIDER_MUST_CHECK;
int api_event_types_put(struct api_call *call, struct buf *out,
                        struct rider_error *err) RIDER_MUST_CHECK;

#endif
