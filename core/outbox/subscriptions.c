/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscriptions.c - subscriptions as the HTTP API shows and changes them.
 *
 * Invariant: every change raises `version`, which is the ETag, and leaves an audit row.
 * Not here: secrets (subscription_secrets.c), what values are good (core/api).
 */
#include "outbox/subscriptions.h"

#include "outbox/query_conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A time within json, as row_set.h writes one. */
#define JSON_TIME "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'"

#define SHOWN                                                                        \
    "SELECT s.id, s.destination, s.uid, s.url, s.status, s.status_reason,"           \
    " s.status_changed_at, to_json(s.event_types) AS event_types, s.filter,"         \
    " s.description, s.metadata, s.headers, s.ordering,"                             \
    " json_build_object('schedule_seconds', s.retry_schedule) AS retry,"             \
    " json_build_object('max_in_flight', s.max_in_flight,"                           \
    "  'rate_per_second', s.rate_per_second, 'burst', s.burst) AS limits,"           \
    " s.timeout_ms, json_build_object('schemes', s.signatures) AS signature,"        \
    " json_build_object('ca_ref', s.ca_ref, 'cert_ref', s.cert_ref) AS tls,"         \
    " s.keep_responses, s.disable_after_s AS disable_after_seconds, s.start_from,"   \
    " s.created_at, s.updated_at, s.version,"                                        \
    " (SELECT COALESCE(json_agg(json_build_object('key_id', k.id,"                   \
    "   'created_at', to_char(k.created_at AT TIME ZONE 'UTC', " JSON_TIME "),"      \
    "   'expires_at', to_char(k.expires_at AT TIME ZONE 'UTC', " JSON_TIME "))"      \
    "   ORDER BY k.secret DESC), '[]') FROM outbox.subscription_secret k"            \
    "  WHERE k.subscription = s.subscription"                                        \
    "   AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())) AS secrets," \
    " s.subscription AS position FROM outbox.subscription s "

static const char one_sql[] = SHOWN "WHERE s.id = $1 AND s.deleted_at IS NULL";

/* The page first, and by number alone: without statistics the planner reads and sorts all
 * that a destination has, and would make the document of each. */
static const char list_sql[] = SHOWN
    "WHERE s.subscription = ANY (ARRAY(SELECT s.subscription FROM outbox.subscription "
    "s "
    "WHERE s.deleted_at IS NULL AND s.subscription > COALESCE($1::bigint, 0)"
    " AND ($3::text IS NULL OR s.destination = $3)"
    " AND ($4::text IS NULL OR s.status = $4) AND ($5::text IS NULL OR s.uid = $5)"
    " AND ($6::text IS NULL OR strpos(s.url, $6) > 0)"
    " AND ($7::text IS NULL OR $7 LIKE ANY (s.type_patterns))"
    " AND ($8::jsonb IS NULL OR s.metadata::jsonb @> $8::jsonb)"
    " AND ($9::timestamptz IS NULL OR s.created_at > $9::timestamptz)"
    " AND (NOT $10::boolean OR EXISTS (SELECT FROM outbox.subscription_health h"
    "  WHERE h.subscription = s.subscription AND h.consecutive_failures > 0)) "
    "ORDER BY s.subscription LIMIT $2::bigint)) ORDER BY s.subscription";

/* Columns that a client writes. $1: the row. */
#define WRITTEN                                                                     \
    "uid, url, event_types, filter, filter_path, description, metadata, headers,"   \
    " ordering, retry_schedule, max_in_flight, rate_per_second, burst, timeout_ms," \
    " signatures, ca_ref, cert_ref, keep_responses, disable_after_s"
#define READ_ROW                                                                       \
    "json_to_record($1::json) AS r(id text, destination text, status text,"            \
    " start_from json, uid text, url text, event_types text[], filter json,"           \
    " filter_path text, description text, metadata json, headers json, ordering text," \
    " retry_schedule int[], max_in_flight int, rate_per_second real, burst int,"       \
    " timeout_ms int, signatures text[], ca_ref text, cert_ref text,"                  \
    " keep_responses boolean, disable_after_s int)"
#define VALUES_OF_ROW                                                                \
    "r.uid, r.url, r.event_types, r.filter, r.filter_path::jsonpath, r.description," \
    " r.metadata, r.headers, r.ordering, r.retry_schedule, r.max_in_flight,"         \
    " r.rate_per_second, r.burst, r.timeout_ms, r.signatures, r.ca_ref, r.cert_ref," \
    " r.keep_responses, r.disable_after_s"

/* A lane that expanded an event after start_snap was taken and before the row is
 * committed would not have seen the row, and nobody would ever look there again. One
 * that is made later begins later: what was committed in between would be nobody's. */
