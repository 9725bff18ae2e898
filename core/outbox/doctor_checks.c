/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_checks.c - the questions that doctor.c asks.
 *
 * Tables only. Each statement names the holder of what stops progress: pid,
 * application, database, prepared transaction, destination, key, lease owner.
 * Critical is what keeps events from being delivered now; a warning is what will,
 * or what waits for a person.
 *
 * Not here: what needs more than one statement (clock, pooler: doctor.c).
 */
#include "outbox/doctor_checks.h"

#include <stddef.h>

#define AGE(since) "date_trunc('second', clock_timestamp() - " since ")"
#define NAME_OF_LANE \
    "l.destination || CASE WHEN l.parts > 1 THEN '/' || l.part ELSE '' END"
#define HAS_LEASE "COALESCE(l.lease_until > clock_timestamp(), false)"

static const char schema_sql[] =
    "SELECT 'critical' AS severity, 'outbox.meta' AS subject,"
    " format('the schema has version %s, this program needs %s',"
    "  m.schema_version, p.version) AS text,"
    " CASE WHEN m.schema_version < p.version THEN 'run postrider migrate'"
    "  ELSE 'install a newer postrider' END AS advice "
    "FROM outbox.meta m, p WHERE m.schema_version <> p.version";

static const char cluster_sql[] =
    "SELECT 'critical' AS severity, 'outbox.lane' AS subject,"
    " 'the outbox comes from another cluster, or from before a failover: its cursors"
    " mean nothing here' AS text,"
    " 'start a relay, which rebases it, or run SELECT * FROM outbox.rebase()' AS "
    "advice "
    "FROM outbox.meta m, pg_catalog.pg_control_system() c "
    "WHERE m.system_identifier <> c.system_identifier OR EXISTS ("
    " SELECT FROM outbox.lane l WHERE pg_snapshot_xmax(COALESCE(l.win, l.snap))"
    "  > pg_snapshot_xmax(pg_current_snapshot()))";

static const char privileges_sql[] =
    "SELECT 'critical' AS severity, current_user AS subject,"
    " 'the relay cannot work: ' || current_user || ' lacks '"
    "  || string_agg(w.privilege || ' on ' || w.object, ', ') AS text,"
    " format('GRANT outbox_relay TO %I', current_user) AS advice "
    "FROM p CROSS JOIN ("
    " SELECT t.object, t.privilege, COALESCE(has_table_privilege(t.object, "
    "t.privilege),"
    "  false) AS has "
    " FROM (VALUES ('outbox.event', 'SELECT'), ('outbox.meta', 'SELECT'),"
    "  ('outbox.lane', 'SELECT'), ('outbox.lane', 'INSERT'), ('outbox.lane', 'UPDATE'),"
    "  ('outbox.delivery', 'SELECT'), ('outbox.delivery', 'INSERT'),"
    "  ('outbox.delivery', 'UPDATE'), ('outbox.relay', 'INSERT'),"
    "  ('outbox.relay', 'UPDATE'), ('outbox.relay', 'DELETE'),"
    "  ('outbox.subscription', 'SELECT'), ('outbox.subscription', 'UPDATE'),"
    "  ('outbox.subscription_secret', 'SELECT'), ('outbox.attempt', 'INSERT'),"
    "  ('outbox.subscription_health', 'UPDATE')) t(object, privilege)"
    " UNION ALL SELECT f, 'EXECUTE', has_function_privilege(f, 'EXECUTE') "
    " FROM (VALUES ('outbox.retire(interval,int)'), ('outbox.rebase()'),"
    "  ('outbox.end_deliveries(int,bigint,json,json)')) x(f)) w "
    "WHERE p.is_relay AND NOT w.has HAVING count(*) > 0 "
    "UNION ALL "
    "SELECT 'warning', current_user, current_user || ' cannot see the sessions of other"
    " users: who holds a transaction open, and since when, stays unknown',"
    " format('GRANT pg_read_all_stats TO %I', current_user) "
    "WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')";

static const char relays_sql[] =
    "SELECT 'critical' AS severity, '' AS subject, 'no relay has been alive for a"
    " minute' || CASE WHEN count(*) > 0 THEN format('; the last was %s, %s ago',"
    "  max(r.owner) FILTER (WHERE r.seen_at = (SELECT max(s.seen_at)"
    "   FROM outbox.relay s)), date_trunc('second', clock_timestamp()"
    "   - max(r.seen_at))) ELSE '' END AS text,"
    " 'start postrider run' AS advice FROM outbox.relay r "
    "HAVING COALESCE(max(r.seen_at), '-infinity')"
    " < clock_timestamp() - interval '1 minute'";

