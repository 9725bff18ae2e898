/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_sql.c - the statements of a lane's connection.
 *
 * A snapshot parameter is wrapped in a subselect, or it would be parsed again
 * for every row. The columns of an event are the same in every read; a window
 * adds its snapshot to its first row only, since the text can be long.
 *
 * Every statement that changes state names the token, and locks the lane row
 * before it writes elsewhere: a process that has lost the lane writes nothing.
 */
#include "outbox/lane_sql.h"

#define EVENT_COLUMNS                                                          \
    "e.seq, e.event_id, e.type, e.aggregate_type, e.aggregate_id, e.version, " \
    "e.occurred_at, "                                                          \
    "e.payload, e.headers"

#ifndef POSTRIDER_MUTANT_CURSOR_BY_SEQ
#define DUE_SEQS                                                                       \
    "  SELECT seq FROM outbox.event WHERE xid >= (SELECT pg_snapshot_xmax(s) FROM s) " \
    "  UNION ALL "                                                                     \
    "  SELECT e.seq FROM pg_snapshot_xip((SELECT s FROM s)) AS i(x) "                  \
    "  JOIN outbox.event e ON e.xid = i.x"
#else /* a negative control of tests/fault, see deploy/cmake/Mutant.cmake */
#define DUE_SEQS                                                            \
    "  SELECT seq FROM outbox.event WHERE seq > COALESCE((SELECT max(seq) " \
    "  FROM outbox.event WHERE pg_visible_in_snapshot(xid, (SELECT s FROM s))), 0)"
#endif

#define WINDOW_SQL(limit)                                                              \
    "WITH s AS MATERIALIZED (SELECT $1::pg_snapshot AS s), "                           \
    "k AS (" DUE_SEQS "), "                                                            \
    "t AS MATERIALIZED (SELECT seq FROM k ORDER BY seq LIMIT " limit ") "              \
    "SELECT " EVENT_COLUMNS ", "                                                       \
    "CASE WHEN t.seq = (SELECT min(seq) FROM t) THEN pg_current_snapshot()::text END " \
    "FROM t JOIN outbox.event e ON e.seq = t.seq ORDER BY t.seq"

#define PAGE_SQL(limit)                                              \
    "SELECT " EVENT_COLUMNS " FROM outbox.event e "                  \
    "WHERE seq > $1::bigint "                                        \
    "AND NOT pg_visible_in_snapshot(xid, (SELECT $2::pg_snapshot)) " \
    "AND pg_visible_in_snapshot(xid, (SELECT $3::pg_snapshot)) "     \
    "ORDER BY seq LIMIT " limit

#define OWN_LANE                                         \
    "own AS MATERIALIZED (SELECT lane FROM outbox.lane " \
    "WHERE lane = $1::int AND token = $2::bigint FOR NO KEY UPDATE)"

#define MOVE_CURSOR                                                             \
    "UPDATE outbox.lane SET snap = $3::pg_snapshot, win = $4::pg_snapshot, "    \
    "win_seq = $5::bigint, sent_seq = $6::bigint, "                             \
    "lease_until = clock_timestamp() + $7::bigint * interval '1 millisecond', " \
    "cause = $8::text, last_error = $9::text, updated_at = clock_timestamp() "  \
    "WHERE lane = $1::int AND token = $2::bigint"

/* Heads of their key only: an earlier open row of the key goes first. */
#define NO_EARLIER_ROW                                                             \
    "NOT EXISTS (SELECT FROM outbox.delivery y "                                   \
    "WHERE y.lane = d.lane AND y.subscription = d.subscription "                   \
    "AND y.aggregate_type = d.aggregate_type AND y.aggregate_id = d.aggregate_id " \
    "AND y.seq < d.seq AND y.state NOT IN ('DELIVERED', 'DISCARDED') "             \
    "AND y.state = ANY ($2::text[]))"

/* A dead event is handed to the lane of another destination, too: as a row that
 * waits there, told apart from that lane's own by a negative subscription,
 * which names the lane it died in. */
