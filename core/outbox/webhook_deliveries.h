/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_deliveries.h - deliveries of subscriptions and the attempts at them.
 *
 * Columns are the members of the HTTP API (docs/openapi.yaml); `position` orders a list.
 * Payloads are nowhere here. Needs the rights of outbox_api. Thread: any. Blocking:
 * every call.
 */
#ifndef OUTBOX_WEBHOOK_DELIVERIES_H
#define OUTBOX_WEBHOOK_DELIVERIES_H

#include "base/error.h"
#include "outbox/row_set.h"

#include <stdbool.h>
#include <stdint.h>

/** What names a delivery: "dlv_<lane>_<seq>_<subscription>". */
struct webhook_delivery_id {
    int64_t lane, seq, subscription;
};

/** False: no such text. Pure. */
bool webhook_delivery_id_parse(const char *text, struct webhook_delivery_id *ret);

/** What a list is narrowed to; "": anything. */
struct webhook_delivery_filter {
    const char *subscription;  /* its id */
    const char *state;         /* a state of outbox.delivery, in lower case */
    const char *type;          /* "*" stands for any text */
    const char *event_id;      /* a UUID */
    const char *since, *until; /* when the event occurred */
};

/** At most `limit`, the newest event first, behind position `after` ("": all).
 *  RIDER_E_NOT_FOUND: no such subscription. */
int webhook_deliveries_list(const char *dsn,
                            const struct webhook_delivery_filter *filter,
                            const char *after, int64_t limit, struct row_set **ret,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** One delivery and its last attempts, at most 25, the newest first; `*ret_attempts`
 *  is as webhook_attempts_list() gives them. RIDER_E_NOT_FOUND. */
int webhook_delivery_read(const char *dsn, const struct webhook_delivery_id *id,
                          bool responses, struct row_set **ret,
                          struct row_set **ret_attempts,
                          struct rider_error *err) RIDER_MUST_CHECK;

/** What a list of attempts is narrowed to; "": anything. */
struct webhook_attempt_filter {
    const char *subscription; /* its id */
    const char *outcome;      /* a word of outbox.attempt */
    const char *http_status;  /* "503", or "5xx" */
    const char *category;     /* of the error */
    const char *trigger;
    const char *event_id; /* a UUID */
    bool responses;       /* shows response_excerpt, which is null otherwise */
};

/** At most `limit`, the newest first, behind position `after` ("": all).
 *  RIDER_E_NOT_FOUND: no such subscription. */
int webhook_attempts_list(const char *dsn, const struct webhook_attempt_filter *filter,
                          const char *after, int64_t limit, struct row_set **ret,
                          struct rider_error *err) RIDER_MUST_CHECK;

/** At most `limit` dead deliveries that a filter names (see dead_letters.h), in the
 *  order of the log, behind position `after` ("": all). */
int webhook_dead_list(const char *dsn, const char *filter, const char *after,
                      int64_t limit, struct row_set **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

#endif
