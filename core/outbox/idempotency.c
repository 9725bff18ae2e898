/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idempotency.c - answers that are kept for a repeated request.
 *
 * A lock on the key, held to the end of the transaction, tells whether somebody else is
 * at it; it belongs to the transaction, so that a pooler does no harm. A claim says the
 * same of work that goes on without a transaction.
 */
#include "outbox/idempotency.h"

#include <inttypes.h>
#include <stdio.h>

static const char lock_sql[] =
    "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || E'\\n' || $2, 8391)) "
    "AS locked";

static const char find_sql[] =
    "SELECT i.status, i.key_number AS number, encode(i.sealed, 'hex') AS sealed,"
    " i.claimed_until IS NOT NULL AS claimed,"
    " i.request_hash = decode($3, 'hex') AS same FROM outbox.idempotency i "
    "WHERE i.principal = $1 AND i.key = $2"
    " AND i.created_at > clock_timestamp() - interval '1 day'"
    " AND COALESCE(i.claimed_until > clock_timestamp(), true)";

static const char claim_sql[] =
    "INSERT INTO outbox.idempotency AS i (principal, key, request_hash, claimed_until) "
    "VALUES ($1, $2, decode($3, 'hex'), clock_timestamp() + interval '60 s') "
    "ON CONFLICT (principal, key) DO UPDATE SET request_hash = excluded.request_hash,"
    " claimed_until = excluded.claimed_until, status = NULL, key_number = NULL,"
    " sealed = NULL, created_at = clock_timestamp()";

static const char release_sql[] =
    "UPDATE outbox.idempotency SET claimed_until = '-infinity' "
    "WHERE principal = $1 AND key = $2 AND request_hash = decode($3, 'hex')"
    " AND claimed_until IS NOT NULL";

static const char keep_sql[] =
    "INSERT INTO outbox.idempotency AS i"
    " (principal, key, request_hash, status, key_number, sealed) "
    "VALUES ($1, $2, decode($3, 'hex'), $4::int, $5::int, decode($6, 'hex')) "
    "ON CONFLICT (principal, key) DO UPDATE SET request_hash = excluded.request_hash,"
    " claimed_until = NULL, status = excluded.status,"
    " key_number = excluded.key_number,"
    " sealed = excluded.sealed, created_at = clock_timestamp()";

int idempotency_ask(struct outbox_tx *tx, const struct idempotency_key *key,
                    enum idempotency_state *ret_state, struct row_set **ret,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lock = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *found = NULL;
    const char *const values[] = {key->principal, key->key, key->hash};
    int rc = outbox_tx_rows(tx, lock_sql, 2, values, &lock, err);

    if (rc == 0 && !row_set_bool(lock, 0, "locked")) {
        *ret_state = IDEMPOTENCY_BUSY;
        return 0;
    }
    if (rc == 0) {
        rc = outbox_tx_rows(tx, find_sql, 3, values, &found, err);
    }
    if (rc != 0) {
        return rc;
    }
    *ret_state = IDEMPOTENCY_NEW;
    if (row_set_count(found) == 1) {
        bool same = row_set_bool(found, 0, "same");
        bool claimed = row_set_bool(found, 0, "claimed");
        *ret_state = !same     ? IDEMPOTENCY_REUSED
                     : claimed ? IDEMPOTENCY_BUSY
                               : IDEMPOTENCY_ANSWERED;
        *ret = RIDER_STEAL(found);
    }
    return 0;
}

static int run(struct outbox_tx *tx, const char *sql, const struct idempotency_key *key,
               struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {key->principal, key->key, key->hash};

    return outbox_tx_rows(tx, sql, 3, values, &rows, err);
}

int idempotency_claim(struct outbox_tx *tx, const struct idempotency_key *key,
                      struct rider_error *err)
{
    return run(tx, claim_sql, key, err);
}

int idempotency_release(struct outbox_tx *tx, const struct idempotency_key *key,
                        struct rider_error *err)
{
    return run(tx, release_sql, key, err);
}

int idempotency_keep(struct outbox_tx *tx, const struct idempotency_key *key,
                     unsigned int status, uint32_t number, const char *sealed_hex,
                     struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char code[16];
    char ring[16];
    const char *const values[] = {key->principal, key->key, key->hash,
                                  code,           ring,     sealed_hex};

    (void)snprintf(code, sizeof(code), "%u", status);
    (void)snprintf(ring, sizeof(ring), "%" PRIu32, number);
    return outbox_tx_rows(tx, keep_sql, 6, values, &rows, err);
}
