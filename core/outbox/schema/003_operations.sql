-- SPDX-License-Identifier: Apache-2.0
-- The operator's side: views that answer when no relay runs, the move to another cluster, retention.

-- Every event at every destination. Ask for one event_id, seq or destination: a GROUP BY over all of it reads the
-- whole log.
CREATE VIEW outbox.event_status AS
SELECT l.destination, l.part, e.seq, e.event_id, e.type, e.aggregate_type, e.aggregate_id, e.occurred_at,
       d.subscription, COALESCE(d.attempts, 0) AS attempts, d.next_attempt_at, d.cause, d.last_error,
       CASE WHEN d.state = 'DELIVERED' THEN 'PUBLISHED'
            WHEN d.state IS NOT NULL THEN d.state
            WHEN pg_visible_in_snapshot(e.xid, l.snap) THEN 'PUBLISHED'
            WHEN pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq THEN 'PUBLISHED'
            WHEN pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.sent_seq THEN 'IN_FLIGHT'
            ELSE 'PENDING' END AS state
FROM outbox.event e
CROSS JOIN outbox.lane l
LEFT JOIN outbox.delivery d ON d.lane = l.lane AND d.seq = e.seq;

-- What the cursor has not settled yet; reads only the index range behind it. Ask with jit = off.
CREATE VIEW outbox.backlog AS
SELECT l.lane, l.destination, l.part, l.state, count(e.seq) AS events, min(e.occurred_at) AS oldest
FROM outbox.lane l
LEFT JOIN LATERAL (
  SELECT a.seq, a.xid, a.occurred_at FROM outbox.event a WHERE a.xid >= pg_snapshot_xmax(l.snap)
  UNION ALL
  SELECT b.seq, b.xid, b.occurred_at FROM pg_snapshot_xip(l.snap) x JOIN outbox.event b ON b.xid = x
) e ON (pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq) IS NOT TRUE
GROUP BY l.lane, l.destination, l.part, l.state;

-- What is not delivered, and why: one row per destination (or subscription) and event. `since` is when the event
-- occurred. Causes are those of docs/operations.md; `in_progress` is a backlog that a relay works on. Ask with
-- jit = off, and with LIMIT while a destination is down.
CREATE VIEW outbox.stuck AS
SELECT l.destination, l.part, d.subscription, d.seq, e.event_id, e.type,
       concat_ws('/', NULLIF(d.aggregate_type, ''), d.aggregate_id) AS key,
       d.state,
       CASE WHEN l.state = 'PAUSED' AND d.state <> 'DEAD' THEN 'paused'
            WHEN d.state = 'HELD' THEN 'key_held_by:' || COALESCE(
              (SELECT h.event_id::text
               FROM outbox.delivery y JOIN outbox.event h ON h.seq = y.seq
               WHERE y.lane = d.lane AND y.subscription = d.subscription AND y.aggregate_type = d.aggregate_type
                 AND y.aggregate_id = d.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < d.seq
               ORDER BY y.seq LIMIT 1), '')
            WHEN d.cause IS NOT NULL THEN d.cause
            WHEN l.lease_until IS NULL OR l.lease_until < clock_timestamp() THEN 'lease_unowned'
            WHEN l.cause IS NOT NULL THEN l.cause
            WHEN d.state = 'RETRY' THEN 'backing_off'
            WHEN d.state IN ('PENDING', 'IN_FLIGHT') THEN 'in_progress'
            ELSE 'unknown' END AS cause,
       e.occurred_at AS since, d.attempts,
       CASE WHEN d.state = 'RETRY' THEN d.next_attempt_at END AS next_attempt,
       d.last_error
FROM outbox.delivery d
JOIN outbox.lane l ON l.lane = d.lane
JOIN outbox.event e ON e.seq = d.seq
WHERE d.state NOT IN ('DELIVERED', 'DISCARDED')
UNION ALL
SELECT l.destination, l.part, 0, b.seq, b.event_id, b.type,
       concat_ws('/', NULLIF(b.aggregate_type, ''), b.aggregate_id),
       CASE WHEN pg_visible_in_snapshot(b.xid, l.win) AND b.seq <= l.sent_seq THEN 'IN_FLIGHT' ELSE 'PENDING' END,
       CASE WHEN l.state = 'PAUSED' THEN 'paused'
            WHEN l.lease_until IS NULL OR l.lease_until < clock_timestamp() THEN 'lease_unowned'
            WHEN l.cause IS NOT NULL THEN l.cause
            WHEN l.state = 'BROKEN' THEN 'unknown'
            ELSE 'in_progress' END,
       b.occurred_at, 0, NULL, l.last_error
FROM outbox.lane l
CROSS JOIN LATERAL (
  SELECT a.* FROM outbox.event a WHERE a.xid >= pg_snapshot_xmax(l.snap)
  UNION ALL
  SELECT c.* FROM pg_snapshot_xip(l.snap) x JOIN outbox.event c ON c.xid = x
) b
WHERE (pg_visible_in_snapshot(b.xid, l.win) AND b.seq <= l.win_seq) IS NOT TRUE
  AND NOT EXISTS (SELECT FROM outbox.delivery d WHERE d.lane = l.lane AND d.seq = b.seq);