/* The lane's own connection carries the owner as its application name. */
static const char leases_sql[] =
    "SELECT CASE WHEN x.expired THEN 'critical' ELSE 'warning' END AS severity,"
    " x.name AS subject, format('%s %s, %s; %s', x.owner, CASE WHEN x.expired"
    "  THEN 'let its lease run out' ELSE 'does not renew its lease' END,"
    "  CASE WHEN x.expired THEN x.age || ' ago, and nobody took the lane'"
    "   ELSE 'last ' || x.silent || ' ago' END,"
    "  COALESCE('it is still connected (session ' || a.pid || COALESCE(' from '"
    "   || host(a.client_addr), '') || '): stopped or hung', 'its connection is gone'))"
    " AS text, format('look at process %s on host %s: continue it, or end it and start"
    " a relay', split_part(x.owner, ':', 2), split_part(x.owner, ':', 1)) AS advice "
    "FROM (SELECT " NAME_OF_LANE " AS name, l.owner, NOT " HAS_LEASE " AS expired,"
    "  " AGE("l.lease_until") " AS age, " AGE(
        "l.updated_at") " AS silent "
                        " FROM outbox.lane l WHERE l.owner IS NOT NULL AND l.state = "
                        "'ACTIVE' AND (NOT " HAS_LEASE
                        " OR clock_timestamp() - l.updated_at > (l.lease_until - "
                        "l.updated_at)"
                        "  * 2 / 3)) x "
                        "LEFT JOIN LATERAL (SELECT s.pid, s.client_addr FROM "
                        "pg_stat_activity s"
                        " WHERE s.application_name = left(x.owner, 63) LIMIT 1) a ON "
                        "true ORDER BY 2";

static const char lanes_sql[] =
    "SELECT 'critical' AS severity, " NAME_OF_LANE " AS subject,"
    " 'no relay has the lane' || COALESCE('; ' || (SELECT string_agg(r.owner, ', ')"
    "  FROM outbox.relay r WHERE r.seen_at > clock_timestamp() - interval '1 minute'"
    "  AND l.destination = ANY (r.destinations)) || ' should take it', ', and none that"
    " runs is configured for it') AS text,"
    " CASE WHEN l.destination = ANY (p.destinations) IS FALSE"
    "  THEN 'the configuration names no such destination: put it back, or have the"
    " owner of the schema delete the lane when nobody wants its events'"
    "  ELSE 'start postrider run with this destination' END AS advice "
    "FROM outbox.lane l, p WHERE l.owner IS NULL AND l.state = 'ACTIVE' "
    "UNION ALL "
    "SELECT 'critical', " NAME_OF_LANE ", 'the lane is marked BROKEN'"
    " || COALESCE(': ' || l.last_error, ''), 'postrider resume ' || l.destination "
    "FROM outbox.lane l WHERE l.state = 'BROKEN' "
    "UNION ALL "
    "SELECT 'warning', d.name, 'the destination has never been run', 'start postrider"
    " run with this configuration' FROM p, unnest(p.destinations) d(name) "
    "WHERE NOT EXISTS (SELECT FROM outbox.lane l WHERE l.destination = d.name) "
    "UNION ALL "
    "SELECT 'warning', " NAME_OF_LANE ", 'the configuration names no such destination,"
    " and its lane keeps every event from being retired',"
    " 'put it back, or have the owner of the schema delete the lane when nobody wants"
    " its events' FROM outbox.lane l, p "
    "WHERE l.destination = ANY (p.destinations) IS FALSE AND l.owner IS NOT NULL "
    "ORDER BY 1, 2";

static const char paused_sql[] =
    "SELECT 'warning' AS severity, " NAME_OF_LANE " AS subject, 'paused'"
    " || COALESCE(' ' || " AGE(
        "a.at") " || ' ago by ' || COALESCE(NULLIF(a.actor, ''),"
                " a.db_user), '') AS text, 'postrider resume ' || l.destination AS "
                "advice "
                "FROM outbox.lane l LEFT JOIN LATERAL (SELECT * FROM outbox.audit x"
                " WHERE x.action IN ('lane.pause', 'lane.fence')"
                " AND x.filter = jsonb_build_object('destination', l.destination)"
                " ORDER BY x.operation DESC LIMIT 1) a ON true "
                "WHERE l.state = 'PAUSED' ORDER BY 2";

