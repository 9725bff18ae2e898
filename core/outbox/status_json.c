/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_json.c - a status as the commands and the API write it.
 */
#include "outbox/status_json.h"

#include <string.h>

int64_t outbox_lane_count(const struct outbox_lane_status *lane, const char *state)
{
    int64_t n = 0;

    for (size_t i = 0; i < lane->n_deliveries; i++) {
        n += strcmp(lane->deliveries[i].state, state) == 0 ? lane->deliveries[i].n : 0;
    }
    return n;
}

static void write_lane(struct json_writer *w, const struct outbox_lane_status *lane)
{
    jw_object(w, NULL);
    jw_string(w, "destination", lane->destination);
    jw_int(w, "part", lane->part);
    jw_string(w, "state", lane->state);
    jw_string_or_null(w, "owner", lane->owner[0] == '\0' ? NULL : lane->owner);
    jw_string_or_null(w, "cause", lane->cause[0] == '\0' ? NULL : lane->cause);
    jw_int(w, "leaseLeftMs", lane->lease_left_ms);
    jw_int(w, "backlog", lane->backlog);
    jw_bool(w, "backlogCapped", lane->backlog_capped);
    jw_int(w, "oldestPendingMs", lane->oldest_pending_ms);
    jw_int(w, "dead", outbox_lane_count(lane, "DEAD"));
    jw_array(w, "deliveries");
    for (size_t i = 0; i < lane->n_deliveries; i++) {
        const struct outbox_delivery_count *d = &lane->deliveries[i];

        jw_object(w, NULL);
        jw_string(w, "state", d->state);
        jw_string_or_null(w, "cause", d->cause[0] == '\0' ? NULL : d->cause);
        jw_int(w, "count", d->n);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void write_subscriptions(struct json_writer *w,
                                const struct outbox_status *status)
{
    jw_array(w, "subscriptions");
    for (size_t i = 0; i < status->n_subscriptions; i++) {
        const struct outbox_subscription_count *s = &status->subscriptions[i];

        jw_object(w, NULL);
        jw_string(w, "destination", s->destination);
        jw_string(w, "status", s->status);
        jw_int(w, "count", s->n);
        jw_int(w, "failing", s->failing);
        jw_int(w, "oldestPendingMs", s->oldest_ms);
        jw_object_end(w);
    }
    jw_array_end(w);
}

void outbox_status_write(const struct outbox_status *status, struct json_writer *w)
{
    jw_object(w, NULL);
    jw_int(w, "schemaVersion", status->schema_version);
    jw_bool(w, "strictTypes", status->strict_types);
    jw_bool(w, "sameCluster", status->same_cluster);
    jw_array(w, "lanes");
    for (size_t i = 0; i < status->n_lanes; i++) {
        write_lane(w, &status->lanes[i]);
    }
    jw_array_end(w);
    write_subscriptions(w, status);
    jw_object_end(w);
}
