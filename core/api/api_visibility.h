/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_visibility.h - the API's routes about status, stuck events and single events.
 */
#ifndef API_API_VISIBILITY_H
#define API_API_VISIBILITY_H

#include "api/api_call.h"

int api_show_status(struct api_call *call, struct buf *out,
                    struct rider_error *err) RIDER_MUST_CHECK;
int api_show_stuck(struct api_call *call, struct buf *out,
                   struct rider_error *err) RIDER_MUST_CHECK;
int api_show_event(struct api_call *call, struct buf *out,
                   struct rider_error *err) RIDER_MUST_CHECK;

#endif