static const char destinations_sql[] =
    "SELECT 'critical' AS severity, " NAME_OF_LANE " AS subject,"
    " format('%s%s; %s%s events wait, the oldest since %s', l.cause,"
    "  COALESCE(': ' || l.last_error, ''), x.n, CASE WHEN x.n = 10000 THEN '+' ELSE ''"
    "  END, COALESCE(x.oldest::text, '-')) AS text, '' AS advice, l.cause "
    "FROM outbox.lane l CROSS JOIN LATERAL ("
    " SELECT count(*) AS n, date_trunc('second', min(s.since)) AS oldest "
    " FROM (SELECT y.since FROM outbox.stuck y WHERE y.destination = l.destination"
    "  AND y.part = l.part AND y.state <> 'DEAD' LIMIT 10000) s) x "
    "WHERE l.cause IS NOT NULL AND l.state = 'ACTIVE' AND " HAS_LEASE " ORDER BY 2";

static const char deliveries_sql[] =
    "SELECT CASE WHEN d.cause IN ('topic_missing', 'no_route', 'auth',"
    "  'secret_undecryptable', 'adapter_fault') THEN 'critical' ELSE 'warning' END"
    "  AS severity, l.destination AS subject,"
    " format('%s: %s events are tried again%s%s, the first since %s: %s', d.cause,"
    "  count(*), CASE WHEN max(d.subscription) > 0 THEN format(' for %s"
    " subscriptions', count(DISTINCT d.subscription)) ELSE '' END,"
    "  CASE WHEN max(d.attempts) > 0 THEN format(', at the cost of up to %s attempts',"
    "  max(d.attempts)) ELSE '' END, date_trunc('second', min(e.occurred_at)),"
    "  max(d.last_error)) AS text, '' AS advice, d.cause "
    "FROM outbox.delivery d JOIN outbox.lane l ON l.lane = d.lane "
    "JOIN outbox.event e ON e.seq = d.seq "
    "WHERE d.state = 'RETRY' AND d.cause IS NOT NULL"
    " AND NOT (l.plain AND d.subscription > 0)"
    " AND NOT EXISTS (SELECT FROM outbox.subscription s"
    "  WHERE s.subscription = d.subscription"
    "   AND (s.status <> 'active' OR s.deleted_at IS NOT NULL)) "
    "GROUP BY l.destination, d.cause ORDER BY 1, 2";

static const char held_sql[] =
    "SELECT 'warning' AS severity, h.destination AS subject,"
    " format('%s events of %s wait behind event %s, which is %s%s', h.waiting,"
    "  concat_ws('/', NULLIF(h.aggregate_type, ''), h.aggregate_id), h.held_by,"
    "  h.holder_state, COALESCE(', cause ' || h.cause, ''))"
    " || CASE WHEN h.total > 10 THEN format('; %s keys are held in all', h.total)"
    "  ELSE '' END AS text,"
    " format('postrider held release --destination %s, with --discard to give the"
    " event up', h.destination) AS advice "
    "FROM (SELECT k.*, count(*) OVER () AS total FROM outbox.held_key k, p"
    " WHERE k.holder_state = 'DEAD' OR k.waiting_since < clock_timestamp()"
    "  - p.slow_ms * interval '1 millisecond'"
    " ORDER BY k.waiting_since LIMIT 10) h ORDER BY h.waiting_since";

/* One that fails is a matter of its endpoint; many at once are shown as a number. A
 * row that may go is written once, when it may: from then on it waits for its turn. */