static const char make_lane_sql[] =
    "INSERT INTO outbox.lane (destination) SELECT $1::json->>'destination' "
    "WHERE NOT EXISTS (SELECT FROM outbox.lane l"
    " WHERE l.destination = $1::json->>'destination') ON CONFLICT DO NOTHING";

static const char hold_lane_sql[] =
    "SELECT l.lane FROM outbox.lane l WHERE l.destination = $1::json->>'destination' "
    "ORDER BY l.lane FOR NO KEY UPDATE";

/* $2 when the past begins, or NULL; $3 whether there is any to be expanded. */
static const char insert_sql[] =
    "INSERT INTO outbox.subscription (id, destination, status, start_from, start_at,"
    " backfill, verify_wanted, " WRITTEN ") "
    "SELECT r.id, r.destination, r.status, r.start_from,"
    " COALESCE($2::timestamptz, clock_timestamp()), $3::boolean,"
    " r.status = 'pending_verification', " VALUES_OF_ROW " FROM " READ_ROW
    " WHERE (SELECT count(*) FROM outbox.subscription x"
    "  WHERE x.destination = r.destination AND x.deleted_at IS NULL) < $4::bigint "
    "RETURNING subscription, id";

static const char backfill_sql[] =
    "INSERT INTO outbox.operation (subscription, kind, include, since, from_seq, actor)"
    " VALUES ($1::bigint, 'backfill', 'missed', $2::timestamptz, $3::bigint, $4)";

static const char event_sql[] =
    "SELECT e.seq, e.occurred_at FROM outbox.event e "
    "WHERE CASE WHEN $1 ~ '^[0-9]+$' THEN e.seq = $1::bigint"
    " ELSE e.event_id = $1::uuid END";

/* What becomes of the status: where an agreement is wanted, the URL that has not agreed
 * gets nothing. */
#define NEXT_STATUS                                                   \
    "CASE WHEN r.status = 'disabled' THEN 'disabled'"                 \
    " WHEN s.verify_wanted AND r.url IS DISTINCT FROM s.verified_url" \
    "  THEN 'pending_verification' ELSE r.status END"

/* $2 id, $3 version. Disabling is left to disable_sql. */
static const char update_sql[] =
    "WITH changed AS ("
    "UPDATE outbox.subscription s SET (" WRITTEN ") = ROW(" VALUES_OF_ROW "),"
    " status = CASE WHEN r.status = 'disabled' THEN s.status ELSE " NEXT_STATUS " END,"
    " verify_wanted = s.verify_wanted OR r.status = 'pending_verification',"
    " status_reason = CASE WHEN " NEXT_STATUS " IN (s.status, 'disabled')"
    "  THEN s.status_reason END,"
    " status_changed_at = CASE WHEN " NEXT_STATUS " = s.status"
    "  THEN s.status_changed_at ELSE clock_timestamp() END,"
    " version = s.version + 1, updated_at = clock_timestamp() "
    "FROM " READ_ROW
    " WHERE s.id = $2 AND s.version = $3::bigint AND s.deleted_at IS NULL "
    "RETURNING s.subscription,"
    " CASE WHEN r.status = 'disabled' THEN r.status ELSE s.status END AS status),"
    /* It starts with a clean record, or it would be disabled again at once. */
    "renewed AS (UPDATE outbox.subscription_health h SET consecutive_failures = 0,"
    " failing_since = NULL, throttled_until = NULL FROM changed c"
    " WHERE h.subscription = c.subscription AND c.status <> 'disabled'"
    "  AND EXISTS (SELECT FROM outbox.subscription o"
    "   WHERE o.subscription = c.subscription AND o.status = 'disabled')) "
    "SELECT subscription, status FROM changed";

/* Whoever changes rows of subscriptions has the lane, and has it first. */
static const char change_lane_sql[] =
    "SELECT l.lane FROM outbox.lane l JOIN outbox.subscription s"
    " ON l.destination = s.destination WHERE s.id = $1"
    " AND s.ordering = 'none' AND $2::json->>'ordering' = 'key' "
    "ORDER BY l.lane FOR NO KEY UPDATE OF l";

/* Without an order all rows of a key could go: now those behind the first open one wait,
 * as if they had been made that way. Nothing to do for a key in order. */
static const char order_sql[] =
    "WITH q AS MATERIALIZED (SELECT d.lane, d.seq, d.state, row_number() OVER"
    "  (PARTITION BY d.aggregate_type, d.aggregate_id ORDER BY d.seq) AS nth"
    " FROM outbox.lane l JOIN outbox.delivery d ON d.lane = l.lane"
    " WHERE l.lane = $2::int AND d.subscription = $1::bigint"
    "  AND d.state NOT IN ('DELIVERED', 'DISCARDED')"
    "  AND (l.hold_dead OR d.state <> 'DEAD')) "
    "UPDATE outbox.delivery d SET state = 'HELD', updated_at = clock_timestamp() "
    "FROM q WHERE q.nth > 1 AND q.state IN ('PENDING', 'RETRY')"
    " AND d.lane = q.lane AND d.seq = q.seq AND d.subscription = $1::bigint "
    "RETURNING d.seq";

