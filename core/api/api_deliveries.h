/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_deliveries.h - the API's routes about deliveries of subscriptions and attempts.
 */
#ifndef API_API_DELIVERIES_H
#define API_API_DELIVERIES_H

#include "api/api_call.h"

extern const struct api_route_table api_delivery_routes;

#endif