static const char subscriptions_sql[] =
    "SELECT 'warning' AS severity, x.destination || ' ' || x.id AS subject,"
    " x.text || CASE WHEN x.waiting > 0 THEN format('; %s%s deliveries wait',"
    "  LEAST(x.waiting, 1000), CASE WHEN x.waiting > 1000 THEN '+' ELSE '' END)"
    "  ELSE '' END || CASE WHEN x.total > 10"
    "  THEN format('; %s subscriptions in all', x.total) ELSE '' END AS text,"
    " x.advice FROM (SELECT s.destination, s.id, w.waiting, count(*) OVER () AS total,"
    "  CASE WHEN s.status <> 'active' THEN format('%s since %s%s', s.status,"
    "    date_trunc('second', s.status_changed_at),"
    "    COALESCE(', because of ' || s.status_reason, ''))"
    "   WHEN l.plain THEN 'its destination is configured without `subscriptions`'"
    "   WHEN h.consecutive_failures >= 3"
    "   THEN format('%s has failed %s times since %s, cause %s: %s', s.host,"
    "    h.consecutive_failures, date_trunc('second', h.failing_since),"
    "    COALESCE(h.last_cause, 'unknown'), COALESCE(h.last_error, '-'))"
    "   ELSE format('%s takes less than comes: its first delivery has waited since %s',"
    "    s.host, date_trunc('second', q.since)) END AS text,"
    "  CASE s.status WHEN 'active' THEN CASE WHEN l.plain"
    "    THEN 'put `subscriptions` back, or delete the subscription'"
    "    WHEN h.consecutive_failures >= 3"
    "    THEN 'ask the owner of the endpoint; the relay goes on trying' ELSE 'see its"
    " limits, and how long the endpoint takes: GET /webhooks/subscriptions/' || s.id"
    "    || '/health' END"
    "   WHEN 'paused' THEN 'make it active when its owner is ready'"
    "   WHEN 'disabled' THEN 'when the endpoint is well: make it paused, recover what"
    " it missed, make it active' ELSE 'its handshake is due: POST"
    " /webhooks/subscriptions/' || s.id || '/verify' END AS advice,"
    "  row_number() OVER (ORDER BY h.failing_since NULLS LAST, s.subscription) AS nth "
    " FROM outbox.subscription s CROSS JOIN p"
    " LEFT JOIN outbox.subscription_health h ON h.subscription = s.subscription"
    " LEFT JOIN outbox.lane l ON l.destination = s.destination AND l.part = 0"
    " CROSS JOIN LATERAL (SELECT count(*) AS waiting FROM (SELECT FROM outbox.delivery "
    "d"
    "  WHERE d.lane = l.lane AND d.subscription = s.subscription"
    "  AND d.state NOT IN ('DELIVERED', 'DISCARDED') AND d.state <> 'DEAD'"
    "  LIMIT 1001) r) w"
    " LEFT JOIN LATERAL (SELECT d.updated_at AS since FROM outbox.delivery d"
    "  WHERE d.lane = l.lane AND d.subscription = s.subscription AND d.subscription > 0"
    "  AND d.state = 'PENDING' AND NOT s.backfill AND l.state = 'ACTIVE' AND " HAS_LEASE
    "  ORDER BY d.seq LIMIT 1) q ON true"
    " WHERE s.deleted_at IS NULL AND CASE s.status WHEN 'active'"
    "   THEN l.plain AND w.waiting > 0 OR l.plain IS NOT TRUE AND"
    "    LEAST(q.since, CASE WHEN h.consecutive_failures >= 3"
    "    THEN h.failing_since END) < clock_timestamp()"
    "    - p.slow_ms * interval '1 millisecond'"
    "  WHEN 'disabled' THEN w.waiting > 0 OR s.missed_snap IS NOT NULL AND"
    "    s.status_reason <> 'manual'"
    "  ELSE w.waiting > 0 AND s.status_changed_at < clock_timestamp()"
    "    - p.slow_ms * interval '1 millisecond' END) x "
    "WHERE x.nth <= 10 ORDER BY x.nth";

static const char dead_sql[] =
    "SELECT 'warning' AS severity, x.destination AS subject,"
    " format('%s dead letters with cause %s, the first since %s: %s', count(*),"
    "  COALESCE(x.cause, 'unknown'), date_trunc('second', min(x.dead_at)),"
    "  COALESCE(max(x.last_error), '-')) AS text,"
    " format('postrider dead list --destination %s --cause %s, then replay or discard',"
    "  x.destination, COALESCE(x.cause, 'unknown')) AS advice "
    "FROM outbox.dead x GROUP BY x.destination, x.cause ORDER BY 2, 3";

