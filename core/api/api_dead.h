/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_dead.h - the API's routes about dead letters.
 */
#ifndef API_API_DEAD_H
#define API_API_DEAD_H

#include "api/api_call.h"

#define API_MAX_CHANGE 10000 /* dead letters in one request; then it says so */

/** Each writes JSON to `out`. RIDER_E_CONFIG: the client's mistake. Blocks on the
 *  database. */
int api_dead_list(struct api_call *call, struct buf *out,
                  struct rider_error *err) RIDER_MUST_CHECK;
int api_dead_replay(struct api_call *call, struct buf *out,
                    struct rider_error *err) RIDER_MUST_CHECK;
int api_dead_discard(struct api_call *call, struct buf *out,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
