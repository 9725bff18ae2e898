/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_dead.h - the API's routes about dead letters.
 */
#ifndef ADMIN_API_DEAD_H
#define ADMIN_API_DEAD_H

#include "admin/http_message.h"
#include "base/error.h"

#include <stdbool.h>

/** One call of a route. */
struct api_call {
    const struct http_request *req;
    const char *dsn;
    const char *who; /* the principal's name */
};

/** Each writes JSON to `out`. RIDER_E_CONFIG: the client's mistake. Blocks on the
 *  database. */
int api_dead_list(const struct api_call *call, struct buf *out,
                  struct rider_error *err) RIDER_MUST_CHECK;
int api_dead_replay(const struct api_call *call, struct buf *out,
                    struct rider_error *err) RIDER_MUST_CHECK;
int api_dead_discard(const struct api_call *call, struct buf *out,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