static const char transactions_sql[] =
    "SELECT CASE WHEN a.xact_start < clock_timestamp() - interval '1 hour'"
    "  THEN 'critical' ELSE 'warning' END AS severity, 'pid ' || a.pid AS subject,"
    " format('%s of user %s in database %s has a transaction open for %s (%s)%s',"
    "  COALESCE(NULLIF(a.application_name, ''), 'a client'), a.usename, a.datname,"
    "  " AGE(
        "a.xact_start") ", a.state, CASE"
                        "  WHEN a.backend_xid IS NULL THEN ': vacuum keeps what died "
                        "since then'"
                        "  WHEN a.datname = current_database() THEN ' and has written: "
                        "events in it are"
                        " not delivered before it commits, and vacuum keeps what died "
                        "since then'"
                        "  ELSE ' and has written: the horizon of the whole cluster "
                        "waits for it' END)"
                        " AS text, format('end it there, or SELECT "
                        "pg_terminate_backend(%s)', a.pid)"
                        " AS advice "
                        "FROM pg_stat_activity a, p WHERE a.pid <> pg_backend_pid()"
                        " AND a.backend_type = 'client backend'"
                        " AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)"
                        " AND a.xact_start < clock_timestamp() - p.slow_ms * interval "
                        "'1 millisecond' "
                        "ORDER BY a.xact_start LIMIT 20";

static const char prepared_sql[] =
    "SELECT CASE WHEN x.prepared < clock_timestamp() - interval '1 hour'"
    "  THEN 'critical' ELSE 'warning' END AS severity, x.gid AS subject,"
    " format('transaction \"%s\" of user %s in database %s was prepared %s ago and "
    "never"
    " ended: its events, its locks and the horizon of the cluster wait for it', x.gid,"
    "  x.owner, x.database, " AGE(
        "x.prepared") ") AS text,"
                      " format('in database %s: COMMIT PREPARED %L or ROLLBACK "
                      "PREPARED %L, as its"
                      " coordinator decided', x.database, x.gid, x.gid) AS advice "
                      "FROM pg_prepared_xacts x, p "
                      "WHERE x.prepared < clock_timestamp() - p.slow_ms * interval '1 "
                      "millisecond' "
                      "ORDER BY x.prepared LIMIT 20";

static const char slots_sql[] =
    "SELECT 'warning' AS severity, s.slot_name::text AS subject,"
    " format('replication slot \"%s\" is inactive and holds %s', s.slot_name,"
    "  concat_ws(' and ', 'write-ahead log' || COALESCE(' of '"
    "   || pg_size_pretty(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()"
    "   THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn)),"
    "   ''), CASE WHEN COALESCE(s.xmin, s.catalog_xmin) IS NOT NULL THEN 'dead rows'"
    "   END)) AS text,"
    " format('start its consumer, or SELECT pg_drop_replication_slot(%L)', s.slot_name)"
    " AS advice "
    "FROM pg_replication_slots s WHERE NOT s.active ORDER BY 2";

static const char bloat_sql[] =
    "SELECT 'warning' AS severity, 'outbox.' || t.relname AS subject,"
    " format('%s dead rows beside %s live ones, %s in all, last vacuumed %s',"
    "  t.n_dead_tup, t.n_live_tup, pg_size_pretty(pg_total_relation_size(t.relid)),"
    "  COALESCE(date_trunc('second', GREATEST(t.last_vacuum, t.last_autovacuum))::text,"
    "   'never')) AS text,"
    " 'end what holds the horizon (transactions, prepared, slots), then VACUUM outbox.'"
    "  || t.relname AS advice "
    "FROM pg_stat_user_tables t WHERE t.schemaname = 'outbox'"
    " AND (t.n_dead_tup > 50000 AND t.n_dead_tup > t.n_live_tup / 2"
    "  OR t.relname = 'lane' AND pg_relation_size(t.relid) > 64 * 1024 * 1024) "
    "UNION ALL "
    "SELECT 'warning', 'autovacuum', 'autovacuum is off', 'turn it on in "
    "postgresql.conf'"
    " WHERE NOT current_setting('autovacuum')::boolean ORDER BY 2";

#define KEPT_SINCE      \
    "clock_timestamp()" \
    " - GREATEST(p.retention_ms, p.slow_ms) * interval '1 millisecond'"

