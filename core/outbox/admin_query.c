/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin_query.c - what the commands ask of the outbox: status, one event, publish.
 *
 * Status is four statements in one REPEATABLE READ transaction. The result
 * structs point into the PGresults, which they own. The scan of a backlog is capped,
 * so that asking stays cheap while a destination is down.
 *
 * Invariant: nothing here writes, except outbox_events_insert() through the SDK.
 * Not here: formatting (cli/), the relay's own statements (lane_sql.c).
 */
#include "outbox/admin_query.h"

#include "base/parse.h"
#include "outbox/event_decode.h"
#include "outbox/pg_sync.h"
#include "postrider/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jit: a large log's estimate passes its threshold, and compiling takes longer than
 * the answer. The planner settings are the relay's, for the same reason: statistics
 * are stale after every burst. */
static const char begin_read[] =
    "SET jit = off; SET enable_seqscan = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off;"
    "SET statement_timeout = '10s';"
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

static const char meta_sql[] = "SELECT m.schema_version, m.strict_types::int,"
                               " (m.system_identifier = c.system_identifier)::int "
                               "FROM outbox.meta m, pg_catalog.pg_control_system() c";

/* $1 is the cap: what is behind the cursor is read up to one row more. Of open rows the
 * first of the log stand for all: later ones are hardly older. */
static const char lanes_sql[] =
    "SELECT l.lane, l.destination, l.part, l.state,"
    " CASE WHEN v.valid THEN l.owner ELSE '' END, COALESCE(l.cause, ''),"
    " CASE WHEN v.valid"
    "  THEN (extract(epoch FROM l.lease_until - clock_timestamp()) * 1000)::bigint"
    "  ELSE 0 END,"
    " LEAST(b.n, $1::bigint), (b.n > $1::bigint)::int,"
    " CASE WHEN LEAST(b.oldest, p.oldest) IS NULL THEN 0"
    "  ELSE GREATEST((extract(epoch FROM"
    "   clock_timestamp() - LEAST(b.oldest, p.oldest)) * 1000)::bigint, 1) END,"
    " CASE WHEN b.oldest IS NULL THEN 0"
    "  ELSE GREATEST((extract(epoch FROM clock_timestamp() - b.oldest)"
    "   * 1000)::bigint, 1) END "
    "FROM outbox.lane l "
    "CROSS JOIN LATERAL (SELECT l.owner IS NOT NULL"
    " AND COALESCE(l.lease_until > clock_timestamp(), false) AS valid) v "
    "CROSS JOIN LATERAL ("
    " SELECT count(*) AS n, min(x.occurred_at) AS oldest FROM ("
    "  SELECT e.occurred_at FROM ("
    "   (SELECT a.seq, a.xid, a.occurred_at FROM outbox.event a"
    "    WHERE a.xid >= pg_snapshot_xmax(l.snap) ORDER BY a.xid, a.seq)"
    "   UNION ALL"
    "   SELECT c.seq, c.xid, c.occurred_at FROM pg_snapshot_xip(l.snap) i(xid)"
    "   JOIN outbox.event c ON c.xid = i.xid) e"
    "  WHERE (pg_visible_in_snapshot(e.xid, l.win)"
    "   AND e.seq <= l.win_seq) IS NOT TRUE"
    "  LIMIT $1::bigint + 1) x) b "
    "CROSS JOIN LATERAL ("
    " SELECT min(e.occurred_at) AS oldest FROM ("
    "  SELECT d.seq FROM outbox.delivery d WHERE d.lane = l.lane"
    "  AND d.state NOT IN ('DELIVERED', 'DISCARDED') AND d.state <> 'DEAD'"
    "  ORDER BY d.seq LIMIT 1000) o JOIN outbox.event e ON e.seq = o.seq) p "
    "ORDER BY l.destination, l.part";

static const char deliveries_sql[] =
    "SELECT d.lane, d.state, COALESCE(d.cause, ''), count(*) FROM outbox.delivery d "
    "WHERE d.state NOT IN ('DELIVERED', 'DISCARDED') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

/* A HELD row waits behind an older one of its key, so the first of the others is the
 * oldest. */