static const char disable_sql[] =
    "SELECT outbox.disable_subscription($1::bigint, 'manual')";

static const char unknown_sql[] =
    "SELECT (t.n - 1)::int AS index FROM outbox.meta m,"
    " json_array_elements_text($1::json) WITH ORDINALITY t(type, n) "
    "WHERE m.strict_types AND strpos(t.type, '*') = 0"
    " AND NOT EXISTS (SELECT FROM outbox.event_type e WHERE e.type = t.type) "
    "ORDER BY t.n";

/* $2: the URL that agreed. It tells nothing about another that is there by now. */
static const char verified_sql[] =
    "WITH agreed AS (UPDATE outbox.subscription SET verified_url = $2"
    " WHERE id = $1 AND url = $2 AND status <> 'pending_verification'"
    "  AND status <> 'disabled' AND deleted_at IS NULL RETURNING id),"
    "activated AS (UPDATE outbox.subscription SET verified_url = $2,"
    "  status = 'active', status_reason = NULL, version = version + 1,"
    "  status_changed_at = clock_timestamp(), updated_at = clock_timestamp()"
    " WHERE id = $1 AND url = $2 AND status = 'pending_verification'"
    "  AND deleted_at IS NULL RETURNING id) "
    "SELECT id FROM agreed UNION ALL SELECT id FROM activated";

/* "" is nothing. */
static const char *given(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

int subscriptions_list(const char *dsn, const struct subscription_filter *filter,
                       const char *after, int64_t limit, struct row_set **ret,
                       struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char rows[24];
    const char *const values[] = {given(after),
                                  rows,
                                  given(filter->destination),
                                  given(filter->status),
                                  given(filter->uid),
                                  given(filter->url_contains),
                                  given(filter->event_type),
                                  given(filter->metadata),
                                  given(filter->created_after),
                                  filter->failing ? "true" : "false"};

    (void)snprintf(rows, sizeof(rows), "%" PRId64, limit);
    int rc = query_conn_read(dsn, "postrider api", &conn, err);
    return rc == 0 ? query_conn_rows(conn, list_sql, 10, values, ret, err) : rc;
}

static int expect_one(int rc, struct row_set **rows, struct rider_error *err)
{
    if (rc == 0 && row_set_count(*rows) != 1) {
        row_set_destroy(*rows);
        *rows = NULL;
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such subscription");
    }
    return rc;
}

static int read_one(const char *dsn, const char *sql, const char *id,
                    struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    if (rc == 0) {
        rc = query_conn_rows(conn, sql, 1, &id, ret, err);
    }
    return expect_one(rc, ret, err);
}

int subscription_read(const char *dsn, const char *id, struct row_set **ret,
                      struct rider_error *err)
{
    return read_one(dsn, one_sql, id, ret, err);
}

int subscription_read_in(struct outbox_tx *tx, const char *id, struct row_set **ret,
                         struct rider_error *err)
{
    int rc = outbox_tx_rows(tx, one_sql, 1, &id, ret, err);

    return expect_one(rc, ret, err);
}

int subscription_unknown_types(const char *dsn, const char *types, struct row_set **ret,
                               struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    return rc == 0 ? query_conn_rows(conn, unknown_sql, 1, &types, ret, err) : rc;
}

/* The only unique column that a client writes. */
static bool is_taken(int rc, const struct rider_error *err)
{
    return rc == RIDER_E_CONFIG && strstr(err->text, "subscription_uid") != NULL;
}

/* Where the past begins, as texts or NULL. */
struct past {
    char at[64], seq[24];
    const char *start_at, *since, *from_seq;
};

static int find_past(struct outbox_tx *tx, const struct subscription_new *s,
                     struct past *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;

    *ret = (struct past){.start_at = s->since, .since = s->since};
    if (s->beginning) {
        ret->start_at = "-infinity";
        ret->from_seq = "0";
    }
    if (s->from_event == NULL) {
        return 0;
    }
    int rc = outbox_tx_rows(tx, event_sql, 1, &s->from_event, &rows, err);
    if (rc == 0 && row_set_count(rows) != 1) {
        return rider_fail(err, RIDER_E_NOT_FOUND, "there is no such event");
    }
    if (rc == 0) {
        (void)snprintf(ret->at, sizeof(ret->at), "%s",
                       row_set_text(rows, 0, "occurred_at"));
        (void)snprintf(ret->seq, sizeof(ret->seq), "%s", row_set_text(rows, 0, "seq"));
        ret->start_at = ret->at;
        ret->from_seq = ret->seq;
    }
    return rc;
}

static int insert_backfill(struct outbox_tx *tx, const char *subscription,
                           const struct past *past, const char *actor,
                           struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {subscription, past->since, past->from_seq, actor};

    return outbox_tx_rows(tx, backfill_sql, 4, values, &rows, err);
}

static int hold_lane(struct outbox_tx *tx, const char *row, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *none = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    int rc = outbox_tx_rows(tx, make_lane_sql, 1, &row, &none, err);

    return rc == 0 ? outbox_tx_rows(tx, hold_lane_sql, 1, &row, &lanes, err) : rc;
}

int subscription_insert(struct outbox_tx *tx, struct subscription_new *s,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    bool past_wanted = s->beginning || s->since != NULL || s->from_event != NULL;
    struct past past;
    char max[24];
    int rc = find_past(tx, s, &past, err);

    if (rc == 0) {
        rc = hold_lane(tx, s->row, err);
    }
    if (rc != 0) {
        return rc;
    }
    (void)snprintf(max, sizeof(max), "%d", SUBSCRIPTIONS_MAX);
    const char *const values[] = {s->row, past.start_at, past_wanted ? "true" : "false",
                                  max};
    rc = outbox_tx_rows(tx, insert_sql, 4, values, &rows, err);
    s->ret_taken = is_taken(rc, err);
    if (rc == 0 && row_set_count(rows) == 0) {
        s->ret_full = true;
        return rider_fail(err, RIDER_E_CONFIG, "there are %d subscriptions",
                          SUBSCRIPTIONS_MAX);
    }
    if (rc == 0 && past_wanted) {
        rc = insert_backfill(tx, row_set_text(rows, 0, "subscription"), &past, s->actor,
                             err);
    }
    return rc == 0 ? outbox_tx_audit(tx, s->actor, "subscription.create",
                                     row_set_text(rows, 0, "id"), err)
                   : rc;
}

/* `lanes` are those that were held because the order changes. */
static int order_rows(struct outbox_tx *tx, const char *subscription,
                      const struct row_set *lanes, struct rider_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < row_set_count(lanes); i++) {
        RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *none = NULL;
        const char *const values[] = {subscription, row_set_text(lanes, i, "lane")};
        rc = outbox_tx_rows(tx, order_sql, 2, values, &none, err);
    }
    return rc;
}

