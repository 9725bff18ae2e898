/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription_secrets.c - sealed secrets of subscriptions, and attempts of trials.
 *
 * Not here: sealing (webhooks/key_ring.h), sealing anew (secret_store.c).
 */
#include "outbox/subscription_secrets.h"

#include "outbox/attempt_columns.h"

#include <inttypes.h>
#include <stdio.h>

static const char add_sql[] =
    "INSERT INTO outbox.subscription_secret (subscription, id, key_number, sealed) "
    "SELECT s.subscription, $2, $3::int, decode($4, 'hex') FROM outbox.subscription s "
    "WHERE s.id = $1";

static const char lock_sql[] = "SELECT s.subscription FROM outbox.subscription s "
                               "WHERE s.id = $1 AND s.deleted_at IS NULL "
                               "FOR NO KEY UPDATE";

/* $2: seconds. Those that expire sooner anyway keep their time. */
static const char expire_sql[] =
    "UPDATE outbox.subscription_secret k"
    " SET expires_at = clock_timestamp() + $2::bigint * interval '1 second' "
    "FROM outbox.subscription s WHERE s.id = $1 AND k.subscription = s.subscription"
    " AND COALESCE(k.expires_at, 'infinity')"
    "  > clock_timestamp() + $2::bigint * interval '1 second'";

static const char count_sql[] =
    "SELECT count(*)::int AS n FROM outbox.subscription_secret k"
    " JOIN outbox.subscription s ON s.subscription = k.subscription "
    "WHERE s.id = $1 AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())";

static const char touch_sql[] =
    "UPDATE outbox.subscription s SET version = s.version + 1,"
    " updated_at = clock_timestamp() WHERE s.id = $1 "
    "RETURNING s.version, (SELECT max(k.expires_at) FROM outbox.subscription_secret k"
    " WHERE k.subscription = s.subscription AND k.expires_at > clock_timestamp())"
    " AS previous_secret_expires_at";

static const char target_sql[] =
    "SELECT s.subscription, s.id, s.destination, s.status, s.url, s.headers,"
    " s.timeout_ms, s.ca_ref, s.cert_ref, 'v1a' = ANY (s.signatures) AS v1a,"
    " s.keep_responses,"
    " (SELECT COALESCE(json_agg(json_build_object('id', k.id, 'number', k.key_number,"
    "   'hex', encode(k.sealed, 'hex')) ORDER BY k.expires_at IS NOT NULL,"
    "   k.secret DESC), '[]') FROM outbox.subscription_secret k"
    "  WHERE k.subscription = s.subscription"
    "   AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())) AS secrets "
    "FROM outbox.subscription s WHERE s.id = $1 AND s.deleted_at IS NULL";

static const char attempt_sql[] =
    "WITH made AS (INSERT INTO outbox.attempt (subscription, trigger, outcome,"
    " started_at, dns_us, connect_us, tls_us, first_byte_us, total_us, remote, reused,"
    " requests, http_status, category, cause, error, response) "
    "SELECT r.subscription, r.trigger, r.outcome, to_timestamp(r.started_us / 1e6),"
    " r.dns_us, r.connect_us, r.tls_us, r.first_byte_us, r.total_us, r.remote,"
    " r.reused, r.requests, r.http_status, r.category, r.cause, r.error, r.response "
    "FROM json_to_record($1::json) AS r(subscription bigint, trigger text,"
    " outcome text, started_us bigint, dns_us int, connect_us int, tls_us int,"
    " first_byte_us int, total_us int, remote text, reused boolean, requests int,"
    " http_status int, category text, cause text, error text, response text) "
    "RETURNING *) "
    "SELECT " ATTEMPT_COLUMNS
    ", CASE WHEN $2::boolean THEN a.response END AS response_excerpt "
    "FROM made a JOIN outbox.subscription s ON s.subscription = a.subscription "
    "LEFT JOIN outbox.event e ON e.seq = a.seq";

int subscription_secret_add(struct outbox_tx *tx, const char *id,
                            const struct sealed_secret *secret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char number[16];
    const char *const values[] = {id, secret->id, number, secret->hex};

    (void)snprintf(number, sizeof(number), "%" PRIu32, secret->number);
    return outbox_tx_rows(tx, add_sql, 4, values, &rows, err);
}

static int run(struct outbox_tx *tx, const char *sql, int n, const char *const *values,
               struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;

    return outbox_tx_rows(tx, sql, n, values, &rows, err);
}

static int lock(struct outbox_tx *tx, const char *id, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = outbox_tx_rows(tx, lock_sql, 1, &id, &rows, err);

    return rc == 0 && row_set_count(rows) == 0
               ? rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription")
               : rc;
}

static int check_count(struct outbox_tx *tx, const char *id, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = outbox_tx_rows(tx, count_sql, 1, &id, &rows, err);

    return rc == 0 && row_set_int(rows, 0, "n") >= SUBSCRIPTION_MAX_SECRETS
               ? rider_fail(err, RIDER_E_CONFIG, "%d secrets sign already",
                            SUBSCRIPTION_MAX_SECRETS)
               : rc;
}

int subscription_secret_rotate(struct outbox_tx *tx, const struct secret_rotation *r,
                               struct row_set **ret, struct rider_error *err)
{
    char overlap[24];
    const char *const values[] = {r->id, overlap};

    (void)snprintf(overlap, sizeof(overlap), "%" PRId64, r->overlap_s);
    int rc = lock(tx, r->id, err);
    if (rc == 0) {
        rc = run(tx, expire_sql, 2, values, err);
    }
    if (rc == 0) {
        rc = check_count(tx, r->id, err);
    }
    if (rc == 0) {
        rc = subscription_secret_add(tx, r->id, &r->secret, err);
    }
    if (rc == 0) {
        rc = outbox_tx_rows(tx, touch_sql, 1, values, ret, err);
    }
    return rc == 0 ? outbox_tx_audit(tx, r->actor, "subscription.rotate", r->id, err)
                   : rc;
}

int subscription_target_read(struct outbox_tx *tx, const char *id, struct row_set **ret,
                             struct rider_error *err)
{
    int rc = outbox_tx_rows(tx, target_sql, 1, &id, ret, err);

    if (rc == 0 && row_set_count(*ret) != 1) {
        row_set_destroy(*ret);
        *ret = NULL;
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription");
    }
    return rc;
}

int subscription_attempt_add(struct outbox_tx *tx, const char *row, bool responses,
                             struct row_set **ret, struct rider_error *err)
{
    const char *const values[] = {row, responses ? "true" : "false"};

    return outbox_tx_rows(tx, attempt_sql, 2, values, ret, err);
}
