/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription_secrets.h - sealed secrets of subscriptions: added, rotated, read for a
 * trial; and the attempt that a trial leaves.
 *
 * Only sealed bytes pass through here, in hex; who has the key ring seals and opens.
 * Needs the rights of outbox_relay. Thread: any. Blocking: every call.
 */
#ifndef OUTBOX_SUBSCRIPTION_SECRETS_H
#define OUTBOX_SUBSCRIPTION_SECRETS_H

#include "outbox/outbox_tx.h"

#include <stdint.h>

#define SUBSCRIPTION_MAX_SECRETS 10 /* that sign at the same time */

struct sealed_secret {
    const char *id; /* "key_..." */
    uint32_t number;
    const char *hex;
};

/** Adds the first secret of the subscription `id`. */
int subscription_secret_add(struct outbox_tx *tx, const char *id,
                            const struct sealed_secret *secret,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** A new secret that signs first; the ones before it sign for `overlap_s` more. */
struct secret_rotation {
    const char *id; /* of the subscription */
    struct sealed_secret secret;
    int64_t overlap_s;
    const char *actor;
};

/** Does that and raises the version. One row: previous_secret_expires_at, version.
 *  RIDER_E_NOT_FOUND, or RIDER_E_CONFIG: SUBSCRIPTION_MAX_SECRETS sign already. */
int subscription_secret_rotate(struct outbox_tx *tx, const struct secret_rotation *r,
                               struct row_set **ret,
                               struct rider_error *err) RIDER_MUST_CHECK;

/** What a trial needs. One row: subscription, id, destination, status, url, headers,
 *  timeout_ms, ca_ref, cert_ref, v1a, keep_responses, secrets (json: id, number, hex;
 *  the current one first). RIDER_E_NOT_FOUND. */
int subscription_target_read(struct outbox_tx *tx, const char *id, struct row_set **ret,
                             struct rider_error *err) RIDER_MUST_CHECK;

/** Writes an attempt without a delivery. `row` is an object with the columns of
 *  outbox.attempt. One row: the attempt as docs/openapi.yaml has it; response_excerpt is
 *  null unless `responses`. */
int subscription_attempt_add(struct outbox_tx *tx, const char *row, bool responses,
                             struct row_set **ret,
                             struct rider_error *err) RIDER_MUST_CHECK;

#endif