-- Stored xids and snapshots count the transactions of the cluster that wrote them. After a restore into another
-- cluster, run this once, in READ COMMITTED, before the first writer and the first relay. Returns per lane how
-- many events it found undelivered.
CREATE FUNCTION outbox.rebase() RETURNS TABLE (lane int, destination text, undelivered bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  here bigint := (SELECT system_identifier FROM pg_control_system());
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'outbox.rebase() needs READ COMMITTED';
  END IF;
  -- No writer and no relay until this commits; a writer that had inserted has ended, one way or the other.
  LOCK TABLE outbox.lane, outbox.event, outbox.delivery, outbox.meta IN ACCESS EXCLUSIVE MODE;
  IF (SELECT system_identifier FROM outbox.meta) = here THEN
    RAISE EXCEPTION 'the outbox already belongs to this cluster';
  END IF;

  -- 1. Undelivered by the old values, which depend on nothing outside the rows. A row whose xid is that of its own
  --    inserting transaction was written here, after the restore: nobody has delivered it.
  INSERT INTO outbox.delivery AS d (lane, seq, subscription, aggregate_type, aggregate_id, state)
  SELECT l.lane, e.seq, 0, e.aggregate_type, e.aggregate_id, 'PENDING'
  FROM outbox.lane l CROSS JOIN outbox.event e
  WHERE (NOT pg_visible_in_snapshot(e.xid, l.snap)
         AND (pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq) IS NOT TRUE)
     OR e.xmin = e.xid::xid
  ON CONFLICT (lane, seq, subscription) DO NOTHING;

  -- 2. Rows that a cursor of this cluster could take for new ones get xid 2, visible in every snapshot. Not the id of
  --    this transaction: whether a snapshot taken here shows that one depends on what else runs.
  UPDATE outbox.event SET xid = '2' WHERE xid >= pg_snapshot_xmin(pg_current_snapshot());

  -- 3. Cursors to the present of this cluster. New tokens fence whoever held a lease.
  UPDATE outbox.lane
  SET snap = pg_current_snapshot(), win = NULL, win_seq = 0, sent_seq = 0,
      owner = NULL, lease_until = NULL, token = token + 1, updated_at = now();

  -- 4. Logical replication copies no sequences.
  PERFORM setval(pg_get_serial_sequence('outbox.event', 'seq'),
                 (SELECT GREATEST((SELECT max(seq) FROM outbox.event),
                                  (SELECT last_value FROM outbox.event_seq_seq))));
  PERFORM setval(pg_get_serial_sequence('outbox.lane', 'lane'),
                 (SELECT GREATEST((SELECT max(l.lane) FROM outbox.lane l),
                                  (SELECT last_value FROM outbox.lane_lane_seq))));

  UPDATE outbox.meta SET system_identifier = here;
  RETURN QUERY
    SELECT l.lane, l.destination, count(d.seq)
    FROM outbox.lane l LEFT JOIN outbox.delivery d
      ON d.lane = l.lane AND d.subscription = 0 AND d.state = 'PENDING'
    GROUP BY l.lane, l.destination ORDER BY l.lane;
END $$;
REVOKE ALL ON FUNCTION outbox.rebase() FROM PUBLIC;

-- Deletes settled events that are older than `keep`, at most one page of them, and returns how many: call it,
-- each time in a transaction of its own, until it returns 0. An event may go once every lane has passed it and no
-- open delivery names it; with no lane at all nothing may go, because nobody can have delivered it. Pages that hold
-- nothing to delete are skipped, so that old dead letters do not hide what lies behind them; the search ends at
-- the first page with no event older than `keep`. Runs as the owner, so that the relay needs no DELETE.
CREATE FUNCTION outbox.retire(keep interval, page int DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  after   bigint := 0;
  last    bigint;
  is_old  boolean;
  deleted bigint;
BEGIN
  IF keep IS NULL OR keep < interval '0' THEN
    RAISE EXCEPTION 'outbox.retire(): keep must not be negative' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF page IS NULL OR page NOT BETWEEN 1 AND 100000 THEN
    RAISE EXCEPTION 'outbox.retire(): page must be between 1 and 100000' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT EXISTS (SELECT FROM outbox.lane) THEN
    RETURN 0;
  END IF;
  -- One at a time: a second caller would only wait for the rows of the first.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('outbox.retire', 0)) THEN
    RETURN 0;
  END IF;
  LOOP
    SELECT max(p.seq), bool_or(keep = interval '0' OR p.occurred_at < now() - keep) INTO last, is_old
    FROM (SELECT e.seq, e.occurred_at FROM outbox.event e WHERE e.seq > after ORDER BY e.seq LIMIT page) p;
    IF is_old IS NOT TRUE THEN
      RETURN 0;
    END IF;
    -- One statement decides and deletes: a lane that settles and parks meanwhile is seen as a whole or not at all.
    WITH old AS MATERIALIZED (
      SELECT e.seq FROM outbox.event e
      WHERE e.seq > after AND e.seq <= last
        AND (keep = interval '0' OR e.occurred_at < now() - keep)
        AND NOT EXISTS (SELECT FROM outbox.lane l WHERE NOT pg_visible_in_snapshot(e.xid, l.snap))
        AND NOT EXISTS (SELECT FROM outbox.delivery d
                        WHERE d.seq = e.seq AND d.state NOT IN ('DELIVERED', 'DISCARDED'))
    ),
    parked AS (DELETE FROM outbox.delivery d USING old WHERE d.seq = old.seq)
    DELETE FROM outbox.event e USING old WHERE e.seq = old.seq;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted > 0 THEN
      RETURN deleted;
    END IF;
    after := last;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION outbox.retire(interval, int) FROM PUBLIC;

UPDATE outbox.meta SET schema_version = 3;