static const char subscriptions_sql[] =
    "SELECT s.destination, s.status, count(*),"
    " count(*) FILTER (WHERE h.consecutive_failures > 0),"
    " CASE WHEN min(e.occurred_at) IS NULL THEN 0"
    "  ELSE GREATEST((extract(epoch FROM clock_timestamp() - min(e.occurred_at))"
    "   * 1000)::bigint, 1) END "
    "FROM outbox.subscription s "
    "LEFT JOIN outbox.subscription_health h ON h.subscription = s.subscription "
    "LEFT JOIN outbox.lane l ON l.destination = s.destination AND l.part = 0 "
    "CROSS JOIN LATERAL (SELECT LEAST("
    " (SELECT min(d.seq) FROM outbox.delivery d WHERE d.lane = l.lane"
    "  AND d.subscription = s.subscription AND d.state = 'PENDING'"
    "  AND d.subscription > 0),"
    " (SELECT min(d.seq) FROM outbox.delivery d WHERE d.lane = l.lane"
    "  AND d.subscription = s.subscription AND d.state = 'RETRY'"
    "  AND d.subscription > 0)) AS seq) d "
    "LEFT JOIN outbox.event e ON e.seq = d.seq "
    "WHERE s.deleted_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2";

/* The columns that event_decode() knows. */
static const char event_sql[] =
    "SELECT seq, event_id, type, aggregate_type, aggregate_id, version,"
    " occurred_at, payload, headers "
    "FROM outbox.event WHERE event_id = $1::uuid";

/** The public part comes first, so that a pointer to it is one to the whole. */
struct status_owner {
    struct outbox_status status;
    PGresult *lanes, *deliveries, *subscriptions;
    struct outbox_lane_status *lane_rows;
    struct outbox_delivery_count *count_rows;
    struct outbox_subscription_count *subscription_rows;
};

struct event_owner {
    struct outbox_stored_event event;
    PGresult *result;
    struct event_scratch *scratch;
};

/** A number that the statement made one. */
static int64_t number(const PGresult *result, int row, int column)
{
    int64_t value = 0;
    if (parse_int(PQgetvalue(result, row, column), &value, NULL) != 0) {
        return 0;
    }
    return value;
}

static int open_reader(const char *dsn, PGconn **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int code = pg_sync_open(dsn, "postrider status", &conn, err);
    if (code == 0) {
        code = pg_sync_exec(conn, begin_read, err);
    }
    if (code != 0) {
        return code;
    }
    *ret = RIDER_STEAL(conn);
    return 0;
}

/** A missing table says so in words of the operator. */
static int explain_failure(int code, struct rider_error *err)
{
    if (code == RIDER_E_SCHEMA) {
        return rider_fail(err, RIDER_E_SCHEMA,
                          "the outbox schema is missing or of another version: "
                          "run postrider migrate");
    }
    return code;
}

static int read_meta(PGconn *conn, struct outbox_status *status,
                     struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *result = NULL;
    int code = pg_sync_query(conn, meta_sql, 0, NULL, &result, err);
    if (code != 0) {
        return code;
    }
    if (PQntuples(result) != 1) {
        return rider_fail(err, RIDER_E_SCHEMA, "outbox.meta does not hold one row");
    }
    status->schema_version = (int32_t)number(result, 0, 0);
    status->strict_types = number(result, 0, 1) != 0;
    status->same_cluster = number(result, 0, 2) != 0;
    return 0;
}

static void fill_lane(struct outbox_lane_status *lane, const PGresult *rows, int i)
{
    *lane = (struct outbox_lane_status){
        .destination = PQgetvalue(rows, i, 1),
        .part = (int32_t)number(rows, i, 2),
        .state = PQgetvalue(rows, i, 3),
        .owner = PQgetvalue(rows, i, 4),
        .cause = PQgetvalue(rows, i, 5),
        .lease_left_ms = number(rows, i, 6),
        .backlog = number(rows, i, 7),
        .backlog_capped = number(rows, i, 8) != 0,
        .oldest_pending_ms = number(rows, i, 9),
        .cursor_lag_ms = number(rows, i, 10),
    };
}

