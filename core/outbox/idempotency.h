/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idempotency.h - answers that are kept for a repeated request.
 *
 * An answer is written in the transaction of the change that it tells of, so that both
 * are there or neither. It is sealed by the caller. Kept for a day.
 *
 *   nothing --claim--> claimed --keep-----> answered
 *      |                  `--release, or a minute--> nothing
 *      `---------keep-------------------> answered
 *
 * Needs the rights of outbox_relay. Thread: any. Blocking: every call, never on another
 * request with the same key.
 */
#ifndef OUTBOX_IDEMPOTENCY_H
#define OUTBOX_IDEMPOTENCY_H

#include "outbox/outbox_tx.h"

#include <stdint.h>

struct idempotency_key {
    const char *principal, *key;
    const char *hash; /* hex: of the request */
};

enum idempotency_state {
    IDEMPOTENCY_NEW,     /* nobody has asked, and nobody else can until the end of tx */
    IDEMPOTENCY_BUSY,    /* another request is at it */
    IDEMPOTENCY_REUSED,  /* the key was used for another request, or is claimed by it */
    IDEMPOTENCY_ANSWERED /* *ret: status, number, sealed (hex) */
};

int idempotency_ask(struct outbox_tx *tx, const struct idempotency_key *key,
                    enum idempotency_state *ret_state, struct row_set **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;

/** For work that belongs in no transaction: once `tx`, which has asked and was told
 *  IDEMPOTENCY_NEW, is committed, everybody else is told IDEMPOTENCY_BUSY for a minute.
 *  That is twice as long as an endpoint may take; after it the work counts as dead. */
int idempotency_claim(struct outbox_tx *tx, const struct idempotency_key *key,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Gives a claim up; nothing when there is none. */
int idempotency_release(struct outbox_tx *tx, const struct idempotency_key *key,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** The answer. Ends a claim. */
int idempotency_keep(struct outbox_tx *tx, const struct idempotency_key *key,
                     unsigned int status, uint32_t number, const char *sealed_hex,
                     struct rider_error *err) RIDER_MUST_CHECK;

#endif
