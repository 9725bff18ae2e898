/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_operations.c - deliveries of subscriptions go again: one, or many.
 *
 * Not here: what that means (schema/007_recovery.sql).
 */
#include "outbox/webhook_operations.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char redeliver_sql[] =
    "SELECT r.refused FROM outbox.redeliver($1::int, $2::bigint, $3::bigint, $4) r";

static const char recover_sql[] =
    "SELECT r.refused, r.operation, r.failed, r.missed FROM outbox.recover("
    "$1, $2, $3::timestamptz, $4::timestamptz,"
    " CASE WHEN $5::json IS NOT NULL"
    "  THEN ARRAY(SELECT json_array_elements_text($5::json)) END,"
    " $6::real, $7, $8::boolean, $9::bigint) r";

static const char event_sql[] =
    "SELECT e.seq FROM outbox.event e "
    "WHERE CASE WHEN $1 ~ '^[0-9]+$' THEN e.seq = $1::bigint"
    " ELSE e.event_id = $1::uuid END";

static const char read_sql[] =
    "SELECT p.id, p.subscription_id, p.kind, p.include, p.since, p.until, p.from_seq,"
    " to_json(p.event_types) AS event_types, to_json(p.rate_per_second)"
    " AS rate_per_second, p.state, p.matched, p.enqueued, p.pending, p.succeeded,"
    " p.failed, to_json(round(p.progress::numeric, 4)) AS progress, p.eta,"
    " p.created_at, p.finished_at "
    "FROM outbox.operation_progress p WHERE p.id = $1";

static const char cancel_sql[] = "SELECT outbox.cancel_operation($1, $2) AS state";

static enum webhook_refusal refusal_of(const struct row_set *rows)
{
    const char *why = row_set_text(rows, 0, "refused");

    if (why[0] == '\0') {
        return WEBHOOK_DONE;
    }
    if (strcmp(why, "disabled") == 0) {
        return WEBHOOK_DISABLED;
    }
    if (strcmp(why, "empty") == 0) {
        return WEBHOOK_NO_TIME;
    }
    return strcmp(why, "unready") == 0 ? WEBHOOK_UNREADY : WEBHOOK_UNKNOWN;
}

int webhook_redeliver(struct outbox_tx *tx, const struct webhook_delivery_id *id,
                      const char *actor, enum webhook_refusal *ret,
                      struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    char lane[24];
    char seq[24];
    char subscription[24];
    const char *const values[] = {lane, seq, subscription, actor};

    (void)snprintf(lane, sizeof(lane), "%" PRId64, id->lane);
    (void)snprintf(seq, sizeof(seq), "%" PRId64, id->seq);
    (void)snprintf(subscription, sizeof(subscription), "%" PRId64, id->subscription);
    int rc = outbox_tx_rows(tx, redeliver_sql, 4, values, &rows, err);
    if (rc == 0) {
        *ret = refusal_of(rows);
    }
    return rc;
}

int webhook_recover(struct outbox_tx *tx, const struct webhook_recovery *recovery,
                    enum webhook_refusal *ret, struct row_set **ret_rows,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *event = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;

    if (recovery->from != NULL) {
        int found = outbox_tx_rows(tx, event_sql, 1, &recovery->from, &event, err);

        if (found != 0 || row_set_count(event) == 0) {
            *ret = WEBHOOK_NO_EVENT;
            return found;
        }
    }
    const char *const values[] = {recovery->subscription,
                                  recovery->include,
                                  recovery->since,
                                  recovery->until,
                                  recovery->event_types,
                                  recovery->per_second,
                                  recovery->actor,
                                  recovery->dry_run ? "true" : "false",
                                  event != NULL ? row_set_text(event, 0, "seq") : NULL};
    int rc = outbox_tx_rows(tx, recover_sql, 9, values, &rows, err);

    if (rc == 0) {
        *ret = refusal_of(rows);
        *ret_rows = RIDER_STEAL(rows);
    }
    return rc;
}

static int found(struct row_set *rows, struct row_set **ret, struct rider_error *err)
{
    if (row_set_count(rows) == 0) {
        row_set_destroy(rows);
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such operation");
    }
    *ret = rows;
    return 0;
}

int webhook_operation_read(const char *dsn, const char *id, struct row_set **ret,
                           struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    struct row_set *rows = NULL;
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, read_sql, 1, &id, &rows, err);
    }
    return rc == 0 ? found(rows, ret, err) : rc;
}

int webhook_operation_read_in(struct outbox_tx *tx, const char *id,
                              struct row_set **ret, struct rider_error *err)
{
    struct row_set *rows = NULL;
    int rc = outbox_tx_rows(tx, read_sql, 1, &id, &rows, err);

    return rc == 0 ? found(rows, ret, err) : rc;
}

int webhook_operation_cancel(struct outbox_tx *tx, const char *id, const char *actor,
                             struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {id, actor};
    int rc = outbox_tx_rows(tx, cancel_sql, 2, values, &rows, err);

    if (rc == 0 && row_set_is_null(rows, 0, "state")) {
        rc = rider_fail(err, RIDER_E_NOT_FOUND, "there is no such operation");
    }
    return rc;
}