/** The counts are sorted by lane: those of one lane are a range. */
static void attach_counts(struct outbox_lane_status *lane, int64_t id,
                          const struct status_owner *owner)
{
    size_t n = (size_t)PQntuples(owner->deliveries);
    size_t first = 0;

    while (first < n && number(owner->deliveries, (int)first, 0) != id) {
        first++;
    }
    size_t end = first;
    while (end < n && number(owner->deliveries, (int)end, 0) == id) {
        end++;
    }
    lane->deliveries = &owner->count_rows[first];
    lane->n_deliveries = end - first;
}

static int fill_subscriptions(struct status_owner *owner, struct rider_error *err)
{
    const PGresult *rows = owner->subscriptions;
    size_t n = (size_t)PQntuples(rows);

    owner->subscription_rows = calloc(n + 1, sizeof *owner->subscription_rows);
    if (owner->subscription_rows == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        owner->subscription_rows[i] = (struct outbox_subscription_count){
            .destination = PQgetvalue(rows, (int)i, 0),
            .status = PQgetvalue(rows, (int)i, 1),
            .n = number(rows, (int)i, 2),
            .failing = number(rows, (int)i, 3),
            .oldest_ms = number(rows, (int)i, 4),
        };
    }
    owner->status.subscriptions = owner->subscription_rows;
    owner->status.n_subscriptions = n;
    return 0;
}

static int fill_status(struct status_owner *owner, struct rider_error *err)
{
    size_t n_lanes = (size_t)PQntuples(owner->lanes);
    size_t n_counts = (size_t)PQntuples(owner->deliveries);

    /* One more than needed: an empty outbox is no failed allocation. */
    owner->lane_rows = calloc(n_lanes + 1, sizeof *owner->lane_rows);
    owner->count_rows = calloc(n_counts + 1, sizeof *owner->count_rows);
    if (owner->lane_rows == NULL || owner->count_rows == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n_counts; i++) {
        owner->count_rows[i] = (struct outbox_delivery_count){
            .state = PQgetvalue(owner->deliveries, (int)i, 1),
            .cause = PQgetvalue(owner->deliveries, (int)i, 2),
            .n = number(owner->deliveries, (int)i, 3),
        };
    }
    for (size_t i = 0; i < n_lanes; i++) {
        fill_lane(&owner->lane_rows[i], owner->lanes, (int)i);
        attach_counts(&owner->lane_rows[i], number(owner->lanes, (int)i, 0), owner);
    }
    owner->status.lanes = owner->lane_rows;
    owner->status.n_lanes = n_lanes;
    return 0;
}

void outbox_status_destroy(struct outbox_status *status)
{
    struct status_owner *owner = (struct status_owner *)status;
    if (owner == NULL) {
        return;
    }
    free(owner->lane_rows);
    free(owner->count_rows);
    free(owner->subscription_rows);
    PQclear(owner->lanes);
    PQclear(owner->deliveries);
    PQclear(owner->subscriptions);
    free(owner);
}

static int read_status(PGconn *conn, struct status_owner *owner,
                       struct rider_error *err)
{
    char cap[16];
    const char *const values[] = {cap};

    (void)snprintf(cap, sizeof cap, "%d", OUTBOX_BACKLOG_CAP);
    int code = read_meta(conn, &owner->status, err);
    if (code == 0) {
        code = pg_sync_query(conn, lanes_sql, 1, values, &owner->lanes, err);
    }
    if (code == 0) {
        code = pg_sync_query(conn, deliveries_sql, 0, NULL, &owner->deliveries, err);
    }
    if (code == 0) {
        code =
            pg_sync_query(conn, subscriptions_sql, 0, NULL, &owner->subscriptions, err);
    }
    if (code != 0) {
        return explain_failure(code, err);
    }
    code = fill_status(owner, err);
    return code == 0 ? fill_subscriptions(owner, err) : code;
}