#define TO_DEAD_LETTERS(rows, destination)                                           \
    "INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, "         \
    "aggregate_id, "                                                                 \
    "  state) SELECT dl.lane, e.seq, -own.lane, e.aggregate_type, e.aggregate_id, "  \
    "  'PENDING' FROM own CROSS JOIN " rows " JOIN outbox.event e ON e.seq = f.seq " \
    "  JOIN outbox.lane dl ON dl.destination = " destination " AND dl.part = 0 "     \
    "  WHERE f.state = 'DEAD' ON CONFLICT DO NOTHING"

/* The rows of a subscription that may go: no earlier row of their key is open, and no
 * later one, up to w.t, is being sent (w.b), where this one was put before it. */
#define SUB_ROWS(state, order)                                                        \
    "(SELECT d.* FROM outbox.delivery d WHERE d.lane = $1::int AND d.subscription = " \
    "w.s "                                                                            \
    "AND d.subscription > 0 AND " state " AND d.seq <> ALL (w.b) "                    \
    "AND (s.ordering = 'none' OR NOT EXISTS (SELECT FROM outbox.delivery y "          \
    "WHERE y.lane = d.lane AND y.subscription = d.subscription "                      \
    "AND y.aggregate_type = d.aggregate_type AND y.aggregate_id = d.aggregate_id "    \
    "AND y.seq < d.seq AND y.state NOT IN ('DELIVERED', 'DISCARDED') "                \
    "AND ($3::bool OR y.state <> 'DEAD')) "                                           \
    "AND (d.seq > w.t OR NOT EXISTS (SELECT FROM outbox.delivery z "                  \
    "WHERE z.lane = d.lane AND z.seq = ANY (w.b) AND z.seq > d.seq "                  \
    "AND z.subscription = d.subscription AND z.aggregate_type = d.aggregate_type "    \
    "AND z.aggregate_id = d.aggregate_id))) ORDER BY " order " LIMIT w.n)"

/* Read by target_decode.c. */
#define TARGET_COLUMNS                                                               \
    "d.subscription, d.attempts, d.setbacks, d.asked, d.trigger, "                   \
    "(extract(epoch FROM d.updated_at) * 1000000)::bigint, s.id, s.url, k.secrets, " \
    "s.headers, s.timeout_ms, s.keep_responses, array_to_string(s.retry_schedule, "  \
    "','), "                                                                         \
    "s.ca_ref, s.cert_ref, 'v1a' = ANY (s.signatures)"

/* Every subscription with rows in one state, by hops over an index that has them side
 * by side. */
#define SUBS_WITH(name, state)                                                      \
    name " (s) AS (SELECT min(d.subscription) FROM outbox.delivery d "              \
         "WHERE d.lane = $1::int AND d.state = '" state "' AND d.subscription > 0 " \
         "UNION ALL SELECT (SELECT min(d.subscription) FROM outbox.delivery d "     \
         "WHERE d.lane = $1::int AND d.state = '" state "' AND d.subscription > 0 " \
         "AND d.subscription > " name ".s) FROM " name " WHERE " name               \
         ".s IS NOT NULL)"

#define DUE_COLUMNS "d.seq, d.subscription, d.attempts, d.next_attempt_at"

