-- SPDX-License-Identifier: Apache-2.0
-- Deliveries of subscriptions that go again: one by hand, failed ones, missed ones, the past of a new subscription.
-- And what looks at them: views, retention, the move to another cluster.
--
-- Order of a key. Work of this file can put a row in front of later ones of its key that are queued already: an event
-- that was missed is older than those that came since. Then the first open row of the key goes, and all later ones
-- become HELD behind it (outbox.order_keys). What is being sent at that moment cannot be called back: it ends as it
-- ends, HELD or not, and that is written down; a relay sends no other row of the key before. So the order of a key
-- holds from the first send after the change.
--
-- Locks: the operation, then the lane, then the subscription, then rows. All that changes deliveries takes the lane
-- first, as the relay does.

-- ---- columns ------------------------------------------------------------------------------------------------------

-- host: of the URL, which can be a credential as a whole. swept_at: when the deliveries of a deleted subscription had
-- been cancelled.
ALTER TABLE outbox.subscription
  ADD COLUMN host       text NOT NULL GENERATED ALWAYS AS (COALESCE(lower(substring(url FROM
    '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^]/?#]*\]|[^/?#:]*)')), '')) STORED,
  ADD COLUMN swept_at   timestamptz;
CREATE INDEX subscription_unswept ON outbox.subscription (subscription)
  WHERE deleted_at IS NOT NULL AND swept_at IS NULL;

-- The work goes from first_seq to last_seq. Later events are not part of it: the lane makes rows of those.
-- absences: of the subscription when it began. One that was disabled since has missed more. paced_from: its rate counts
-- from then on; when it began, as the clock has it now.
ALTER TABLE outbox.operation
  ADD COLUMN first_seq bigint NOT NULL DEFAULT 0,
  ADD COLUMN last_seq  bigint NOT NULL DEFAULT 0,
  ADD COLUMN absences  bigint,
  ADD COLUMN paced_from timestamptz NOT NULL DEFAULT clock_timestamp();

-- What has to be in the payload, for those who read the catalogue. Not enforced.
ALTER TABLE outbox.event_type ADD COLUMN schema json;

ALTER TABLE outbox.audit DROP CONSTRAINT audit_action_check;
ALTER TABLE outbox.audit ADD CONSTRAINT audit_action_check CHECK (action IN (
  'dead.replay', 'dead.discard', 'held.retry', 'held.discard', 'lane.pause', 'lane.fence', 'lane.resume',
  'subscription.create', 'subscription.update', 'subscription.delete', 'subscription.disable', 'subscription.rotate',
  'subscription.verify', 'subscription.recover', 'delivery.redeliver', 'operation.cancel', 'secrets.rewrap',
  'event_types.put'));

-- A new operation ends where the log ends now; one that names no position begins at the start of it.
CREATE FUNCTION outbox.bound_operation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.last_seq = 0 THEN
    NEW.last_seq := COALESCE((SELECT max(e.seq) FROM outbox.event e), 0);
  END IF;
  IF NEW.first_seq = 0 THEN
    NEW.first_seq := GREATEST(COALESCE(NEW.from_seq, 0),
                              COALESCE((SELECT min(e.seq) FROM outbox.event e), 1));
  END IF;
  NEW.position := GREATEST(NEW.position, NEW.first_seq - 1);
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION outbox.bound_operation() FROM PUBLIC;
CREATE TRIGGER bound_operation BEFORE INSERT ON outbox.operation
FOR EACH ROW EXECUTE FUNCTION outbox.bound_operation();

-- ---- the order of keys --------------------------------------------------------------------------------------------