static const char retention_sql[] =
    "SELECT 'warning' AS severity, " NAME_OF_LANE " AS subject,"
    " format('has not passed the event of %s, so nothing younger can be retired either;"
    " events are to be kept for %s', date_trunc('second', e.occurred_at),"
    "  justify_hours(p.retention_ms * interval '1 millisecond')) AS text,"
    " 'see what stops this destination' AS advice "
    "FROM outbox.lane l CROSS JOIN p CROSS JOIN LATERAL ("
    " SELECT a.occurred_at FROM outbox.event a WHERE a.xid >= pg_snapshot_xmax(l.snap)"
    " ORDER BY a.xid, a.seq LIMIT 1) e "
    "WHERE p.retention_ms >= 0 AND e.occurred_at < " KEPT_SINCE
    /* The oldest that wait; dead letters have a check of their own. */
    " UNION ALL SELECT 'warning', x.destination || ' ' || x.id,"
    " format('is %s, and its deliveries keep the log from %s on; events are to be kept"
    " for %s', x.status, date_trunc('second', x.oldest),"
    "  justify_hours(x.retention_ms * interval '1 millisecond')),"
    " 'see that it takes them, or delete it when nobody wants them' "
    "FROM (SELECT s.destination, s.id, s.status, min(o.occurred_at) AS oldest,"
    "  min(p.retention_ms) AS retention_ms"
    " FROM p, (SELECT d.subscription, e.occurred_at FROM outbox.delivery d"
    "  JOIN outbox.event e ON e.seq = d.seq"
    "  WHERE d.state NOT IN ('DELIVERED', 'DISCARDED') AND d.state <> 'DEAD'"
    "  ORDER BY d.seq LIMIT 1000) o"
    " JOIN outbox.subscription s ON s.subscription = o.subscription"
    " WHERE p.retention_ms >= 0 AND o.occurred_at < " KEPT_SINCE
    " GROUP BY s.destination, s.id, s.status) x "
    "UNION ALL SELECT 'warning', s.destination || ' ' || s.id,"
    " format('its %s %s keeps the log from %s on', o.kind, o.id,"
    "  date_trunc('second', e.occurred_at)), 'wait for it, or DELETE"
    " /webhooks/operations/' || o.id "
    "FROM p, outbox.operation o"
    " JOIN outbox.subscription s ON s.subscription = o.subscription"
    " CROSS JOIN LATERAL (SELECT a.occurred_at FROM outbox.event a"
    "  WHERE a.seq > o.position AND a.seq <= o.last_seq ORDER BY a.seq LIMIT 1) e "
    "WHERE o.state = 'running' AND s.deleted_at IS NULL"
    " AND p.retention_ms >= 0 AND e.occurred_at < " KEPT_SINCE " ORDER BY 2";

static const char backlog_sql[] =
    "SELECT 'warning' AS severity, " NAME_OF_LANE " AS subject,"
    " format('works on a backlog: its oldest event is of %s', date_trunc('second',"
    "  e.occurred_at)) AS text,"
    " CASE WHEN l.route_types <> '{}' THEN 'its events are queued more slowly than they"
    " come: look at the load of the database'"
    "  ELSE 'is it slower than the writers? see postrider_delivered_total,"
    " max_in_flight, partitions' END AS advice "
    "FROM outbox.lane l CROSS JOIN p CROSS JOIN LATERAL ("
    " SELECT a.occurred_at FROM outbox.event a WHERE a.xid >= pg_snapshot_xmax(l.snap)"
    " AND (pg_visible_in_snapshot(a.xid, l.win) AND a.seq <= l.win_seq) IS NOT TRUE"
    " ORDER BY a.xid, a.seq LIMIT 1) e "
    "WHERE l.state = 'ACTIVE' AND l.cause IS NULL AND " HAS_LEASE
    " AND e.occurred_at < clock_timestamp() - p.slow_ms * interval '1 millisecond' "
    "ORDER BY 2";

const struct doctor_check doctor_checks[] = {
    {"schema", "the schema fits this program", schema_sql},
    {"cluster", "the cursors belong to this cluster", cluster_sql},
    {"privileges", "nothing is missing", privileges_sql},
    {"relays", "a relay is alive", relays_sql},
    {"leases", "every lease is renewed in time", leases_sql},
    {"lanes", "every lane has an owner", lanes_sql},
    {"paused", "nothing is paused", paused_sql},
    {"destinations", "every destination takes events", destinations_sql},
    {"deliveries", "nothing is tried again", deliveries_sql},
    {"held keys", "no key is held for long", held_sql},
    {"subscriptions", "every one takes its deliveries", subscriptions_sql},
    {"dead letters", "there are none", dead_sql},
    {"backlog", "no lane is behind", backlog_sql},
    {"transactions", "none is open for long", transactions_sql},
    {"prepared", "no prepared transaction is left over", prepared_sql},
    {"slots", "no replication slot is left over", slots_sql},
    {"bloat", "the tables are vacuumed", bloat_sql},
    {"retention", "nothing holds it back", retention_sql},
    {NULL, NULL, NULL},
};
