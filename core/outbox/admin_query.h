/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin_query.h - what the commands ask of the outbox: status, one event, publish.
 *
 * Each call opens a connection of its own, asks, and closes it, so that the answers
 * do not depend on a running relay. Thread: any. Blocking: every call, at most 10 s
 * to connect and 10 s a statement.
 */
#ifndef OUTBOX_ADMIN_QUERY_H
#define OUTBOX_ADMIN_QUERY_H

#include "base/error.h"
#include "dispatch/event_row.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTBOX_BACKLOG_CAP 100000 /* events counted per lane; more is "at least" */

/** Open deliveries of one lane that share state and cause. */
struct outbox_delivery_count {
    const char *state; /* "RETRY", "HELD", "DEAD", ... */
    const char *cause; /* a word of docs/operations.md, "" if none is noted */
    int64_t n;
};

struct outbox_lane_status {
    const char *destination;
    int32_t part;
    const char *state;     /* "ACTIVE", "PAUSED", "BROKEN" */
    const char *owner;     /* "" when nobody has a valid lease */
    const char *cause;     /* why the lane as a whole stands still, "" if it does not */
    int64_t lease_left_ms; /* by the database's clock; 0 without a valid lease */
    int64_t backlog;       /* events behind the cursor, up to OUTBOX_BACKLOG_CAP */
    bool backlog_capped;   /* there are more */
    int64_t oldest_pending_ms; /* age of the oldest event not delivered and not dead;
                                  0: there is none; of the counted ones when capped */
    int64_t cursor_lag_ms;     /* age of the oldest event behind the cursor; 0: none */
    const struct outbox_delivery_count *deliveries;
    size_t n_deliveries;
};

/** Subscriptions of one destination that share a status. */
struct outbox_subscription_count {
    const char *destination;
    const char *status; /* "active", "paused", "disabled", "pending_verification" */
    int64_t n;
    int64_t failing;   /* whose last attempt failed */
    int64_t oldest_ms; /* age of the oldest event that waits for one of them; 0: none */
};

/** One consistent picture; its strings live as long as it does. */
struct outbox_status {
    int32_t schema_version;
    bool strict_types;
    bool same_cluster; /* false: restored elsewhere, outbox.rebase() is due */
    const struct outbox_lane_status *lanes; /* by destination and part */
    size_t n_lanes;
    const struct outbox_subscription_count *subscriptions; /* by destination, status */
    size_t n_subscriptions;
};

/** Needs the rights of outbox_relay or outbox_monitor. Caller ends *ret with
 *  outbox_status_destroy(). RIDER_E_SCHEMA: not migrated. */
int outbox_status_read(const char *dsn, struct outbox_status **ret,
                       struct rider_error *err) RIDER_MUST_CHECK;
void outbox_status_destroy(struct outbox_status *status);

/** One event, decoded as a lane decodes it. */
struct outbox_stored_event {
    struct event_row row;
};

/** Reads one event for `explain`; needs the rights of outbox_relay.
 *  RIDER_E_NOT_FOUND: no such event, or retired. RIDER_E_CONFIG: not a UUID.
 *  Caller ends *ret with outbox_stored_event_destroy(). */
int outbox_event_read(const char *dsn, const char *event_id,
                      struct outbox_stored_event **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
void outbox_stored_event_destroy(struct outbox_stored_event *event);

#define OUTBOX_ID_SIZE 37 /* 36 characters and NUL */

/** What `publish` writes; NULL and 0 stand for the defaults of outbox.publish().
 *  Field by field as in postrider/outbox.h. */
struct outbox_new_event {
    const char *type, *aggregate_id, *payload;
    const char *aggregate_type, *headers, *event_id, *occurred_at;
    int version;
};

/** Writes all of `events` in one transaction, or none; needs the rights of
 *  outbox_writer. ret_ids[i] receives the id of events[i]. A failure names the
 *  event by its position, from 1, when there are several. */
int outbox_events_insert(const char *dsn, const struct outbox_new_event *events,
                         size_t n, char (*ret_ids)[OUTBOX_ID_SIZE],
                         struct rider_error *err) RIDER_MUST_CHECK;

#endif
