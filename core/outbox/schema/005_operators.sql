-- SPDX-License-Identifier: Apache-2.0
-- What operators do: look at dead letters and held keys, replay, discard, release, pause, resume. The commands and
-- the HTTP API call the same functions, and every change leaves a row in outbox.audit.
--
-- A filter is a JSON object; every key that is given must hold:
--   eventId        a UUID, or a list of them
--   destination    a name
--   type           an event type; * stands for any text
--   cause          a word of the closed list
--   aggregateType, aggregateId
--   since, until   when the event became dead: from the first, before the second
-- Functions that write run as the owner, so that their callers need no UPDATE on outbox.delivery or outbox.lane.

-- One row an operation. `actor` is whom the program says it acted for; db_user is who was connected.
CREATE TABLE outbox.audit (
  operation  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  db_user    text        NOT NULL DEFAULT session_user,
  actor      text        NOT NULL DEFAULT '' CHECK (char_length(actor) <= 200),
  action     text        NOT NULL CHECK (action IN ('dead.replay', 'dead.discard', 'held.retry', 'held.discard',
                                                    'lane.pause', 'lane.fence', 'lane.resume')),
  filter     jsonb       NOT NULL,
  per_second int         CHECK (per_second > 0),
  affected   bigint      NOT NULL DEFAULT 0
);

-- Dead letters in the order of the log, and nothing else, whatever the size of the backlog.
CREATE INDEX delivery_dead ON outbox.delivery (seq, lane, subscription) WHERE state = 'DEAD';
CREATE INDEX delivery_held ON outbox.delivery (lane, subscription, aggregate_type, aggregate_id, seq)
  WHERE state = 'HELD';

CREATE VIEW outbox.dead AS
SELECT l.destination, l.part, d.lane, d.seq, d.subscription, e.event_id, e.type, e.version,
       d.aggregate_type, d.aggregate_id, e.occurred_at, d.updated_at AS dead_at, d.attempts, d.cause, d.last_error
FROM outbox.delivery d
JOIN outbox.lane l ON l.lane = d.lane
JOIN outbox.event e ON e.seq = d.seq
WHERE d.state = 'DEAD';

-- Keys with events that wait behind an earlier one, the holder. Without a holder the relay lets the key go by itself.
CREATE VIEW outbox.held_key AS
SELECT l.destination, l.part, k.lane, k.subscription, k.aggregate_type, k.aggregate_id, k.waiting,
       w.occurred_at AS waiting_since, h.seq AS holder_seq, e.event_id AS held_by, e.type AS holder_type,
       h.state AS holder_state, h.cause, h.last_error, h.attempts,
       CASE WHEN h.state = 'RETRY' THEN h.next_attempt_at END AS next_attempt_at
FROM (SELECT d.lane, d.subscription, d.aggregate_type, d.aggregate_id, count(*) AS waiting, min(d.seq) AS first
      FROM outbox.delivery d WHERE d.state = 'HELD'
      GROUP BY d.lane, d.subscription, d.aggregate_type, d.aggregate_id) k
JOIN outbox.lane l ON l.lane = k.lane
JOIN outbox.event w ON w.seq = k.first
LEFT JOIN LATERAL (
  SELECT y.* FROM outbox.delivery y
  WHERE y.lane = k.lane AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type
    AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < k.first
  ORDER BY y.seq LIMIT 1) h ON true
LEFT JOIN outbox.event e ON e.seq = h.seq;

-- One event at every lane: its state there, and the lane's. Ask for one event_id. `since` is when the row was last
-- written; an event without a row is settled by the cursor alone, and then so are those that no route sends there.
CREATE VIEW outbox.event_trace AS
SELECT s.event_id, s.seq, s.destination, s.part, s.subscription, s.state, s.attempts, s.next_attempt_at,
       d.updated_at AS since, s.last_error, d.seq IS NOT NULL AS has_row,
       CASE WHEN s.state IN ('PUBLISHED', 'DISCARDED') THEN s.cause
            WHEN s.state = 'DEAD' THEN s.cause
            WHEN l.state = 'PAUSED' THEN 'paused'
            WHEN s.state = 'HELD' THEN 'key_held_by:' || COALESCE(
              (SELECT h.event_id::text
               FROM outbox.delivery y JOIN outbox.event h ON h.seq = y.seq
               WHERE y.lane = d.lane AND y.subscription = d.subscription AND y.aggregate_type = d.aggregate_type
                 AND y.aggregate_id = d.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED') AND y.seq < d.seq
               ORDER BY y.seq LIMIT 1), '')
            WHEN s.cause IS NOT NULL THEN s.cause
            WHEN l.lease_until IS NULL OR l.lease_until < clock_timestamp() THEN 'lease_unowned'
            WHEN l.cause IS NOT NULL THEN l.cause
            WHEN s.state = 'RETRY' THEN 'backing_off'
            ELSE 'in_progress' END AS cause,
       l.state AS lane_state, CASE WHEN l.lease_until > clock_timestamp() THEN l.owner END AS lane_owner,
       l.cause AS lane_cause, l.win_seq AS lane_settled_seq, l.sent_seq AS lane_sent_seq
