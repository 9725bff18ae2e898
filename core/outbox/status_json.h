/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_json.h - a status as the commands and the API write it.
 */
#ifndef OUTBOX_STATUS_JSON_H
#define OUTBOX_STATUS_JSON_H

#include "base/json_writer.h"
#include "outbox/admin_query.h"

/** Open deliveries of the lane in `state`, of any cause. */
int64_t outbox_lane_count(const struct outbox_lane_status *lane, const char *state);

/** Writes one object. */
void outbox_status_write(const struct outbox_status *status, struct json_writer *w);

#endif
