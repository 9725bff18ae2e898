-- SPDX-License-Identifier: Apache-2.0
-- Several relays share the lanes, and a relay that finds the outbox moved rebases it by itself.

-- The processes that run, by their own heartbeat and the database's clock. Leases decide who may send; this table
-- only lets the processes agree on who should claim what.
CREATE TABLE outbox.relay (
  owner        text        PRIMARY KEY,
  destinations text[]      NOT NULL, -- those it is configured for
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- A split destination has a lane per part, and each carries the aggregates that hash to it. How many there are is
-- fixed when the lanes are made: another number would move aggregates between cursors.
ALTER TABLE outbox.lane ADD COLUMN parts int NOT NULL DEFAULT 1,
  ADD CONSTRAINT lane_parts CHECK (parts BETWEEN 1 AND 64 AND part >= 0 AND part < parts);

-- As before, with two changes. It runs as the owner, so that a relay may call it. And it also mends cursors that
-- are ahead of this cluster, as after a failover that lost transactions: their ids are handed out a second time.
CREATE OR REPLACE FUNCTION outbox.rebase() RETURNS TABLE (lane int, destination text, undelivered bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  here bigint := (SELECT system_identifier FROM pg_control_system());
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'outbox.rebase() needs READ COMMITTED';
  END IF;
  -- No writer and no relay until this commits; a writer that had inserted has ended, one way or the other.
  LOCK TABLE outbox.lane, outbox.event, outbox.delivery, outbox.meta IN ACCESS EXCLUSIVE MODE;
  IF (SELECT system_identifier FROM outbox.meta) = here
     AND NOT EXISTS (SELECT FROM outbox.lane l
                     WHERE pg_snapshot_xmax(COALESCE(l.win, l.snap)) > pg_snapshot_xmax(pg_current_snapshot())) THEN
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

UPDATE outbox.meta SET schema_version = 4;