static const struct pg_statement statements[] = {
    {"ensure",
     "INSERT INTO outbox.lane (destination, part, parts, snap) "
     "SELECT $1, $2::int, $4::int, CASE WHEN $3::bool THEN '1:1:'::pg_snapshot "
     "ELSE pg_current_snapshot() END "
     "WHERE NOT EXISTS (SELECT FROM outbox.lane WHERE destination = $1 AND "
     "part = $2::int) "
     "ON CONFLICT DO NOTHING"},
    {"find", "SELECT l.lane, m.schema_version, l.parts, "
             "current_setting('plan_cache_mode') = 'force_generic_plan' AND "
             "current_setting('jit') = 'off' FROM outbox.lane l, outbox.meta m "
             "WHERE l.destination = $1 AND l.part = $2::int"},
    /* A claim is committed synchronously, whatever the session's default: after
     * a crash of the server a token must never be given out twice. A row of the future
     * was written before the server's clock went back: nobody waits for that time. */
    {"claim",
     "WITH ok AS MATERIALIZED (SELECT l.lane, m.system_identifier = "
     "c.system_identifier "
     "  AND pg_snapshot_xmax(COALESCE(l.win, l.snap)) <= "
     "pg_snapshot_xmax(pg_current_snapshot()) "
     "  AS here FROM outbox.lane l, outbox.meta m, pg_control_system() c WHERE l.lane "
     "= $1::int), "
     "c AS (UPDATE outbox.lane l SET token = token + 1, owner = $2, "
     "  plain = l.plain OR NOT $4::bool, "
     "  route_types = CASE WHEN $4::bool THEN l.route_types ELSE '{}' END, "
     "  lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond', "
     "  updated_at = clock_timestamp() FROM ok "
     "  WHERE l.lane = ok.lane AND ok.here AND l.state = 'ACTIVE' "
     "  AND (l.owner IS NULL OR l.owner = $2 OR l.lease_until < clock_timestamp() "
     "  OR l.updated_at > clock_timestamp() + $3::bigint * interval '1 millisecond') "
     "  RETURNING l.lane, l.token, l.snap, l.win, l.win_seq) "
     "SELECT c.lane IS NOT NULL, l.owner, l.state, "
     "COALESCE((extract(epoch FROM l.lease_until - clock_timestamp()) * 1000)::bigint, "
     "0), "
     "c.token, c.snap::text, c.win::text, c.win_seq, NOT ok.here, "
     "set_config('synchronous_commit', 'on', true) "
     "FROM outbox.lane l JOIN ok ON ok.lane = l.lane LEFT JOIN c ON c.lane = l.lane"},
    {"release", "UPDATE outbox.lane SET owner = NULL, lease_until = NULL, "
                "updated_at = clock_timestamp() WHERE lane = $1::int AND owner = $2"},
    {"held", "SELECT subscription, aggregate_type, aggregate_id, count(*), "
             "count(*) FILTER (WHERE state IN ('PENDING', 'IN_FLIGHT', 'RETRY')) "
             "FROM outbox.delivery WHERE lane = $1::int AND subscription <= 0 "
             "AND state NOT IN ('DELIVERED', 'DISCARDED') AND state = ANY ($2::text[]) "
             "GROUP BY 1, 2, 3"},
    {"window1000", WINDOW_SQL("1000")},
    {"window100", WINDOW_SQL("100")},
    {"window10", WINDOW_SQL("10")},
    {"window1", WINDOW_SQL("1")},
    {"page1000", PAGE_SQL("1000")},
    {"page100", PAGE_SQL("100")},
    {"page10", PAGE_SQL("10")},
    {"page1", PAGE_SQL("1")},
    {"due",
     "SELECT " EVENT_COLUMNS ", d.subscription, d.attempts, x.destination, y.cause, "
     "y.last_error, y.attempts FROM ("
     "(SELECT " DUE_COLUMNS " FROM outbox.delivery d WHERE d.lane = $1::int "
     "AND d.subscription <= 0 "
     "AND d.state = 'RETRY' AND d.next_attempt_at <= now() AND " NO_EARLIER_ROW
     " ORDER BY d.next_attempt_at LIMIT 256) UNION ALL "
     "(SELECT " DUE_COLUMNS " FROM outbox.delivery d WHERE d.lane = $1::int "
     "AND d.subscription <= 0 AND d.state = 'PENDING' AND " NO_EARLIER_ROW
     " ORDER BY d.seq, d.subscription LIMIT 256)) d "
     "JOIN outbox.event e ON e.seq = d.seq "
     "LEFT JOIN outbox.lane x ON x.lane = -d.subscription "
     "LEFT JOIN outbox.delivery y ON y.lane = -d.subscription AND y.seq = d.seq "
     "AND y.subscription = 0 ORDER BY d.next_attempt_at, d.seq LIMIT 256"},
    {"settle", MOVE_CURSOR " RETURNING state <> 'ACTIVE'"},
    {"settle_park",
     "WITH own AS (" MOVE_CURSOR " RETURNING lane, state <> 'ACTIVE' AS halt), "
     "parked AS (INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, "
     "  aggregate_id, state, attempts, next_attempt_at, cause, last_error) "
     "  SELECT own.lane, e.seq, f.subscription, e.aggregate_type, e.aggregate_id, "
     "f.state, "
     "  f.attempts, now() + f.delay * interval '1 millisecond', f.cause, f.error "
     "  FROM own CROSS JOIN unnest($10::bigint[], $11::bigint[], $12::text[], "
     "$13::int[], "
     "  $14::bigint[], $15::text[], $16::text[]) "
     "  AS f(seq, subscription, state, attempts, delay, cause, error) "
     "  JOIN outbox.event e ON e.seq = f.seq "
     "  ON CONFLICT (lane, seq, subscription) DO UPDATE SET state = excluded.state, "
     "  attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, "
     "  cause = excluded.cause, last_error = excluded.last_error, updated_at = now() "
     "RETURNING 1), "
     "told AS (" TO_DEAD_LETTERS(
         "unnest($10::bigint[], $12::text[]) AS f(seq, state)",
         "$17::text") ") "
                      "SELECT own.halt, (SELECT count(*) FROM parked) FROM own"},
    {"write_rows",
     "WITH " OWN_LANE ", "
     "done AS (UPDATE outbox.delivery d SET state = f.state, attempts = f.attempts, "
     "  next_attempt_at = now() + f.delay * interval '1 millisecond', cause = f.cause, "
     "  last_error = f.error, updated_at = now() "
     "  FROM own, unnest($3::bigint[], $4::bigint[], $5::text[], $6::int[], "
     "$7::bigint[], "
     "  $8::text[], $9::text[]) AS f(seq, subscription, state, attempts, delay, cause, "
     "error) "
     "  WHERE d.lane = own.lane AND d.seq = f.seq AND d.subscription = f.subscription "
     "  AND d.state IN ('PENDING', 'IN_FLIGHT', 'RETRY', 'HELD') RETURNING 1), "
     "told AS (" TO_DEAD_LETTERS(
         "unnest($3::bigint[], $5::text[]) AS f(seq, state)",
         "$10::text") ") "
                      "SELECT (SELECT count(*) FROM done) FROM own"},
    /* The first open row of each key, if it is HELD, may go. */
    {"promote",
     "WITH " OWN_LANE ", "
     "freed AS (UPDATE outbox.delivery x SET state = 'RETRY', next_attempt_at = now(), "
     "  updated_at = now() "
     "  FROM own, unnest($3::bigint[], $4::text[], $5::text[]) "
     "  AS k(subscription, aggregate_type, aggregate_id) "
     "  WHERE x.lane = own.lane AND x.subscription = k.subscription AND x.state = "
     "'HELD' "
     "  AND x.seq = (SELECT y.seq FROM outbox.delivery y WHERE y.lane = own.lane "
     "    AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type "
     "    AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', "
     "'DISCARDED') "
     "    AND y.state = ANY ($6::text[]) ORDER BY y.seq LIMIT 1) RETURNING 1) "
     "SELECT (SELECT count(*) FROM freed) FROM own"},
    {"expand", "SELECT subscription, rows, more, halt FROM outbox.expand($1::int, "
               "$2::bigint, $3::bigint, $4::int, $5::bool, $6, $7)"},
    {"list_subs",
     "WITH RECURSIVE " SUBS_WITH("p", "PENDING") ", " SUBS_WITH(
         "r", "RETRY") " "
                       "SELECT s.subscription, s.status = 'active' AND NOT s.backfill, "
                       "o.pending, "
                       "(SELECT CASE WHEN min(d.next_attempt_at) IS NULL THEN -1 ELSE "
                       "GREATEST(0, "
                       "(extract(epoch FROM min(d.next_attempt_at) - "
                       "clock_timestamp()) * 1000)::bigint) "
                       "END FROM outbox.delivery d WHERE d.lane = $1::int "
                       "AND d.subscription = s.subscription AND d.subscription > 0 "
                       "AND d.state = 'RETRY'), "
                       "s.max_in_flight, CASE WHEN s.rate_per_second IS NULL THEN "
                       "0::bigint ELSE "
                       "GREATEST(1, (s.rate_per_second * 1000)::bigint) END, s.burst, "
                       "GREATEST(0, (extract(epoch FROM h.throttled_until - "
                       "clock_timestamp()) * "
                       "1000)::bigint), h.failing_since IS NOT NULL "
                       "FROM (SELECT u.s, bool_or(u.pending) AS pending FROM (SELECT "
                       "p.s, true AS pending "
                       "FROM p UNION ALL SELECT r.s, false FROM r) u GROUP BY u.s) o "
                       "JOIN outbox.subscription s ON s.subscription = o.s "
                       "LEFT JOIN outbox.subscription_health h ON h.subscription = o.s "
                       "WHERE s.deleted_at IS NULL"},
    {"take",
     "SELECT " EVENT_COLUMNS ", " TARGET_COLUMNS
     " FROM json_to_recordset($2::json) AS w(s bigint, n int, t bigint, b bigint[]) "
     "JOIN outbox.subscription s ON s.subscription = w.s AND s.status = 'active' "
     "AND NOT s.backfill AND s.deleted_at IS NULL "
     "CROSS JOIN LATERAL (SELECT string_agg(x.id || ':' || x.key_number || ':' || "
     "encode(x.sealed, 'hex'), ',' ORDER BY x.expires_at IS NOT NULL, x.secret DESC) "
     "AS secrets FROM outbox.subscription_secret x WHERE x.subscription = w.s "
     "AND (x.expires_at IS NULL OR x.expires_at > now())) k "
     "CROSS JOIN LATERAL (" SUB_ROWS(
         "d.state = 'RETRY' AND d.next_attempt_at <= now()",
         "d.next_attempt_at") " UNION ALL " SUB_ROWS("d.state = 'PENDING'",
                                                     "d.seq") " LIMIT w.n) d "
                                                              "JOIN outbox.event e ON "
                                                              "e.seq = d.seq ORDER BY "
                                                              "w.s, d.seq"},
    {"end", "SELECT * FROM outbox.end_deliveries($1::int, $2::bigint, $3::json, "
            "$4::json)"},
    {"tidy", "SELECT outbox.tidy_subscriptions($1::int, $2::bigint, $3::bool, "
             "$4::text[], $5::text[])"},
    {"plan_anew", "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"},
    {"no_limit", "SELECT set_config('statement_timeout', '0', true), "
                 "set_config('lock_timeout', '0', true)"},
    {"rebase", "SELECT count(*) FROM outbox.rebase()"},
    {NULL, NULL},
};

const struct pg_statement *lane_sql_statements(void)
{
    return statements;
}

struct page_size {
    size_t limit;
    const char *window, *page;
};

static const struct page_size page_sizes[] = {
    {1000, "window1000", "page1000"},
    {100, "window100", "page100"},
    {10, "window10", "page10"},
    {1, "window1", "page1"},
};

static const struct page_size *size_for(size_t limit)
{
    const size_t last = sizeof(page_sizes) / sizeof(page_sizes[0]) - 1;
    size_t i = 0;

    while (i < last && page_sizes[i].limit > limit) {
        i++;
    }
    return &page_sizes[i];
}

const char *lane_sql_window(size_t limit, size_t *ret_limit)
{
    *ret_limit = size_for(limit)->limit;
    return size_for(limit)->window;
}

const char *lane_sql_page(size_t limit, size_t *ret_limit)
{
    *ret_limit = size_for(limit)->limit;
    return size_for(limit)->page;
}