-- Of the keys of these rows, the first open one goes and the later ones wait. A row that waits keeps the time before
-- which it may not go, so that a rate holds. A key whose first open row is none of these, and goes, is in order: the
-- rows were made HELD, and what is behind has not changed. Key by key, because statistics are stale after every burst,
-- and a join planned for a handful of rows would take minutes for a page of them.
CREATE FUNCTION outbox.order_keys(lane int, subscription bigint, seqs bigint[], hold_dead boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  k     record;
  first record;
BEGIN
  FOR k IN
    SELECT DISTINCT x.aggregate_type, x.aggregate_id FROM unnest(seqs) q(seq)
    CROSS JOIN LATERAL (SELECT d.aggregate_type, d.aggregate_id FROM outbox.delivery d
                        WHERE d.lane = order_keys.lane AND d.seq = q.seq AND d.subscription = order_keys.subscription
                        LIMIT 1) x
  LOOP
    SELECT d.seq, d.state INTO first FROM outbox.delivery d
    WHERE d.lane = order_keys.lane AND d.subscription = order_keys.subscription
      AND d.aggregate_type = k.aggregate_type AND d.aggregate_id = k.aggregate_id
      AND d.state NOT IN ('DELIVERED', 'DISCARDED') AND (hold_dead OR d.state <> 'DEAD')
    ORDER BY d.seq LIMIT 1;
    CONTINUE WHEN NOT FOUND OR first.state <> 'HELD' AND NOT first.seq = ANY (seqs);
    UPDATE outbox.delivery d
    SET state = CASE WHEN d.seq > first.seq THEN 'HELD'
                     WHEN d.next_attempt_at > clock_timestamp() THEN 'RETRY' ELSE 'PENDING' END,
        updated_at = clock_timestamp()
    WHERE d.lane = order_keys.lane AND d.subscription = order_keys.subscription
      AND d.aggregate_type = k.aggregate_type AND d.aggregate_id = k.aggregate_id
      AND d.state NOT IN ('DELIVERED', 'DISCARDED')
      AND (d.seq = first.seq AND d.state = 'HELD' OR d.seq > first.seq AND d.state IN ('PENDING', 'RETRY'));
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION outbox.order_keys(int, bigint, bigint[], boolean) FROM PUBLIC;

-- ---- one delivery again -------------------------------------------------------------------------------------------

-- Sends one delivery again, whatever became of it: the same id, from its first attempt. One that is being sent now is
-- sent once more after that; one behind an open row of its key waits for it. `refused` says why nothing was done:
-- unknown, deleted or disabled.
CREATE FUNCTION outbox.redeliver(lane int, seq bigint, subscription bigint, actor text DEFAULT '',
                                 OUT refused text, OUT state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  l outbox.lane%ROWTYPE;
  s outbox.subscription%ROWTYPE;
BEGIN
  SELECT x.* INTO l FROM outbox.lane x WHERE x.lane = redeliver.lane FOR NO KEY UPDATE;
  SELECT x.* INTO s FROM outbox.subscription x WHERE x.subscription = redeliver.subscription FOR SHARE;
  refused := CASE WHEN s.subscription IS NULL OR NOT EXISTS (
                    SELECT FROM outbox.delivery d WHERE d.lane = redeliver.lane AND d.seq = redeliver.seq
                      AND d.subscription = redeliver.subscription) THEN 'unknown'
                  WHEN s.deleted_at IS NOT NULL THEN 'deleted'
                  WHEN s.status = 'disabled' THEN 'disabled' END;
  IF refused IS NOT NULL THEN
    RETURN;
  END IF;
  UPDATE outbox.delivery d
  SET state = CASE WHEN d.state = 'RETRY' THEN 'PENDING' WHEN d.state IN ('DELIVERED', 'DEAD', 'DISCARDED') THEN
                CASE s.ordering WHEN 'none' THEN 'PENDING' ELSE 'HELD' END
                   ELSE d.state END,
      attempts = CASE WHEN d.state IN ('DELIVERED', 'DEAD', 'DISCARDED') THEN 0 ELSE d.attempts END,
      setbacks = CASE WHEN d.state IN ('DELIVERED', 'DEAD', 'DISCARDED') THEN 0 ELSE d.setbacks END,
      asked = d.asked + 1, trigger = 'manual', next_attempt_at = clock_timestamp(), cause = NULL,
      updated_at = clock_timestamp()
  WHERE d.lane = redeliver.lane AND d.seq = redeliver.seq AND d.subscription = redeliver.subscription;
  IF s.ordering = 'key' THEN
    PERFORM outbox.order_keys(redeliver.lane, redeliver.subscription, ARRAY[redeliver.seq], l.hold_dead);
  END IF;
  SELECT d.state INTO state FROM outbox.delivery d
  WHERE d.lane = redeliver.lane AND d.seq = redeliver.seq AND d.subscription = redeliver.subscription;
  INSERT INTO outbox.audit (action, actor, filter, affected)
  VALUES ('delivery.redeliver', left(COALESCE(redeliver.actor, ''), 200), jsonb_build_object(
            'subscription', s.id, 'eventId', (SELECT e.event_id FROM outbox.event e WHERE e.seq = redeliver.seq)), 1);
END $$;
REVOKE ALL ON FUNCTION outbox.redeliver(int, bigint, bigint, text) FROM PUBLIC;

-- ---- many of them -------------------------------------------------------------------------------------------------

-- Whether an operation looks into the log, and not at dead rows alone.
CREATE FUNCTION outbox.looks_at_log(s outbox.subscription, o outbox.operation) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (o).include <> 'failed' AND ((o).kind = 'backfill' OR (o).since IS NOT NULL OR (o).until IS NOT NULL
  OR (o).from_seq IS NOT NULL OR (s).missed_snap IS NOT NULL);
REVOKE ALL ON FUNCTION outbox.looks_at_log(outbox.subscription, outbox.operation) FROM PUBLIC;

-- Whether an event is in the range of an operation, and its subscription takes the type. Where the range begins at a
-- position, so does the work (first_seq): nothing is asked about what lies before. A recovery that names no range
-- takes what came since the subscription was disabled: not what came before it began, where the lane was behind.
CREATE FUNCTION outbox.operation_takes(s outbox.subscription, o outbox.operation, seq bigint, xid xid8, type text,
                                       occurred_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (o).kind = 'backfill' THEN pg_visible_in_snapshot(xid, (s).start_snap)
            ELSE (o).since IS NOT NULL OR (o).until IS NOT NULL OR (o).from_seq IS NOT NULL
                 OR NOT pg_visible_in_snapshot(xid, (s).missed_snap) AND NOT pg_visible_in_snapshot(xid, (s).start_snap)
                 OR seq >= (s).missed_seq END
  AND ((o).since IS NULL OR occurred_at >= (o).since) AND ((o).until IS NULL OR occurred_at < (o).until)
  AND ((o).event_types IS NULL OR type LIKE ANY (outbox.like_any((o).event_types)))
  AND type LIKE ANY ((s).type_patterns);
REVOKE ALL ON FUNCTION outbox.operation_takes(outbox.subscription, outbox.operation, bigint, xid8, text, timestamptz)
  FROM PUBLIC;

-- What an operation has to do from its position to `upto`: dead rows, and events without a row. A row that died after
-- it began is left alone; one that did so in the future died before the clock went back. An event counts once the lane
-- will not make rows of it any more: it has passed it, or the subscription is younger. Ask with the lane locked. Of
-- events that were `seen` only those in `hits` count, whose filter has been asked; all others are asked.
CREATE FUNCTION outbox.operation_rows(l outbox.lane, s outbox.subscription, o outbox.operation, upto bigint,
                                      hits bigint[] DEFAULT NULL, seen pg_snapshot DEFAULT NULL)
RETURNS TABLE (seq bigint, dead boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.seq, false FROM outbox.event e
  WHERE outbox.looks_at_log(s, o) AND e.seq > o.position AND e.seq <= upto
    AND (o.kind = 'backfill' OR pg_visible_in_snapshot(e.xid, l.snap) OR pg_visible_in_snapshot(e.xid, s.start_snap)
         OR pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq)
    AND CASE WHEN pg_visible_in_snapshot(e.xid, seen) AND NOT e.seq = ANY (hits) THEN false
             WHEN NOT EXISTS (SELECT FROM unnest(l.route_types, l.route_aggregates) r(type, aggregate)
                              WHERE e.type LIKE r.type AND e.aggregate_type LIKE r.aggregate) THEN false
             WHEN (SELECT true FROM outbox.delivery d
                   WHERE d.lane = l.lane AND d.seq = e.seq AND d.subscription = s.subscription) THEN false
             WHEN pg_visible_in_snapshot(e.xid, seen) THEN true
             ELSE outbox.operation_takes(s, o, e.seq, e.xid, e.type, e.occurred_at)
                  AND (s.filter_path IS NULL OR outbox.filter_takes(s.filter_path, e)) END
  UNION ALL
  SELECT d.seq, true FROM outbox.delivery d
  CROSS JOIN LATERAL (SELECT x.type, x.occurred_at FROM outbox.event x WHERE x.seq = d.seq LIMIT 1) e
  WHERE o.include <> 'missed' AND d.subscription = s.subscription AND d.lane = l.lane AND d.state = 'DEAD'
    AND d.seq > o.position AND d.seq <= upto
    AND (d.updated_at <= o.created_at OR d.updated_at > clock_timestamp())
    AND (o.since IS NULL OR e.occurred_at >= o.since) AND (o.until IS NULL OR e.occurred_at < o.until)
    AND (o.event_types IS NULL OR e.type LIKE ANY (outbox.like_any(o.event_types)))
$$;
REVOKE ALL ON FUNCTION outbox.operation_rows(outbox.lane, outbox.subscription, outbox.operation, bigint, bigint[],
                                              pg_snapshot) FROM PUBLIC;

-- Begins to recover what failed, what was missed, or both. since and until are about when events occurred; from_seq is
-- the first event that counts. Without a range: every dead delivery, and what came while the subscription was disabled.
-- A dry run counts and leaves `operation` NULL. `refused` says why nothing was done: unknown, disabled, unready (no
-- relay has had the lane), or empty (until is not after since).
CREATE FUNCTION outbox.recover(subscription text, include text, since timestamptz DEFAULT NULL,
                               until timestamptz DEFAULT NULL, event_types text[] DEFAULT NULL,
                               per_second real DEFAULT NULL, actor text DEFAULT '', dry_run boolean DEFAULT false,
                               from_seq bigint DEFAULT NULL,
                               OUT refused text, OUT operation text, OUT failed bigint, OUT missed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  l outbox.lane%ROWTYPE;
  s outbox.subscription%ROWTYPE;
  o outbox.operation%ROWTYPE;
BEGIN
  SELECT x.* INTO s FROM outbox.subscription x WHERE x.id = recover.subscription AND x.deleted_at IS NULL;
  SELECT x.* INTO l FROM outbox.lane x WHERE x.destination = s.destination AND x.part = 0;
  refused := CASE WHEN s.subscription IS NULL THEN 'unknown' WHEN s.status = 'disabled' THEN 'disabled'
                  WHEN l.route_types = '{}' THEN 'unready' WHEN recover.until <= recover.since THEN 'empty' END;
  IF refused IS NOT NULL THEN
    RETURN;
  END IF;
  o.subscription := s.subscription;
  o.kind := 'recover';
  o.include := recover.include;
  o.since := recover.since;
  o.until := recover.until;
  o.from_seq := recover.from_seq;
  o.event_types := recover.event_types;
  o.created_at := clock_timestamp();
  o.last_seq := COALESCE((SELECT max(e.seq) FROM outbox.event e), 0);
  o.first_seq := COALESCE(CASE
    WHEN NOT outbox.looks_at_log(s, o) THEN
      (SELECT min(d.seq) FROM outbox.delivery d WHERE d.lane = l.lane AND d.subscription = s.subscription
         AND d.state = 'DEAD')
    WHEN since IS NULL AND until IS NULL AND recover.from_seq IS NULL AND recover.include = 'missed' THEN
      LEAST(s.missed_seq, (SELECT min(x.seq) FROM (
        SELECT e.seq FROM outbox.event e WHERE e.xid >= pg_snapshot_xmax(s.missed_snap)
        UNION ALL
        SELECT e.seq FROM pg_snapshot_xip(s.missed_snap) i(x) JOIN outbox.event e ON e.xid = i.x) x)) END,
    (SELECT min(e.seq) FROM outbox.event e), 1);
  o.first_seq := GREATEST(o.first_seq, recover.from_seq);
  o.position := o.first_seq - 1;
  IF dry_run THEN
    SELECT count(*) FILTER (WHERE r.dead), count(*) FILTER (WHERE NOT r.dead) INTO failed, missed
    FROM outbox.operation_rows(l, s, o, o.last_seq) r;
    RETURN;
  END IF;
  INSERT INTO outbox.operation AS p (subscription, kind, include, since, until, from_seq, event_types, rate_per_second,
                                     actor, first_seq, last_seq, position, created_at, absences)
  VALUES (s.subscription, 'recover', recover.include, recover.since, recover.until, recover.from_seq,
          recover.event_types, recover.per_second, left(COALESCE(recover.actor, ''), 200), o.first_seq, o.last_seq, o.position,
          o.created_at, s.absences)
  RETURNING p.id INTO operation;
  INSERT INTO outbox.audit (action, actor, filter, per_second, affected)
  VALUES ('subscription.recover', left(COALESCE(recover.actor, ''), 200), jsonb_strip_nulls(jsonb_build_object(
            'subscription', s.id, 'operation', operation, 'include', recover.include, 'since', recover.since,
            'until', recover.until, 'from_seq', recover.from_seq, 'event_types', recover.event_types)), GREATEST(recover.per_second, 1)::int, 0);
END $$;
REVOKE ALL ON FUNCTION outbox.recover(text, text, timestamptz, timestamptz, text[], real, text, boolean, bigint) FROM PUBLIC;

-- Looks for events without a row from the position of an operation, before the lane is locked: filters take their
-- time. Ends with the event that makes `most`, else after a few hundred: `upto` is the last that was looked at. What
-- is not in `seen` was not.
CREATE FUNCTION outbox.operation_scan(s outbox.subscription, o outbox.operation, most bigint, OUT upto bigint,
                                      OUT hits bigint[], OUT seen pg_snapshot)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  scan CONSTANT bigint := CASE WHEN s.filter_path IS NULL THEN 5000 ELSE 500 END;
  here CONSTANT int := (SELECT z.lane FROM outbox.lane z WHERE z.destination = s.destination AND z.part = 0);
BEGIN
  hits := '{}';
  upto := o.last_seq;
  IF NOT outbox.looks_at_log(s, o) THEN
    RETURN;
  END IF;
  SELECT CASE WHEN count(*) < scan THEN o.last_seq ELSE max(e.seq) END INTO upto
  FROM (SELECT x.seq FROM outbox.event x WHERE x.seq > o.position AND x.seq <= o.last_seq ORDER BY x.seq LIMIT scan) e;
  -- In the order of seq and one by one, so that no filter is asked beyond `most`.
  SELECT COALESCE(array_agg(c.seq), '{}'), pg_current_snapshot() INTO hits, seen
  FROM (SELECT k.seq
        FROM (SELECT e.seq FROM outbox.event e
              WHERE e.seq > o.position AND e.seq <= operation_scan.upto
                AND outbox.operation_takes(s, o, e.seq, e.xid, e.type, e.occurred_at)
                AND (SELECT true FROM outbox.delivery d
                     WHERE d.lane = here AND d.seq = e.seq AND d.subscription = s.subscription) IS NULL
              ORDER BY e.seq OFFSET 0) k
        WHERE s.filter_path IS NULL
           OR (SELECT outbox.filter_takes(s.filter_path, x) FROM outbox.event x WHERE x.seq = k.seq)
        LIMIT most) c;
  IF cardinality(hits) >= most THEN
    upto := (SELECT max(f.seq) FROM unnest(hits) f(seq));
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.operation_scan(outbox.subscription, outbox.operation, bigint) FROM PUBLIC;

-- Queues at most `most` rows of an operation, of what the scan has found and what died. The caller has locked its row,
-- the lane and the subscription. `upto` moves back when there is more.
CREATE FUNCTION outbox.operation_page(l outbox.lane, s outbox.subscription, o outbox.operation, most bigint,
                                      hits bigint[], seen pg_snapshot, INOUT upto bigint, OUT queued bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  n      bigint;
  last   bigint;
  missed bigint[];
  dead   bigint[];
  place  bigint;
  at     timestamptz;
BEGIN
  SELECT count(*), max(c.seq), COALESCE(array_agg(c.seq) FILTER (WHERE NOT c.dead), '{}'),
         COALESCE(array_agg(c.seq) FILTER (WHERE c.dead), '{}') INTO queued, last, missed, dead
  FROM (SELECT r.* FROM outbox.operation_rows(l, s, o, upto, hits, seen) r ORDER BY r.seq LIMIT most) c;
  IF queued = most THEN
    upto := last;
  END IF;
  -- Nobody is asked twice whether the filter takes it.
  INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state, trigger, operation)
  SELECT l.lane, e.seq, s.subscription, e.aggregate_type, e.aggregate_id,
         CASE s.ordering WHEN 'none' THEN 'PENDING' ELSE 'HELD' END, 'recover', o.operation
  FROM unnest(missed) q(seq)
  CROSS JOIN LATERAL (SELECT x.seq, x.aggregate_type, x.aggregate_id FROM outbox.event x WHERE x.seq = q.seq LIMIT 1) e
  ON CONFLICT DO NOTHING;
  -- Dead rows wait behind the others of their key until order_keys() has looked.
  n := o.enqueued;
  FOR place IN
    SELECT q.seq FROM unnest(dead || CASE WHEN o.rate_per_second IS NULL AND o.kind = 'recover' THEN '{}' ELSE missed END)
      q(seq) ORDER BY q.seq
  LOOP
    at := COALESCE(o.paced_from + n / o.rate_per_second * interval '1 second', clock_timestamp());
    n := n + 1;
    UPDATE outbox.delivery d
    SET state = CASE WHEN d.state = 'DEAD' AND s.ordering = 'key' THEN 'HELD'
                     WHEN d.state = 'DEAD' OR d.state = 'PENDING' AND at > clock_timestamp() THEN 'RETRY'
                     ELSE d.state END,
        attempts = 0, setbacks = 0, cause = NULL, operation = o.operation, next_attempt_at = at,
        trigger = CASE o.kind WHEN 'backfill' THEN 'schedule' ELSE 'recover' END, updated_at = clock_timestamp()
    WHERE d.lane = l.lane AND d.seq = place AND d.subscription = s.subscription
      AND (d.state = 'DEAD' OR d.operation = o.operation);
  END LOOP;
  IF s.ordering = 'key' AND queued > 0 THEN
    PERFORM outbox.order_keys(l.lane, s.subscription, missed || dead, l.hold_dead);
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.operation_page(outbox.lane, outbox.subscription, outbox.operation, bigint, bigint[],
                                              pg_snapshot, bigint) FROM PUBLIC;

-- One page of one running operation; returns whether there was one. Any number of relays may call it. With a rate, an
-- operation queues no further ahead than half a minute, so that a cancel still stops most of it. One that is further
-- ahead did so before the server's clock was set back: its rate counts anew, as if it had kept to it by this clock.
CREATE FUNCTION outbox.run_operation(page int DEFAULT 250) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  l      outbox.lane%ROWTYPE;
  s      outbox.subscription%ROWTYPE;
  o      outbox.operation%ROWTYPE;
  asked  outbox.subscription%ROWTYPE;
  most   bigint;
  queued bigint;
  upto   bigint;
  hits   bigint[];
  seen   pg_snapshot;
  due    float8;
BEGIN
  SELECT x.* INTO o FROM outbox.operation x
  JOIN outbox.subscription y ON y.subscription = x.subscription
  LEFT JOIN outbox.lane z ON z.destination = y.destination AND z.part = 0
  WHERE x.state = 'running' AND (y.deleted_at IS NOT NULL OR z.route_types <> '{}')
    AND (x.rate_per_second IS NULL
         OR x.enqueued < x.rate_per_second * (extract(epoch FROM clock_timestamp() - x.paced_from) + 30)
         OR x.enqueued - 1 > x.rate_per_second * (extract(epoch FROM clock_timestamp() - x.paced_from) + 31))
  ORDER BY random() LIMIT 1
  FOR UPDATE OF x SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  due := o.rate_per_second * (extract(epoch FROM clock_timestamp() - o.paced_from) + 30);
  IF o.enqueued >= due THEN
    UPDATE outbox.operation x
    SET paced_from = clock_timestamp() - ((x.enqueued + 1) / x.rate_per_second - 30) * interval '1 second'
    WHERE x.operation = o.operation;
    RETURN true;
  END IF;
  most := LEAST(page, ceil(due) - o.enqueued);
  SELECT y.* INTO asked FROM outbox.subscription y WHERE y.subscription = o.subscription;
  IF asked.deleted_at IS NULL THEN
    SELECT p.upto, p.hits, p.seen INTO upto, hits, seen FROM outbox.operation_scan(asked, o, most) p;
  END IF;
  SELECT z.* INTO l FROM outbox.lane z JOIN outbox.subscription y ON y.destination = z.destination
  WHERE y.subscription = o.subscription AND z.part = 0 FOR NO KEY UPDATE OF z;
  SELECT y.* INTO s FROM outbox.subscription y WHERE y.subscription = o.subscription FOR NO KEY UPDATE;
  IF s.deleted_at IS NOT NULL THEN
    UPDATE outbox.operation x SET state = 'cancelled', finished_at = clock_timestamp() WHERE x.operation = o.operation;
    RETURN true;
  END IF;
  -- What was found is of no use when the subscription has changed: the next call looks again.
  IF (s.filter_path::text, s.type_patterns, s.missed_snap::text, s.missed_seq)
     IS DISTINCT FROM (asked.filter_path::text, asked.type_patterns, asked.missed_snap::text, asked.missed_seq) THEN
    RETURN true;
  END IF;
  SELECT p.queued, p.upto INTO queued, upto FROM outbox.operation_page(l, s, o, most, hits, seen, upto) p;
  UPDATE outbox.operation x
  SET position = upto, enqueued = x.enqueued + queued,
      state = CASE WHEN upto >= x.last_seq AND queued < most THEN 'done' ELSE 'running' END
  WHERE x.operation = o.operation RETURNING x.* INTO o;
  IF o.state = 'done' THEN
    UPDATE outbox.operation x SET matched = x.enqueued, finished_at = clock_timestamp() WHERE x.operation = o.operation;
    UPDATE outbox.subscription y SET backfill = false
    WHERE y.subscription = o.subscription AND o.kind = 'backfill' AND y.backfill;
    -- All that was missed is queued, unless it has been disabled again since.
    UPDATE outbox.subscription y SET missed_snap = NULL, missed_seq = NULL
    WHERE y.subscription = o.subscription AND o.kind = 'recover' AND o.include <> 'failed' AND o.since IS NULL
      AND o.until IS NULL AND o.from_seq IS NULL AND o.event_types IS NULL AND y.status <> 'disabled' AND y.absences = o.absences;
  END IF;
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION outbox.run_operation(int) FROM PUBLIC;

-- Stops an operation; what it has queued stays so. Returns its state, NULL: unknown.
CREATE FUNCTION outbox.cancel_operation(id text, actor text DEFAULT '') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  o outbox.operation%ROWTYPE;
BEGIN
  SELECT x.* INTO o FROM outbox.operation x WHERE x.id = cancel_operation.id FOR UPDATE;
  IF o.state IS DISTINCT FROM 'running' THEN
    RETURN o.state;
  END IF;
  UPDATE outbox.operation x SET state = 'cancelled', finished_at = clock_timestamp() WHERE x.operation = o.operation;
  UPDATE outbox.subscription s SET backfill = false
  WHERE s.subscription = o.subscription AND o.kind = 'backfill' AND s.backfill;
  INSERT INTO outbox.audit (action, actor, filter, affected)
  VALUES ('operation.cancel', left(COALESCE(cancel_operation.actor, ''), 200), jsonb_build_object('operation', o.id), 1);
  RETURN 'cancelled';
END $$;
REVOKE ALL ON FUNCTION outbox.cancel_operation(text, text) FROM PUBLIC;

CREATE VIEW outbox.operation_progress AS
SELECT o.operation, o.id, s.id AS subscription_id, o.kind, o.include, o.since, o.until, o.from_seq, o.event_types,
       o.rate_per_second, o.actor, o.state, COALESCE(o.matched, o.enqueued) AS matched, o.enqueued, d.succeeded, d.failed,
       d.queued AS pending,
       CASE WHEN o.state <> 'running' THEN 1.0
            ELSE (o.position - o.first_seq + 1)::float8 / GREATEST(o.last_seq - o.first_seq + 1, 1) END AS progress,
       CASE WHEN o.state = 'running' AND o.position >= o.first_seq
              THEN clock_timestamp() + (clock_timestamp() - o.created_at) * GREATEST(o.last_seq - o.position, 0)
                                       / (o.position - o.first_seq + 1)
            WHEN d.last > clock_timestamp() THEN d.last END AS eta,
       o.created_at, o.finished_at
FROM outbox.operation o
JOIN outbox.subscription s ON s.subscription = o.subscription
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE x.state = 'DELIVERED') AS succeeded, count(*) FILTER (WHERE x.state = 'DEAD') AS failed,
         count(*) FILTER (WHERE x.state NOT IN ('DELIVERED', 'DEAD', 'DISCARDED')) AS queued,
         max(x.next_attempt_at) FILTER (WHERE x.state = 'RETRY') AS last
  FROM outbox.delivery x WHERE x.operation = o.operation) d;

-- ---- what is over -------------------------------------------------------------------------------------------------

-- Cancels deliveries of deleted subscriptions, a page in a transaction; returns how many. A subscription is done with
-- a while after it was deleted: an expansion that had begun before may still have made rows. Of one destination, so that
-- no second lane is locked after the first: who needs several takes them in their order.
CREATE FUNCTION outbox.sweep_deleted(page int DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  s       outbox.subscription%ROWTYPE;
  whose   CONSTANT text := (SELECT x.destination FROM outbox.subscription x
                            WHERE x.deleted_at IS NOT NULL AND x.swept_at IS NULL ORDER BY random() LIMIT 1);
  changed bigint := 0;
BEGIN
  FOR s IN SELECT x.* FROM outbox.subscription x WHERE x.deleted_at IS NOT NULL AND x.swept_at IS NULL
             AND x.destination = whose ORDER BY x.subscription LIMIT 20 LOOP
    PERFORM FROM outbox.lane z WHERE z.destination = s.destination ORDER BY z.lane FOR NO KEY UPDATE;
    UPDATE outbox.delivery d SET state = 'DISCARDED', cause = 'cancelled', updated_at = clock_timestamp()
    FROM (SELECT y.lane, y.seq FROM outbox.lane z JOIN outbox.delivery y ON y.lane = z.lane
          WHERE z.destination = s.destination AND y.subscription = s.subscription
            AND y.state NOT IN ('DELIVERED', 'DISCARDED') LIMIT page) r
    WHERE d.lane = r.lane AND d.seq = r.seq AND d.subscription = s.subscription;
    GET DIAGNOSTICS changed = ROW_COUNT;
    EXIT WHEN changed > 0;
    UPDATE outbox.subscription x SET swept_at = clock_timestamp()
    WHERE x.subscription = s.subscription AND x.deleted_at < clock_timestamp() - interval '1 minute';
  END LOOP;
  RETURN changed;
END $$;
REVOKE ALL ON FUNCTION outbox.sweep_deleted(int) FROM PUBLIC;

-- Deletes answers kept for repeated requests after a day, secrets an hour after they stopped signing, and those of
-- deleted subscriptions. What ended a month ago goes, too, some at a time: operations, and a deleted subscription once
-- no delivery names it. Called whether or not a relay has a destination with subscriptions, so that it ends operations of
-- deleted ones, too. Runs as the owner, so that nobody else needs DELETE.
CREATE FUNCTION outbox.clean_subscriptions() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  over CONSTANT timestamptz := clock_timestamp() - interval '30 days';
  gone bigint[];
BEGIN
  DELETE FROM outbox.idempotency i WHERE i.created_at < clock_timestamp() - interval '24 hours';
  DELETE FROM outbox.subscription_secret k WHERE k.expires_at < clock_timestamp() - interval '1 hour';
  DELETE FROM outbox.subscription_secret k USING outbox.subscription s
  WHERE s.subscription = k.subscription AND s.deleted_at < clock_timestamp() - interval '1 minute';
  -- Whoever is at the same meanwhile has the others.
  UPDATE outbox.operation o SET state = 'cancelled', finished_at = clock_timestamp() WHERE o.operation = ANY (ARRAY(
    SELECT x.operation FROM outbox.operation x JOIN outbox.subscription s ON s.subscription = x.subscription
    WHERE x.state = 'running' AND s.deleted_at IS NOT NULL LIMIT 1000 FOR UPDATE OF x SKIP LOCKED));
  DELETE FROM outbox.operation o WHERE o.operation = ANY (ARRAY(
    SELECT x.operation FROM outbox.operation x WHERE x.state <> 'running' AND x.finished_at < over
    ORDER BY x.finished_at LIMIT 1000 FOR UPDATE SKIP LOCKED));
  SELECT array_agg(r.subscription) INTO gone
  FROM (SELECT s.subscription FROM outbox.subscription s
        WHERE s.deleted_at < over AND s.swept_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM outbox.operation o WHERE o.subscription = s.subscription)
          AND NOT EXISTS (SELECT FROM outbox.delivery d WHERE d.subscription = s.subscription AND d.subscription > 0)
        ORDER BY s.subscription LIMIT 100 FOR UPDATE SKIP LOCKED) r;
  IF gone IS NOT NULL THEN
    DELETE FROM outbox.attempt a WHERE a.subscription = ANY (gone);
    DELETE FROM outbox.subscription_secret k WHERE k.subscription = ANY (gone);
    DELETE FROM outbox.subscription_health h WHERE h.subscription = ANY (gone);
    DELETE FROM outbox.subscription s WHERE s.subscription = ANY (gone);
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.clean_subscriptions() FROM PUBLIC;

-- As before, with four changes. Attempts go with their event; those of tests and handshakes by their own age. A page
-- has an end in deliveries, too: an event with many subscribers has many rows. It excludes who makes rows of events
-- that were settled. And what a running operation has still to look at is kept for it.
CREATE OR REPLACE FUNCTION outbox.retire(keep interval, page int DEFAULT 10000) RETURNS bigint
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
  -- Rows that were made while it waited for a lane have to be seen, or it deletes the events that they need.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'outbox.retire() needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  IF NOT EXISTS (SELECT FROM outbox.lane) THEN
    RETURN 0;
  END IF;
  -- One at a time: a second caller would only wait for the rows of the first.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('outbox.retire', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM outbox.attempt a WHERE a.seq IS NULL AND a.started_at < clock_timestamp() - keep;
  LOOP
    SELECT max(p.seq), bool_or(keep = interval '0' OR p.occurred_at < now() - keep) INTO last, is_old
    FROM (SELECT e.seq, e.occurred_at FROM outbox.event e WHERE e.seq > after ORDER BY e.seq LIMIT page) p;
    IF is_old IS NOT TRUE THEN
      RETURN 0;
    END IF;
    -- Lanes are locked only where there is something to do.
    -- Rows are asked for event by event: by old statistics, a join with many dead ones would compare each with each.
    IF NOT EXISTS (SELECT FROM outbox.event e
                   WHERE e.seq > after AND e.seq <= last
                     AND (keep = interval '0' OR e.occurred_at < now() - keep)
                     AND NOT EXISTS (SELECT FROM outbox.lane l WHERE NOT pg_visible_in_snapshot(e.xid, l.snap))
                     AND NOT EXISTS (SELECT FROM outbox.operation o
                                     JOIN outbox.subscription s ON s.subscription = o.subscription
                                     WHERE o.state = 'running' AND s.deleted_at IS NULL
                                       AND e.seq > o.position AND e.seq <= o.last_seq)
                     AND (SELECT true FROM outbox.delivery d
                          WHERE d.seq = e.seq AND d.state NOT IN ('DELIVERED', 'DISCARDED') LIMIT 1) IS NULL) THEN
      after := last;
      CONTINUE;
    END IF;
    -- A settled event of a lane with subscriptions can get open rows again, from an operation or by hand. Who makes
    -- those has the lane, so that the next statement sees all of them, or they see that the event is gone.
    PERFORM FROM outbox.lane l
    WHERE EXISTS (SELECT FROM outbox.subscription s WHERE s.destination = l.destination AND s.deleted_at IS NULL)
    ORDER BY l.lane FOR NO KEY UPDATE;
    -- One statement decides and deletes: a lane that settles and parks meanwhile is seen as a whole or not at all.
    WITH settled AS MATERIALIZED (
      SELECT e.seq, 1 + (SELECT count(*) FROM outbox.lane l JOIN outbox.delivery d ON d.lane = l.lane AND d.seq = e.seq)
                    AS size
      FROM outbox.event e
      WHERE e.seq > after AND e.seq <= last
        AND (keep = interval '0' OR e.occurred_at < now() - keep)
        AND NOT EXISTS (SELECT FROM outbox.lane l WHERE NOT pg_visible_in_snapshot(e.xid, l.snap))
        AND NOT EXISTS (SELECT FROM outbox.operation o
                        JOIN outbox.subscription s ON s.subscription = o.subscription
                        WHERE o.state = 'running' AND s.deleted_at IS NULL
                          AND e.seq > o.position AND e.seq <= o.last_seq)
        AND (SELECT true FROM outbox.delivery d
             WHERE d.seq = e.seq AND d.state NOT IN ('DELIVERED', 'DISCARDED') LIMIT 1) IS NULL
    ),
    old AS MATERIALIZED (
      SELECT x.seq FROM (SELECT s.seq, s.size, sum(s.size) OVER (ORDER BY s.seq) AS total FROM settled s) x
      WHERE x.total - x.size < 4 * page
    ),
    tried AS (DELETE FROM outbox.attempt a USING old WHERE a.seq = old.seq),
    parked AS (DELETE FROM outbox.delivery d USING old, outbox.lane l WHERE d.lane = l.lane AND d.seq = old.seq)
    DELETE FROM outbox.event e USING old WHERE e.seq = old.seq;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted > 0 THEN
      RETURN deleted;
    END IF;
    after := last;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION outbox.retire(interval, int) FROM PUBLIC;

-- As before, and with subscriptions: where they begin and what they missed is moved to this cluster, too. Rows of
-- subscription 0 on their lane are expanded by the relay.
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
  LOCK TABLE outbox.lane, outbox.event, outbox.delivery, outbox.subscription, outbox.meta IN ACCESS EXCLUSIVE MODE;
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
  UPDATE outbox.subscription s
  SET missed_seq = LEAST(s.missed_seq, (SELECT min(e.seq) FROM outbox.event e
                                        WHERE NOT pg_visible_in_snapshot(e.xid, s.missed_snap)
                                          AND NOT pg_visible_in_snapshot(e.xid, s.start_snap)
                                           OR e.xmin = e.xid::xid))
  WHERE s.missed_snap IS NOT NULL;
  -- What came before a subscription is not for it. A transaction that ran when it began may have lower places in the log
  -- than one that had ended: then it gets some of that one's, too, rather than too little.
  UPDATE outbox.subscription s
  SET left_seq = LEAST(s.left_seq, (SELECT d.seq FROM outbox.lane l JOIN outbox.delivery d ON d.lane = l.lane
                                    JOIN outbox.event e ON e.seq = d.seq
                                    WHERE l.destination = s.destination AND d.subscription = 0 AND d.state = 'PENDING'
                                      AND (NOT pg_visible_in_snapshot(e.xid, s.start_snap) OR e.xmin = e.xid::xid)
                                    ORDER BY d.seq LIMIT 1))
  WHERE s.deleted_at IS NULL;

  -- 2. Rows that a cursor of this cluster could take for new ones get xid 2, visible in every snapshot. Not the id of
  --    this transaction: whether a snapshot taken here shows that one depends on what else runs.
  UPDATE outbox.event SET xid = '2' WHERE xid >= pg_snapshot_xmin(pg_current_snapshot());

  -- 3. Cursors to the present of this cluster. New tokens fence whoever held a lease.
  UPDATE outbox.lane
  SET snap = pg_current_snapshot(), win = NULL, win_seq = 0, sent_seq = 0,
      owner = NULL, lease_until = NULL, token = token + 1, updated_at = now();
  UPDATE outbox.subscription s
  SET start_snap = pg_current_snapshot(),
      missed_snap = CASE WHEN s.missed_snap IS NOT NULL THEN pg_current_snapshot() END;

  -- 4. Logical replication copies no sequences.
  PERFORM setval(pg_get_serial_sequence(t.name, t.col), GREATEST(t.last, 1))
  FROM (VALUES ('outbox.event', 'seq', (SELECT GREATEST((SELECT max(seq) FROM outbox.event),
                                                        (SELECT last_value FROM outbox.event_seq_seq)))),
               ('outbox.lane', 'lane', (SELECT GREATEST((SELECT max(l.lane) FROM outbox.lane l)::bigint,
                                                        (SELECT last_value FROM outbox.lane_lane_seq)))),
               ('outbox.subscription', 'subscription',
                (SELECT GREATEST((SELECT max(s.subscription) FROM outbox.subscription s),
                                 (SELECT last_value FROM outbox.subscription_subscription_seq)))),
               ('outbox.subscription_secret', 'secret',
                (SELECT GREATEST((SELECT max(k.secret) FROM outbox.subscription_secret k),
                                 (SELECT last_value FROM outbox.subscription_secret_secret_seq)))),
               ('outbox.attempt', 'attempt', (SELECT GREATEST((SELECT max(a.attempt) FROM outbox.attempt a),
                                                              (SELECT last_value FROM outbox.attempt_attempt_seq)))),
               ('outbox.operation', 'operation',
                (SELECT GREATEST((SELECT max(o.operation) FROM outbox.operation o),
                                 (SELECT last_value FROM outbox.operation_operation_seq))))) t(name, col, last);

  UPDATE outbox.meta SET system_identifier = here;
  RETURN QUERY
    SELECT l.lane, l.destination, count(d.seq)
    FROM outbox.lane l LEFT JOIN outbox.delivery d
      ON d.lane = l.lane AND d.subscription = 0 AND d.state = 'PENDING'
    GROUP BY l.lane, l.destination ORDER BY l.lane;
END $$;
REVOKE ALL ON FUNCTION outbox.rebase() FROM PUBLIC;

-- ---- dead letters and held keys -----------------------------------------------------------------------------------

CREATE OR REPLACE VIEW outbox.dead AS
SELECT l.destination, l.part, d.lane, d.seq, d.subscription, e.event_id, e.type, e.version,
       d.aggregate_type, d.aggregate_id, e.occurred_at, d.updated_at AS dead_at, d.attempts, d.cause, d.last_error,
       s.id AS subscription_id, s.host
FROM outbox.delivery d
JOIN outbox.lane l ON l.lane = d.lane
JOIN outbox.event e ON e.seq = d.seq
LEFT JOIN outbox.subscription s ON s.subscription = d.subscription
WHERE d.state = 'DEAD';

-- A dead row in front is passed over where it holds nothing.
CREATE OR REPLACE VIEW outbox.held_key AS
SELECT l.destination, l.part, k.lane, k.subscription, k.aggregate_type, k.aggregate_id, k.waiting,
       w.occurred_at AS waiting_since, h.seq AS holder_seq, e.event_id AS held_by, e.type AS holder_type,
       h.state AS holder_state, h.cause, h.last_error, h.attempts,
       CASE WHEN h.state = 'RETRY' THEN h.next_attempt_at END AS next_attempt_at,
       s.id AS subscription_id, s.host
FROM (SELECT d.lane, d.subscription, d.aggregate_type, d.aggregate_id, count(*) AS waiting, min(d.seq) AS first
      FROM outbox.delivery d WHERE d.state = 'HELD'
      GROUP BY d.lane, d.subscription, d.aggregate_type, d.aggregate_id) k
JOIN outbox.lane l ON l.lane = k.lane
JOIN outbox.event w ON w.seq = k.first
LEFT JOIN outbox.subscription s ON s.subscription = k.subscription
LEFT JOIN LATERAL (
  SELECT y.* FROM outbox.delivery y
  WHERE y.lane = k.lane AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type
    AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < k.first
    AND (l.hold_dead OR y.subscription <= 0 OR y.state <> 'DEAD')
  ORDER BY y.seq LIMIT 1) h ON true
LEFT JOIN outbox.event e ON e.seq = h.seq;

CREATE OR REPLACE FUNCTION outbox.held_keys(filter jsonb DEFAULT '{}') RETURNS SETOF outbox.held_key LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT x.* FROM outbox.held_key x
  WHERE (filter->>'destination' IS NULL OR x.destination = filter->>'destination')
    AND (filter->>'aggregateType' IS NULL OR x.aggregate_type = filter->>'aggregateType')
    AND (filter->>'aggregateId' IS NULL OR x.aggregate_id = filter->>'aggregateId');
END;

-- One more key: the id of a subscription; * stands for any.
CREATE OR REPLACE FUNCTION outbox.check_dead_filter(filter jsonb, needs_key boolean) RETURNS void LANGUAGE sql STABLE
RETURN outbox.check_filter(filter, ARRAY['eventId', 'destination', 'type', 'cause', 'aggregateType', 'aggregateId',
                                         'since', 'until', 'subscription'], needs_key);

CREATE OR REPLACE FUNCTION outbox.dead_letters(filter jsonb DEFAULT '{}') RETURNS SETOF outbox.dead LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT x.* FROM outbox.dead x
  WHERE (filter->'eventId' IS NULL OR x.event_id = ANY (ARRAY(
           SELECT i::uuid FROM jsonb_array_elements_text(
             CASE jsonb_typeof(filter->'eventId') WHEN 'array' THEN filter->'eventId'
                                                  ELSE jsonb_build_array(filter->'eventId') END) i)))
    AND (filter->>'destination' IS NULL OR x.destination = filter->>'destination')
    AND (filter->>'type' IS NULL OR x.type LIKE outbox.like_of(filter->>'type'))
    AND (filter->>'cause' IS NULL OR x.cause = filter->>'cause')
    AND (filter->>'aggregateType' IS NULL OR x.aggregate_type = filter->>'aggregateType')
    AND (filter->>'aggregateId' IS NULL OR x.aggregate_id = filter->>'aggregateId')
    AND (filter->>'since' IS NULL OR x.dead_at >= (filter->>'since')::timestamptz)
    AND (filter->>'until' IS NULL OR x.dead_at < (filter->>'until')::timestamptz)
    AND (filter->>'subscription' IS NULL OR x.subscription_id LIKE outbox.like_of(filter->>'subscription'));
END;

-- As before; where a dead row holds nothing, it does not keep the one behind it from going.
CREATE OR REPLACE FUNCTION outbox.let_keys_go(lanes int[], seqs bigint[], subscriptions bigint[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE outbox.delivery x SET state = 'RETRY', next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM (SELECT DISTINCT d.lane, d.subscription, d.aggregate_type, d.aggregate_id
        FROM unnest(lanes, seqs, subscriptions) r(lane, seq, subscription)
        JOIN outbox.delivery d ON d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription) k
  JOIN outbox.lane l ON l.lane = k.lane
  CROSS JOIN LATERAL (
    SELECT y.seq, y.state FROM outbox.delivery y
    WHERE y.lane = k.lane AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type
      AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED')
      AND (l.hold_dead OR y.subscription <= 0 OR y.state <> 'DEAD')
    ORDER BY y.seq LIMIT 1) f
  WHERE f.state = 'HELD' AND x.lane = k.lane AND x.seq = f.seq AND x.subscription = k.subscription
$$;
REVOKE ALL ON FUNCTION outbox.let_keys_go(int[], bigint[], bigint[]) FROM PUBLIC;

-- As before; of a key of a subscription only the first goes, and the others wait behind it.
CREATE OR REPLACE FUNCTION outbox.redrive(action text, filter jsonb, actor text, per_second int, page int,
                                          INOUT operation bigint, OUT affected bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  op            outbox.audit%ROWTYPE;
  lanes         int[];
  seqs          bigint[];
  subscriptions bigint[];
BEGIN
  PERFORM outbox.check_dead_filter(filter, true);
  IF page IS NULL OR page NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'page must be between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF redrive.operation IS NULL THEN
    INSERT INTO outbox.audit (action, actor, filter, per_second)
    VALUES (redrive.action, COALESCE(redrive.actor, ''), redrive.filter, redrive.per_second)
    RETURNING * INTO op;
  ELSE
    SELECT * INTO op FROM outbox.audit a
    WHERE a.operation = redrive.operation AND a.action = redrive.action AND a.filter = redrive.filter
      AND a.db_user = session_user
    FOR UPDATE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'no operation % with this filter', redrive.operation USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END IF;

  PERFORM FROM outbox.lane l
  WHERE filter->>'destination' IS NULL OR l.destination = filter->>'destination'
  ORDER BY l.lane FOR NO KEY UPDATE;
  SELECT array_agg(x.lane), array_agg(x.seq), array_agg(x.subscription) INTO lanes, seqs, subscriptions
  FROM (SELECT d.lane, d.seq, d.subscription FROM outbox.dead_letters(filter) d WHERE d.dead_at <= op.at
        ORDER BY d.seq, d.lane, d.subscription LIMIT page) x;

  UPDATE outbox.delivery d
  SET state = CASE WHEN op.action = 'dead.discard' THEN 'DISCARDED' WHEN s.ordering = 'key' THEN 'HELD' ELSE 'RETRY' END,
      attempts = CASE op.action WHEN 'dead.replay' THEN 0 ELSE d.attempts END,
      setbacks = CASE op.action WHEN 'dead.replay' THEN 0 ELSE d.setbacks END,
      trigger = CASE op.action WHEN 'dead.replay' THEN 'replay' ELSE d.trigger END,
      cause = CASE op.action WHEN 'dead.replay' THEN NULL ELSE d.cause END,
      next_attempt_at = op.at + COALESCE((op.affected + r.n - 1) / op.per_second::float8, 0) * interval '1 second',
      updated_at = clock_timestamp()
  FROM unnest(lanes, seqs, subscriptions) WITH ORDINALITY r(lane, seq, subscription, n)
  LEFT JOIN outbox.subscription s ON s.subscription = r.subscription
  WHERE d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription AND d.state = 'DEAD';
  GET DIAGNOSTICS affected = ROW_COUNT;
  IF op.action = 'dead.discard' THEN
    PERFORM outbox.let_keys_go(lanes, seqs, subscriptions);
  ELSE
    -- Those that were made HELD, and not those of a subscription that has an order now: one can give it up meanwhile.
    PERFORM outbox.order_keys(k.lane, k.subscription, k.seqs, l.hold_dead)
    FROM (SELECT r.lane, r.subscription, array_agg(r.seq) AS seqs
          FROM unnest(lanes, seqs, subscriptions) r(lane, seq, subscription)
          CROSS JOIN LATERAL (SELECT d.state FROM outbox.delivery d
                              WHERE d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription LIMIT 1) d
          WHERE d.state = 'HELD'
          GROUP BY r.lane, r.subscription) k
    JOIN outbox.lane l ON l.lane = k.lane;
  END IF;
  UPDATE outbox.audit a SET affected = a.affected + redrive.affected WHERE a.operation = op.operation;
  operation := op.operation;
END $$;
REVOKE ALL ON FUNCTION outbox.redrive(text, jsonb, text, int, int, bigint) FROM PUBLIC;

-- ---- the catalogue ------------------------------------------------------------------------------------------------

-- Makes the catalogue what `types` lists: objects with type, version, status, description and schema. What is not
-- listed is retired and not deleted, since there may be events of it. Returns how many rows changed.
CREATE FUNCTION outbox.put_event_types(types json, actor text DEFAULT '') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  changed bigint;
BEGIN
  LOCK TABLE outbox.event_type IN SHARE ROW EXCLUSIVE MODE;
  WITH wanted AS MATERIALIZED (
    SELECT w.type, COALESCE(w.version, 1) AS version, COALESCE(w.status, 'active') AS status,
           COALESCE(w.description, '') AS description, w.schema
    FROM json_to_recordset(types) AS w(type text, version int, status text, description text, schema json)),
  put AS (
    INSERT INTO outbox.event_type AS t (type, version, status, description, schema)
    SELECT w.type, w.version, w.status, w.description, w.schema FROM wanted w
    ON CONFLICT (type, version) DO UPDATE
    SET status = excluded.status, description = excluded.description, schema = excluded.schema
    WHERE (t.status, t.description, t.schema::text)
      IS DISTINCT FROM (excluded.status, excluded.description, excluded.schema::text)
    RETURNING t.type),
  retired AS (
    UPDATE outbox.event_type t SET status = 'retired'
    WHERE t.status <> 'retired' AND NOT EXISTS (SELECT FROM wanted w WHERE w.type = t.type AND w.version = t.version)
    RETURNING t.type)
  SELECT (SELECT count(*) FROM put) + (SELECT count(*) FROM retired) INTO changed;
  INSERT INTO outbox.audit (action, actor, filter, affected)
  VALUES ('event_types.put', left(COALESCE(put_event_types.actor, ''), 200), '{}', changed);
  RETURN changed;
END $$;
REVOKE ALL ON FUNCTION outbox.put_event_types(json, text) FROM PUBLIC;

-- ---- views --------------------------------------------------------------------------------------------------------

-- As before, and one row a subscription at a lane with subscriptions. An event that none of them takes is settled by
-- the cursor, with cause no_subscription.
CREATE OR REPLACE VIEW outbox.event_status AS
SELECT l.destination, l.part, e.seq, e.event_id, e.type, e.aggregate_type, e.aggregate_id, e.occurred_at,
       d.subscription, COALESCE(d.attempts, 0) AS attempts, d.next_attempt_at,
       CASE WHEN d.state IS NOT NULL OR l.route_types = '{}' THEN d.cause
            WHEN pg_visible_in_snapshot(e.xid, l.snap) OR pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq
              THEN 'no_subscription' END AS cause,
       d.last_error,
       CASE WHEN d.state = 'DELIVERED' THEN 'PUBLISHED'
            WHEN d.state IS NOT NULL THEN d.state
            WHEN pg_visible_in_snapshot(e.xid, l.snap) THEN 'PUBLISHED'
            WHEN pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.win_seq THEN 'PUBLISHED'
            WHEN pg_visible_in_snapshot(e.xid, l.win) AND e.seq <= l.sent_seq THEN 'IN_FLIGHT'
            ELSE 'PENDING' END AS state,
       s.id AS subscription_id, s.host
FROM outbox.event e
CROSS JOIN outbox.lane l
LEFT JOIN outbox.delivery d ON d.lane = l.lane AND d.seq = e.seq
  AND (l.route_types = '{}' OR d.subscription > 0 OR d.state <> 'DELIVERED')
LEFT JOIN outbox.subscription s ON s.subscription = d.subscription;

-- Why a delivery of a subscription waits, as far as the subscription itself says so.
CREATE VIEW outbox.subscription_wait AS
SELECT s.subscription, s.id, s.host,
       CASE WHEN s.deleted_at IS NOT NULL THEN 'cancelled'
            WHEN s.status <> 'active' THEN s.status
            WHEN EXISTS (SELECT FROM outbox.lane l WHERE l.destination = s.destination AND l.plain)
              THEN 'plain_destination'
            WHEN s.backfill THEN 'backfill'
            WHEN h.throttled_until > clock_timestamp() THEN COALESCE(h.last_cause, 'rate_limited') END AS cause
FROM outbox.subscription s
LEFT JOIN outbox.subscription_health h ON h.subscription = s.subscription;

CREATE OR REPLACE VIEW outbox.stuck AS
SELECT l.destination, l.part, d.subscription, d.seq, e.event_id, e.type,
       concat_ws('/', NULLIF(d.aggregate_type, ''), d.aggregate_id) AS key,
       d.state,
       CASE WHEN l.state = 'PAUSED' AND d.state <> 'DEAD' THEN 'paused'
            WHEN w.cause IN ('cancelled', 'paused', 'disabled', 'pending_verification', 'plain_destination', 'backfill')
                 AND d.state <> 'DEAD' THEN w.cause
            WHEN d.state = 'HELD' THEN 'key_held_by:' || COALESCE(
              (SELECT h.event_id::text
               FROM outbox.delivery y JOIN outbox.event h ON h.seq = y.seq
               WHERE y.lane = d.lane AND y.subscription = d.subscription AND y.aggregate_type = d.aggregate_type
                 AND y.aggregate_id = d.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < d.seq
                 AND (l.hold_dead OR y.subscription <= 0 OR y.state <> 'DEAD')
               ORDER BY y.seq LIMIT 1), '')
            WHEN d.cause IS NOT NULL THEN d.cause
            WHEN l.lease_until IS NULL OR l.lease_until < clock_timestamp() THEN 'lease_unowned'
            WHEN l.cause IS NOT NULL THEN l.cause
            WHEN w.cause IS NOT NULL THEN w.cause
            WHEN d.state = 'RETRY' THEN 'backing_off'
            WHEN d.state IN ('PENDING', 'IN_FLIGHT') THEN 'in_progress'
            ELSE 'unknown' END AS cause,
       e.occurred_at AS since, d.attempts,
       CASE WHEN d.state = 'RETRY' THEN d.next_attempt_at END AS next_attempt,
       d.last_error, w.id AS subscription_id, w.host
FROM outbox.delivery d
JOIN outbox.lane l ON l.lane = d.lane
JOIN outbox.event e ON e.seq = d.seq
LEFT JOIN outbox.subscription_wait w ON w.subscription = d.subscription
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
       b.occurred_at, 0, NULL, l.last_error, NULL, NULL
FROM outbox.lane l
CROSS JOIN LATERAL (
  SELECT a.* FROM outbox.event a WHERE a.xid >= pg_snapshot_xmax(l.snap)
  UNION ALL
  SELECT c.* FROM pg_snapshot_xip(l.snap) x JOIN outbox.event c ON c.xid = x
) b
WHERE (pg_visible_in_snapshot(b.xid, l.win) AND b.seq <= l.win_seq) IS NOT TRUE
  AND NOT EXISTS (SELECT FROM outbox.delivery d WHERE d.lane = l.lane AND d.seq = b.seq);

CREATE OR REPLACE VIEW outbox.event_trace AS
SELECT s.event_id, s.seq, s.destination, s.part, s.subscription, s.state, s.attempts, s.next_attempt_at,
       d.updated_at AS since, s.last_error, d.seq IS NOT NULL AS has_row,
       CASE WHEN s.state IN ('PUBLISHED', 'DISCARDED') THEN s.cause
            WHEN s.state = 'DEAD' THEN s.cause
            WHEN l.state = 'PAUSED' THEN 'paused'
            WHEN w.cause IN ('cancelled', 'paused', 'disabled', 'pending_verification', 'plain_destination', 'backfill')
              THEN w.cause
            WHEN s.state = 'HELD' THEN 'key_held_by:' || COALESCE(
              (SELECT h.event_id::text
               FROM outbox.delivery y JOIN outbox.event h ON h.seq = y.seq
               WHERE y.lane = d.lane AND y.subscription = d.subscription AND y.aggregate_type = d.aggregate_type
                 AND y.aggregate_id = d.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < d.seq
                 AND (l.hold_dead OR y.subscription <= 0 OR y.state <> 'DEAD')
               ORDER BY y.seq LIMIT 1), '')
            WHEN s.cause IS NOT NULL THEN s.cause
            WHEN l.lease_until IS NULL OR l.lease_until < clock_timestamp() THEN 'lease_unowned'
            WHEN l.cause IS NOT NULL THEN l.cause
            WHEN w.cause IS NOT NULL THEN w.cause
            WHEN s.state = 'RETRY' THEN 'backing_off'
            ELSE 'in_progress' END AS cause,
       l.state AS lane_state, CASE WHEN l.lease_until > clock_timestamp() THEN l.owner END AS lane_owner,
       l.cause AS lane_cause, l.win_seq AS lane_settled_seq, l.sent_seq AS lane_sent_seq,
       s.subscription_id, s.host
FROM outbox.event_status s
JOIN outbox.lane l ON l.destination = s.destination AND l.part = s.part
LEFT JOIN outbox.delivery d ON d.lane = l.lane AND d.seq = s.seq AND d.subscription = s.subscription
LEFT JOIN outbox.subscription_wait w ON w.subscription = s.subscription;

-- What the API shows of deliveries, without payloads. Ask for one subscription, or one delivery.
CREATE VIEW outbox.subscription_delivery AS
SELECT format('dlv_%s_%s_%s', d.lane, d.seq, d.subscription) AS id, d.lane, d.seq, d.subscription,
       w.id AS subscription_id, e.event_id, e.type, e.aggregate_type, e.aggregate_id, e.occurred_at, d.state,
       CASE WHEN d.state IN ('DELIVERED', 'DISCARDED', 'DEAD') THEN d.cause
            WHEN l.state = 'PAUSED' THEN 'paused'
            WHEN w.cause IN ('cancelled', 'paused', 'disabled', 'pending_verification', 'plain_destination', 'backfill')
              THEN w.cause
            WHEN d.state = 'HELD' THEN 'key_held'
            ELSE COALESCE(d.cause, w.cause) END AS cause,
       d.attempts, d.setbacks, d.trigger, d.last_error,
       CASE WHEN d.state = 'RETRY' THEN GREATEST(d.next_attempt_at, h.throttled_until)
            WHEN d.state = 'PENDING' AND h.throttled_until > clock_timestamp() THEN h.throttled_until END
         AS next_attempt_at,
       d.created_at, d.updated_at, o.id AS operation_id
FROM outbox.delivery d
JOIN outbox.lane l ON l.lane = d.lane
JOIN outbox.event e ON e.seq = d.seq
JOIN outbox.subscription_wait w ON w.subscription = d.subscription
LEFT JOIN outbox.subscription_health h ON h.subscription = d.subscription
LEFT JOIN outbox.operation o ON o.operation = d.operation;

UPDATE outbox.meta SET schema_version = 7;