int subscription_update(struct outbox_tx *tx, struct subscription_change *s,
                        struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *none = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *lanes = NULL;
    const char *const order[] = {s->id, s->row};
    char version[24];
    const char *const values[] = {s->row, s->id, version};

    (void)snprintf(version, sizeof(version), "%" PRId64, s->version);
    int rc = outbox_tx_rows(tx, change_lane_sql, 2, order, &lanes, err);
    if (rc == 0) {
        rc = outbox_tx_rows(tx, update_sql, 3, values, &rows, err);
    }
    s->ret_taken = is_taken(rc, err);
    if (rc == 0 && row_set_count(rows) == 0) {
        s->ret_stale = true;
        return rider_fail(err, RIDER_E_CONFIG, "the subscription has changed");
    }
    if (rc == 0 && s->status != NULL &&
        strcmp(row_set_text(rows, 0, "status"), s->status) != 0) {
        s->ret_unverified = true;
        return rider_fail(err, RIDER_E_CONFIG, "the endpoint has not agreed");
    }
    bool disable = rc == 0 && strcmp(row_set_text(rows, 0, "status"), "disabled") == 0;
    if (rc == 0) {
        rc = order_rows(tx, row_set_text(rows, 0, "subscription"), lanes, err);
    }
    if (rc == 0 && disable) {
        const char *subscription = row_set_text(rows, 0, "subscription");
        rc = outbox_tx_rows(tx, disable_sql, 1, &subscription, &none, err);
    }
    return rc == 0 ? outbox_tx_audit(tx, s->actor,
                                     disable ? "subscription.disable"
                                             : "subscription.update",
                                     s->id, err)
                   : rc;
}

int subscription_verified(struct outbox_tx *tx, const char *id, const char *url,
                          const char *actor, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {id, url};
    int rc = outbox_tx_rows(tx, verified_sql, 2, values, &rows, err);

    if (rc == 0 && row_set_count(rows) == 0) {
        return rider_fail(err, RIDER_E_NOT_FOUND, "the subscription has changed");
    }

    return rc == 0 ? outbox_tx_audit(tx, actor, "subscription.verify", id, err) : rc;
}