int outbox_status_read(const char *dsn, struct outbox_status **ret,
                       struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int code = open_reader(dsn, &conn, err);
    if (code != 0) {
        return code;
    }
    struct status_owner *owner = calloc(1, sizeof *owner);
    if (owner == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    code = read_status(conn, owner, err);
    if (code != 0) {
        outbox_status_destroy(&owner->status);
        return code;
    }
    *ret = &owner->status;
    return 0;
}

void outbox_stored_event_destroy(struct outbox_stored_event *event)
{
    struct event_owner *owner = (struct event_owner *)event;
    if (owner == NULL) {
        return;
    }
    event_scratch_destroy(owner->scratch);
    PQclear(owner->result);
    free(owner);
}

static int read_row(PGconn *conn, const char *event_id, struct event_owner *owner,
                    struct rider_error *err)
{
    const char *const values[] = {event_id};
    int code = pg_sync_query_binary(conn, event_sql, 1, values, &owner->result, err);

    if (code != 0) {
        return explain_failure(code, err);
    }
    if (PQntuples(owner->result) == 0) {
        return rider_fail(err, RIDER_E_NOT_FOUND,
                          "no event %s in the outbox: never committed, or retired",
                          event_id);
    }
    owner->scratch = event_scratch_create();
    if (owner->scratch == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    return event_decode(owner->result, 0, owner->scratch, &owner->event.row, err);
}

int outbox_event_read(const char *dsn, const char *event_id,
                      struct outbox_stored_event **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;

    if (!parse_is_uuid(event_id)) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not an event id (a UUID)",
                          event_id);
    }
    int code = open_reader(dsn, &conn, err);
    if (code != 0) {
        return code;
    }
    struct event_owner *owner = calloc(1, sizeof *owner);
    if (owner == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    code = read_row(conn, event_id, owner, err);
    if (code != 0) {
        outbox_stored_event_destroy(&owner->event);
        return code;
    }
    *ret = &owner->event;
    return 0;
}

static enum rider_code code_of(int status)
{
    switch ((enum rider_outbox_status)status) {
    case RIDER_OUTBOX_OK:
        return RIDER_OK;
    case RIDER_OUTBOX_INVALID:
    case RIDER_OUTBOX_UNKNOWN_TYPE:
        return RIDER_E_CONFIG;
    case RIDER_OUTBOX_DENIED:
        return RIDER_E_PERMISSION;
    case RIDER_OUTBOX_NO_SCHEMA:
        return RIDER_E_SCHEMA;
    case RIDER_OUTBOX_LOST:
        return RIDER_E_DB_LOST;
    case RIDER_OUTBOX_NO_TRANSACTION:
    case RIDER_OUTBOX_FAILED:
    default:
        return RIDER_E_DB;
    }
}

static int insert_one(PGconn *conn, const struct outbox_new_event *from,
                      char ret_id[OUTBOX_ID_SIZE], struct rider_error *err)
{
    const struct rider_outbox_event event = {
        .struct_size = sizeof event,
        .type = from->type,
        .aggregate_id = from->aggregate_id,
        .payload = from->payload,
        .aggregate_type = from->aggregate_type,
        .headers = from->headers,
        .event_id = from->event_id,
        .occurred_at = from->occurred_at,
        .version = from->version,
    };
    char why[256] = "";
    int status = rider_outbox_write(conn, &event, ret_id, why, sizeof why);
    return status == 0 ? 0 : rider_fail(err, code_of(status), "%s", why);
}

int outbox_events_insert(const char *dsn, const struct outbox_new_event *events,
                         size_t n, char (*ret_ids)[OUTBOX_ID_SIZE],
                         struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int code = pg_sync_open(dsn, "postrider publish", &conn, err);
    if (code == 0) {
        code = pg_sync_exec(conn, "BEGIN", err);
    }
    for (size_t i = 0; i < n && code == 0; i++) {
        code = insert_one(conn, &events[i], ret_ids[i], err);
        if (code != 0 && n > 1) {
            code = rider_fail_in(err, "event %zu", i + 1);
        }
    }
    /* Without COMMIT, closing the connection rolls all of it back. */
    return code == 0 ? pg_sync_exec(conn, "COMMIT", err) : code;
}