FROM outbox.event_status s
JOIN outbox.lane l ON l.destination = s.destination AND l.part = s.part
LEFT JOIN outbox.delivery d ON d.lane = l.lane AND d.seq = s.seq AND d.subscription = s.subscription;

-- "order.*" as a pattern of LIKE.
CREATE FUNCTION outbox.like_of(glob text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%');
REVOKE ALL ON FUNCTION outbox.like_of(text) FROM PUBLIC;

-- Refuses a filter with a key that is not listed above, or of another type; with needs_key, an empty one, too.
CREATE FUNCTION outbox.check_filter(filter jsonb, allowed text[], needs_key boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  entry record;
BEGIN
  IF filter IS NULL OR jsonb_typeof(filter) <> 'object' THEN
    RAISE EXCEPTION 'the filter is not an object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR entry IN SELECT f.key, f.value, jsonb_typeof(f.value) AS kind FROM jsonb_each(filter) f LOOP
    IF NOT entry.key = ANY (allowed) THEN
      RAISE EXCEPTION 'the filter knows no "%"', left(entry.key, 40) USING ERRCODE = 'invalid_parameter_value',
        HINT = 'It knows ' || array_to_string(allowed, ', ') || '.';
    END IF;
    IF entry.kind = 'array' AND entry.key = 'eventId' THEN
      IF jsonb_array_length(entry.value) NOT BETWEEN 1 AND 1000
         OR EXISTS (SELECT FROM jsonb_array_elements(entry.value) a WHERE jsonb_typeof(a) <> 'string') THEN
        RAISE EXCEPTION '"eventId" takes 1 to 1000 texts' USING ERRCODE = 'invalid_parameter_value';
      END IF;
    ELSIF entry.kind <> 'string' THEN
      RAISE EXCEPTION '"%" takes a text', entry.key USING ERRCODE = 'invalid_parameter_value';
    ELSIF entry.key IN ('since', 'until') THEN
      PERFORM (filter->>entry.key)::timestamptz; -- raises even when no row is there to compare
    END IF;
    IF entry.key = 'eventId' THEN
      PERFORM i::uuid FROM jsonb_array_elements_text(
        CASE entry.kind WHEN 'array' THEN entry.value ELSE jsonb_build_array(entry.value) END) i;
    END IF;
  END LOOP;
  IF needs_key AND filter = '{}' THEN
    RAISE EXCEPTION 'the filter is empty' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Name a destination, cause, type, event or time; "destination" alone takes all of one destination.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.check_filter(jsonb, text[], boolean) FROM PUBLIC;

CREATE FUNCTION outbox.check_dead_filter(filter jsonb, needs_key boolean) RETURNS void LANGUAGE sql STABLE
RETURN outbox.check_filter(filter, ARRAY['eventId', 'destination', 'type', 'cause', 'aggregateType', 'aggregateId',
                                         'since', 'until'], needs_key);
REVOKE ALL ON FUNCTION outbox.check_dead_filter(jsonb, boolean) FROM PUBLIC;

-- The dead letters that a filter names. Does not check the filter.
CREATE FUNCTION outbox.dead_letters(filter jsonb DEFAULT '{}') RETURNS SETOF outbox.dead LANGUAGE sql STABLE
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
    AND (filter->>'until' IS NULL OR x.dead_at < (filter->>'until')::timestamptz);
END;
REVOKE ALL ON FUNCTION outbox.dead_letters(jsonb) FROM PUBLIC;

-- Lets the first waiting event of each key go, where nothing open precedes it. `rows` names deliveries of those keys.
CREATE FUNCTION outbox.let_keys_go(lanes int[], seqs bigint[], subscriptions bigint[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE outbox.delivery x SET state = 'RETRY', next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM (SELECT DISTINCT d.lane, d.subscription, d.aggregate_type, d.aggregate_id
        FROM unnest(lanes, seqs, subscriptions) r(lane, seq, subscription)
        JOIN outbox.delivery d ON d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription) k
  CROSS JOIN LATERAL (
    SELECT y.seq, y.state FROM outbox.delivery y
    WHERE y.lane = k.lane AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type
      AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED')
    ORDER BY y.seq LIMIT 1) f
  WHERE f.state = 'HELD' AND x.lane = k.lane AND x.seq = f.seq AND x.subscription = k.subscription
$$;
REVOKE ALL ON FUNCTION outbox.let_keys_go(int[], bigint[], bigint[]) FROM PUBLIC;

-- One page of a replay or discard. Rows that die after the operation began are not part of it, so that it ends even
-- while a destination refuses everything. The lane rows are locked first, as the relay does, or the two could
-- wait for each other.
CREATE FUNCTION outbox.redrive(action text, filter jsonb, actor text, per_second int, page int,
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
  SET state = CASE op.action WHEN 'dead.replay' THEN 'RETRY' ELSE 'DISCARDED' END,
      attempts = CASE op.action WHEN 'dead.replay' THEN 0 ELSE d.attempts END,
      cause = CASE op.action WHEN 'dead.replay' THEN NULL ELSE d.cause END,
      next_attempt_at = op.at + COALESCE((op.affected + r.n - 1) / op.per_second::float8, 0) * interval '1 second',
      updated_at = clock_timestamp()
  FROM unnest(lanes, seqs, subscriptions) WITH ORDINALITY r(lane, seq, subscription, n)
  WHERE d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription AND d.state = 'DEAD';
  GET DIAGNOSTICS affected = ROW_COUNT;
  IF op.action = 'dead.discard' THEN
    PERFORM outbox.let_keys_go(lanes, seqs, subscriptions);
  END IF;
  UPDATE outbox.audit a SET affected = a.affected + redrive.affected WHERE a.operation = op.operation;
  operation := op.operation;
END $$;
REVOKE ALL ON FUNCTION outbox.redrive(text, jsonb, text, int, int, bigint) FROM PUBLIC;

-- Sends dead letters again, from their first attempt, each key in its order. At most `page` of them: call it again
-- with the operation it returned, each time in a transaction of its own, until `affected` is below `page`.
-- per_second spreads them: so many become due in each second.
CREATE FUNCTION outbox.dead_replay(filter jsonb, actor text DEFAULT '', per_second int DEFAULT NULL,
                                   page int DEFAULT 1000, continues bigint DEFAULT NULL,
                                   OUT operation bigint, OUT affected bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.operation, r.affected FROM outbox.redrive('dead.replay', filter, actor, per_second, page, continues) r
$$;
REVOKE ALL ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint) FROM PUBLIC;

-- Gives dead letters up for good and lets the keys go that they hold. Pages as dead_replay does.
CREATE FUNCTION outbox.dead_discard(filter jsonb, actor text DEFAULT '', page int DEFAULT 1000,
                                    continues bigint DEFAULT NULL, OUT operation bigint, OUT affected bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.operation, r.affected FROM outbox.redrive('dead.discard', filter, actor, NULL, page, continues) r
$$;
REVOKE ALL ON FUNCTION outbox.dead_discard(jsonb, text, int, bigint) FROM PUBLIC;

-- Held keys by destination, aggregateType and aggregateId. Does not check the filter.
CREATE FUNCTION outbox.held_keys(filter jsonb DEFAULT '{}') RETURNS SETOF outbox.held_key LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT x.* FROM outbox.held_key x
  WHERE (filter->>'destination' IS NULL OR x.destination = filter->>'destination')
    AND (filter->>'aggregateType' IS NULL OR x.aggregate_type = filter->>'aggregateType')
    AND (filter->>'aggregateId' IS NULL OR x.aggregate_id = filter->>'aggregateId');
END;
REVOKE ALL ON FUNCTION outbox.held_keys(jsonb) FROM PUBLIC;

-- Releases held keys, at most `page` of them. The event that holds a key, dead or waiting for its next attempt, is
-- tried again now; with `discard` it is given up, and the one behind it goes.
CREATE FUNCTION outbox.held_release(filter jsonb, discard boolean DEFAULT false, actor text DEFAULT '',
                                    page int DEFAULT 10000, OUT operation bigint, OUT affected bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  lanes         int[];
  seqs          bigint[];
  subscriptions bigint[];
BEGIN
  PERFORM outbox.check_filter(filter, ARRAY['destination', 'aggregateType', 'aggregateId'], true);
  PERFORM FROM outbox.lane l
  WHERE filter->>'destination' IS NULL OR l.destination = filter->>'destination'
  ORDER BY l.lane FOR NO KEY UPDATE;
  SELECT array_agg(k.lane), array_agg(k.holder_seq), array_agg(k.subscription) INTO lanes, seqs, subscriptions
  FROM (SELECT h.lane, h.holder_seq, h.subscription FROM outbox.held_keys(filter) h
        WHERE h.holder_state IN ('DEAD', 'RETRY') ORDER BY h.lane, h.holder_seq LIMIT page) k;
  UPDATE outbox.delivery d
  SET state = CASE WHEN discard THEN 'DISCARDED' ELSE 'RETRY' END,
      attempts = CASE WHEN discard OR d.state <> 'DEAD' THEN d.attempts ELSE 0 END,
      cause = CASE WHEN discard OR d.state <> 'DEAD' THEN d.cause END,
      next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM unnest(lanes, seqs, subscriptions) r(lane, seq, subscription)
  WHERE d.lane = r.lane AND d.seq = r.seq AND d.subscription = r.subscription;
  GET DIAGNOSTICS affected = ROW_COUNT;
  IF discard THEN
    PERFORM outbox.let_keys_go(lanes, seqs, subscriptions);
  END IF;
  INSERT INTO outbox.audit AS a (action, actor, filter, affected)
  VALUES (CASE WHEN discard THEN 'held.discard' ELSE 'held.retry' END, COALESCE(held_release.actor, ''), filter,
          held_release.affected)
  RETURNING a.operation INTO operation;
END $$;
REVOKE ALL ON FUNCTION outbox.held_release(jsonb, boolean, text, int) FROM PUBLIC;

-- Stops a destination: its relay finishes what is open and lets the lanes go. With `fence` it loses them at once, and
-- what was open is sent again later: for a relay that does not answer. Returns the lanes; none: no such destination.
CREATE FUNCTION outbox.lane_pause(destination text, actor text DEFAULT '', fence boolean DEFAULT false)
RETURNS TABLE (lane int, part int, owner text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  changed bigint;
BEGIN
  RETURN QUERY
    UPDATE outbox.lane l
    SET state = 'PAUSED', updated_at = clock_timestamp(),
        token = CASE WHEN fence THEN l.token + 1 ELSE l.token END,
        owner = CASE WHEN fence THEN NULL ELSE l.owner END,
        lease_until = CASE WHEN fence THEN NULL ELSE l.lease_until END
    WHERE l.destination = lane_pause.destination
    RETURNING l.lane, l.part, CASE WHEN l.lease_until > clock_timestamp() THEN l.owner END;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed > 0 THEN
    INSERT INTO outbox.audit (action, actor, filter, affected)
    VALUES (CASE WHEN fence THEN 'lane.fence' ELSE 'lane.pause' END, COALESCE(lane_pause.actor, ''),
            jsonb_build_object('destination', lane_pause.destination), changed);
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.lane_pause(text, text, boolean) FROM PUBLIC;

CREATE FUNCTION outbox.lane_resume(destination text, actor text DEFAULT '')
RETURNS TABLE (lane int, part int, owner text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  changed bigint;
BEGIN
  RETURN QUERY
    UPDATE outbox.lane l SET state = 'ACTIVE', updated_at = clock_timestamp()
    WHERE l.destination = lane_resume.destination
    RETURNING l.lane, l.part, CASE WHEN l.lease_until > clock_timestamp() THEN l.owner END;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed > 0 THEN
    INSERT INTO outbox.audit (action, actor, filter, affected)
    VALUES ('lane.resume', COALESCE(lane_resume.actor, ''),
            jsonb_build_object('destination', lane_resume.destination), changed);
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.lane_resume(text, text) FROM PUBLIC;

UPDATE outbox.meta SET schema_version = 5;
