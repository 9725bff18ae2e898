-- SPDX-License-Identifier: Apache-2.0
-- Subscriptions: who gets which events of a destination, one delivery a row, and what became of each attempt.
--
-- A destination with subscriptions has one lane. Its cursor moves when events are *expanded*: in one transaction each
-- event becomes a row of outbox.delivery for every subscription that takes it. From then on the rows decide:
--   PENDING  may go now                RETRY  after next_attempt_at        HELD  behind an earlier row of its key
-- At most one row of a key that is not HELD is open, so that a reader never has to look for the order.

CREATE TABLE outbox.subscription (
  subscription      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id                text        NOT NULL UNIQUE DEFAULT 'sub_' || replace(outbox.uuid_v7()::text, '-', ''),
  destination       text        NOT NULL,
  uid               text        CHECK (char_length(uid) BETWEEN 1 AND 255),
  url               text        NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
  status            text        NOT NULL DEFAULT 'active'
                                CHECK (status IN ('active', 'paused', 'disabled', 'pending_verification')),
  status_reason     text        CHECK (status_reason IN ('manual', 'gone_410', 'failure_rate')),
  status_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event_types       text[]      NOT NULL DEFAULT '{*}' CHECK (cardinality(event_types) BETWEEN 1 AND 100),
  filter            json,                                -- as its owner wrote it
  filter_path       jsonpath,                            -- the same, to be evaluated
  description       text        NOT NULL DEFAULT '',
  metadata          json        NOT NULL DEFAULT '{}',
  headers           json        NOT NULL DEFAULT '{}',   -- name: value
  ordering          text        NOT NULL DEFAULT 'key' CHECK (ordering IN ('key', 'none')),
  retry_schedule    int[]       CHECK (cardinality(retry_schedule) BETWEEN 1 AND 50), -- seconds; NULL: the destination's
  max_in_flight     int         NOT NULL DEFAULT 16 CHECK (max_in_flight BETWEEN 1 AND 256),
  rate_per_second   real        CHECK (rate_per_second > 0),
  burst             int         CHECK (burst > 0),
  timeout_ms        int         CHECK (timeout_ms BETWEEN 1000 AND 30000),
  signatures        text[]      NOT NULL DEFAULT '{v1}', -- v1 always, v1a besides
  ca_ref            text,
  cert_ref          text,
  keep_responses    boolean     NOT NULL DEFAULT false,
  disable_after_s   int         DEFAULT 432000 CHECK (disable_after_s >= 60), -- of failure only; NULL: never
  start_from        json        NOT NULL DEFAULT '"now"',
  start_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  start_snap        pg_snapshot NOT NULL DEFAULT pg_current_snapshot(), -- what is visible in it came before
  missed_snap       pg_snapshot,                         -- the lane's cursor when it was disabled, until recovered
  missed_seq        bigint,                              -- what a move to another cluster left of that begins here
  absences          bigint      NOT NULL DEFAULT 0,      -- how often it was disabled
  left_seq          bigint,                              -- of what such a move left for the lane, its own begins here
  verify_wanted     boolean     NOT NULL DEFAULT false,  -- nothing is sent before the endpoint has agreed
  verified_url      text,                                -- the one that has
  backfill          boolean     NOT NULL DEFAULT false,  -- its past is being expanded: nothing is sent meanwhile
  version           bigint      NOT NULL DEFAULT 1,      -- of the ETag
  created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at        timestamptz
);
CREATE UNIQUE INDEX subscription_uid ON outbox.subscription (uid) WHERE deleted_at IS NULL;
CREATE INDEX subscription_destination ON outbox.subscription (destination) WHERE deleted_at IS NULL;
CREATE INDEX subscription_deleted ON outbox.subscription (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX subscription_filtered ON outbox.subscription (destination)
  WHERE deleted_at IS NULL AND filter_path IS NOT NULL;

-- sealed: 12 bytes nonce, ciphertext, 16 bytes tag of AES-256-GCM under key `key_number` of the key ring; bound to this
-- row by its associated data. expires_at NULL: the current one; else it signs besides until then.
CREATE TABLE outbox.subscription_secret (
  secret       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subscription bigint      NOT NULL REFERENCES outbox.subscription,
  id           text        NOT NULL UNIQUE DEFAULT 'key_' || replace(outbox.uuid_v7()::text, '-', ''),
  key_number   int         NOT NULL CHECK (key_number > 0),
  sealed       bytea       NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at   timestamptz
);
CREATE INDEX subscription_secret_of ON outbox.subscription_secret (subscription);
CREATE INDEX subscription_secret_key ON outbox.subscription_secret (key_number);

-- How the endpoint answers. Written by the relay, apart from the subscription so that no ETag changes by it.
CREATE TABLE outbox.subscription_health (
  subscription         bigint      PRIMARY KEY REFERENCES outbox.subscription,
  consecutive_failures bigint      NOT NULL DEFAULT 0,
  failing_since        timestamptz,                      -- first failure after the last success
  last_success_at      timestamptz,
  last_failure_at      timestamptz,
  throttled_until      timestamptz,                      -- nothing is sent before
  last_cause           text,
  last_error           text
) WITH (fillfactor = 70);

ALTER TABLE outbox.delivery
  ADD COLUMN trigger    text     NOT NULL DEFAULT 'schedule' CHECK (trigger IN ('schedule', 'manual', 'recover', 'replay')),
  ADD COLUMN asked      int      NOT NULL DEFAULT 0,     -- redeliveries asked for: one in flight does not end the next
  ADD COLUMN setbacks   int      NOT NULL DEFAULT 0,     -- times its endpoint was unavailable for it
  ADD COLUMN operation  bigint,                          -- the outbox.operation that made or renewed the row
  ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- What the configuration says of a destination with subscriptions, written by the relay that has the lane: pairs of
-- patterns of LIKE for type and aggregate type, one of which an event must fit, and whether a dead row holds its key.
-- plain: who had the lane last sent to the destination itself, as all did before this schema. plain_seq: what is not
-- younger was written for that one, and goes nowhere if it had not been taken when subscriptions came.
ALTER TABLE outbox.lane
  ADD COLUMN plain            boolean NOT NULL DEFAULT true,
  ADD COLUMN plain_seq        bigint  NOT NULL DEFAULT 0,
  ADD COLUMN route_types      text[]  NOT NULL DEFAULT '{}',
  ADD COLUMN route_aggregates text[]  NOT NULL DEFAULT '{}',
  ADD COLUMN hold_dead        boolean NOT NULL DEFAULT false,
  ADD COLUMN tidied_at        timestamptz,                   -- when tidy_subscriptions() looked last
  ADD COLUMN tidied_subscription bigint NOT NULL DEFAULT 0,  -- the key that it looked at last
  ADD COLUMN tidied_type      text    NOT NULL DEFAULT '',
  ADD COLUMN tidied_id        text    NOT NULL DEFAULT '';
ALTER TABLE outbox.lane ALTER COLUMN plain SET DEFAULT false;

-- Rows of subscriptions have indexes of their own: there are many, and each endpoint is asked for by itself.
DROP INDEX outbox.delivery_due, outbox.delivery_pending;
CREATE INDEX delivery_due ON outbox.delivery (lane, next_attempt_at) WHERE state = 'RETRY' AND subscription <= 0;
CREATE INDEX delivery_pending ON outbox.delivery (lane, seq, subscription)
  WHERE state = 'PENDING' AND subscription <= 0;
CREATE INDEX delivery_sub_due ON outbox.delivery (lane, subscription, next_attempt_at)
  WHERE state = 'RETRY' AND subscription > 0;
CREATE INDEX delivery_sub_pending ON outbox.delivery (lane, subscription, seq)
  WHERE state = 'PENDING' AND subscription > 0;
CREATE INDEX delivery_of_subscription ON outbox.delivery (subscription, seq) WHERE subscription > 0;
CREATE INDEX delivery_operation ON outbox.delivery (operation) WHERE operation IS NOT NULL;

-- One try to deliver to a subscription. Without a seq: a test or a handshake.
CREATE TABLE outbox.attempt (
  attempt         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subscription    bigint      NOT NULL,
  lane            int,
  seq             bigint,
  number          int         NOT NULL DEFAULT 1,
  trigger         text        NOT NULL DEFAULT 'schedule'
                              CHECK (trigger IN ('schedule', 'manual', 'recover', 'replay', 'test', 'verify')),
  outcome         text        NOT NULL CHECK (outcome IN ('delivered', 'retry', 'rejected', 'unavailable', 'unroutable')),
  started_at      timestamptz NOT NULL,
  dns_us          int         NOT NULL DEFAULT 0,
  connect_us      int         NOT NULL DEFAULT 0,
  tls_us          int         NOT NULL DEFAULT 0,
  first_byte_us   int         NOT NULL DEFAULT 0,
  total_us        int         NOT NULL DEFAULT 0,
  remote          text,
  reused          boolean     NOT NULL DEFAULT false,
  requests        int         NOT NULL DEFAULT 0,
  http_status     int,
  category        text,
  cause           text,
  error           text,
  retry_after_ms  bigint,
  next_attempt_at timestamptz,
  response        text
);
CREATE INDEX attempt_of_subscription ON outbox.attempt (subscription, attempt);
CREATE INDEX attempt_of_event ON outbox.attempt (seq);

-- Long work on deliveries, done a page at a time by any relay.
--   recover   failed: dead deliveries again; missed: events that passed while nobody queued them; all: both
--   backfill  the past of a new subscription; it is not sent to before that has ended
CREATE TABLE outbox.operation (
  operation       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id              text        NOT NULL UNIQUE DEFAULT 'op_' || replace(outbox.uuid_v7()::text, '-', ''),
  subscription    bigint      NOT NULL REFERENCES outbox.subscription,
  kind            text        NOT NULL CHECK (kind IN ('recover', 'backfill')),
  include         text        NOT NULL CHECK (include IN ('failed', 'missed', 'all')),
  since           timestamptz,
  until           timestamptz,
  from_seq        bigint,
  event_types     text[],
  rate_per_second real        CHECK (rate_per_second > 0),
  actor           text        NOT NULL DEFAULT '',
  state           text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'cancelled')),
  matched         bigint,
  enqueued        bigint      NOT NULL DEFAULT 0,
  position        bigint      NOT NULL DEFAULT 0,        -- seq that is worked off
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at     timestamptz
);
CREATE INDEX operation_running ON outbox.operation (operation) WHERE state = 'running';
CREATE INDEX operation_of ON outbox.operation (subscription, operation);
CREATE INDEX operation_over ON outbox.operation (finished_at) WHERE state <> 'running';

-- Requests with an Idempotency-Key. An answer is sealed as secrets are and written in the transaction of the change.
-- What waits for somebody else meanwhile claims its key in one transaction and answers in a second one; a claim that
-- nobody answers, since its process ended, runs out.
CREATE TABLE outbox.idempotency (
  principal     text        NOT NULL,
  key           text        NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
  request_hash  bytea       NOT NULL,
  claimed_until timestamptz,                             -- NULL: answered
  status        int,
  key_number    int,
  sealed        bytea,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (principal, key),
  CHECK (num_nulls(status, key_number, sealed) = CASE WHEN claimed_until IS NULL THEN 0 ELSE 3 END)
);
CREATE INDEX idempotency_created ON outbox.idempotency (created_at);

ALTER TABLE outbox.audit DROP CONSTRAINT audit_action_check;
ALTER TABLE outbox.audit ADD CONSTRAINT audit_action_check CHECK (action IN (
  'dead.replay', 'dead.discard', 'held.retry', 'held.discard', 'lane.pause', 'lane.fence', 'lane.resume',
  'subscription.create', 'subscription.update', 'subscription.delete', 'subscription.disable', 'subscription.rotate',
  'subscription.verify', 'subscription.recover', 'delivery.redeliver', 'operation.cancel', 'secrets.rewrap'));

-- Leaves the row in outbox.audit that a change of a subscription needs. Runs as the owner: nobody else may write there.
CREATE FUNCTION outbox.note_change(action text, actor text, filter jsonb, affected bigint DEFAULT 1) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF action NOT LIKE 'subscription.%' AND action <> 'secrets.rewrap' THEN
    RAISE EXCEPTION 'outbox.note_change() takes no "%"', left(action, 40) USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO outbox.audit (action, actor, filter, affected)
  VALUES (note_change.action, left(COALESCE(note_change.actor, ''), 200), note_change.filter, note_change.affected);
END $$;
REVOKE ALL ON FUNCTION outbox.note_change(text, text, jsonb, bigint) FROM PUBLIC;

-- ---- which events a subscription takes -------------------------------------------------------------------------

-- The envelope, as a filter sees it. NULL when jsonb cannot hold the payload (a number beyond numeric, say).
CREATE FUNCTION outbox.filter_view(e outbox.event) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN jsonb_build_object('eventId', e.event_id, 'type', e.type, 'aggregateType', e.aggregate_type,
                            'aggregateId', e.aggregate_id, 'version', e.version, 'headers', e.headers::jsonb,
                            'payload', e.payload::jsonb);
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION outbox.filter_view(outbox.event) FROM PUBLIC;

-- An event that cannot be looked into is delivered: a filter may not lose one.
CREATE FUNCTION outbox.filter_takes(path jsonpath, view jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN view IS NULL OR COALESCE(jsonb_path_match(view, path, '{}', true), false);
REVOKE ALL ON FUNCTION outbox.filter_takes(jsonpath, jsonb) FROM PUBLIC;

-- The same of one event. Where many subscriptions look at it, its view is made once and handed to the other.
CREATE FUNCTION outbox.filter_takes(path jsonpath, e outbox.event) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN outbox.filter_takes(path, outbox.filter_view(e));
REVOKE ALL ON FUNCTION outbox.filter_takes(jsonpath, outbox.event) FROM PUBLIC;

CREATE FUNCTION outbox.like_any(globs text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(SELECT outbox.like_of(g) FROM unnest(globs) g);
REVOKE ALL ON FUNCTION outbox.like_any(text[]) FROM PUBLIC;

ALTER TABLE outbox.subscription
  ADD COLUMN type_patterns text[] NOT NULL GENERATED ALWAYS AS (outbox.like_any(event_types)) STORED;

-- Makes rows of the events in `seqs` for the subscriptions of a lane that take them; `left_over`: a rebase has left
-- them. Returns how many each got. The caller holds the lane's row. The rows of one key after the first open one are
-- HELD.
CREATE FUNCTION outbox.expand_events(lane_row outbox.lane, seqs bigint[], left_over boolean)
RETURNS TABLE (subscription bigint, rows bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  -- What a filter sees of an event is made once, and only if somebody filters: payloads may be large. Who takes a type
  -- is asked once a type, since most events go to few of those that subscribe.
  WITH looked_at AS MATERIALIZED (
    SELECT e.seq, e.type, e.aggregate_type, e.aggregate_id, e.xid,
           CASE WHEN EXISTS (SELECT FROM outbox.subscription f
                             WHERE f.destination = lane_row.destination AND f.deleted_at IS NULL
                               AND f.filter_path IS NOT NULL AND e.type LIKE ANY (f.type_patterns))
                THEN outbox.filter_view(e) END AS view
    FROM outbox.event e
    WHERE e.seq = ANY (seqs)
      AND EXISTS (SELECT FROM unnest(lane_row.route_types, lane_row.route_aggregates) r(type, aggregate)
                  WHERE e.type LIKE r.type AND e.aggregate_type LIKE r.aggregate)),
  kinds AS MATERIALIZED (
    SELECT t.type, ARRAY(SELECT s.subscription FROM outbox.subscription s
                         WHERE s.destination = lane_row.destination AND s.deleted_at IS NULL AND s.status <> 'disabled'
                           AND t.type LIKE ANY (s.type_patterns)) AS takers
    FROM (SELECT DISTINCT e.type FROM looked_at e) t),
  made AS (
    INSERT INTO outbox.delivery AS d (lane, seq, subscription, aggregate_type, aggregate_id, state)
    SELECT lane_row.lane, m.seq, m.subscription, m.aggregate_type, m.aggregate_id,
           CASE WHEN m.ordering = 'none' THEN 'PENDING'
                WHEN m.nth > 1 THEN 'HELD'
                WHEN EXISTS (SELECT FROM outbox.delivery o
                             WHERE o.lane = lane_row.lane AND o.subscription = m.subscription
                               AND o.aggregate_type = m.aggregate_type AND o.aggregate_id = m.aggregate_id
                               AND o.state NOT IN ('DELIVERED', 'DISCARDED') AND (lane_row.hold_dead OR o.state <> 'DEAD'))
                THEN 'HELD' ELSE 'PENDING' END
    FROM (SELECT e.seq, s.subscription, e.aggregate_type, e.aggregate_id, s.ordering,
                 row_number() OVER (PARTITION BY s.subscription, e.aggregate_type, e.aggregate_id ORDER BY e.seq) AS nth
          FROM looked_at e
          JOIN kinds k ON k.type = e.type
          CROSS JOIN LATERAL unnest(k.takers) t(subscription)
          JOIN outbox.subscription s ON s.subscription = t.subscription
          WHERE CASE WHEN left_over THEN e.seq >= s.left_seq ELSE NOT pg_visible_in_snapshot(e.xid, s.start_snap) END
            AND (s.filter_path IS NULL OR outbox.filter_takes(s.filter_path, e.view))
            AND (SELECT true FROM outbox.delivery x
                 WHERE x.lane = lane_row.lane AND x.seq = e.seq AND x.subscription = s.subscription) IS NULL) m
    ON CONFLICT DO NOTHING
    RETURNING d.subscription)
  SELECT m.subscription, count(*) FROM made m GROUP BY m.subscription
$$;
REVOKE ALL ON FUNCTION outbox.expand_events(outbox.lane, bigint[], boolean) FROM PUBLIC;

-- The first of these events, as many as make 50,000 rows at most, or one: whoever subscribes to everything at once, the
-- lease waits for it. By their types alone: a filter that refuses takes its time, too, and so does each new type, of
-- which there are 100. One that is gone makes none.
CREATE FUNCTION outbox.expansion_page(destination text, seqs bigint[]) RETURNS bigint[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH found AS (
    SELECT q.seq, e.type, row_number() OVER (PARTITION BY e.type ORDER BY q.seq) AS nth
    FROM unnest(seqs) q(seq) LEFT JOIN outbox.event e ON e.seq = q.seq),
  page AS MATERIALIZED (
    SELECT f.seq, f.type FROM (SELECT x.seq, x.type, sum((x.nth = 1)::int) OVER (ORDER BY x.seq) AS types FROM found x) f
    WHERE f.types <= 100),
  kinds AS MATERIALIZED (
    SELECT t.type, (SELECT count(*) FROM outbox.subscription s
                    WHERE s.destination = expansion_page.destination AND s.deleted_at IS NULL AND s.status <> 'disabled'
                      AND t.type LIKE ANY (s.type_patterns)) AS takers
    FROM (SELECT DISTINCT p.type FROM page p) t)
  SELECT array_agg(x.seq ORDER BY x.seq)
  FROM (SELECT p.seq, row_number() OVER (ORDER BY p.seq) AS nth, sum(k.takers) OVER (ORDER BY p.seq) AS total
        FROM page p JOIN kinds k ON k.type IS NOT DISTINCT FROM p.type) x
  WHERE x.total <= 50000 OR x.nth = 1
$$;
REVOKE ALL ON FUNCTION outbox.expansion_page(text, bigint[]) FROM PUBLIC;

-- ---- what the relay calls -----------------------------------------------------------------------------------------

-- One page of the log becomes deliveries, and the cursor moves over it. What a rebase has left (PENDING rows of
-- subscription 0) comes before all that is newer, a page at a time as well. No row: the lane is somebody else's now.
-- The first row has subscription 0 and says how many events were read and whether more are waiting; each other one
-- names a subscription that got rows. Writes nothing when nothing is new, unless `renew`.
CREATE FUNCTION outbox.expand(lane int, token bigint, lease_ms bigint, page int, renew boolean, cause text, error text)
RETURNS TABLE (subscription bigint, rows bigint, more boolean, halt boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  l    outbox.lane%ROWTYPE;
  here pg_snapshot;
  seqs bigint[];
  n    int;
  left_over boolean;
  full_page boolean;
BEGIN
  -- A subscription that was made while it waited for the lane has to be seen, or the events go past it.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'outbox.expand() needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  SELECT x.* INTO l FROM outbox.lane x WHERE x.lane = expand.lane AND x.token = expand.token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT array_agg(t.seq ORDER BY t.seq) INTO seqs
  FROM (SELECT d.seq FROM outbox.delivery d WHERE d.lane = l.lane AND d.subscription = 0 AND d.state = 'PENDING'
        ORDER BY d.lane, d.seq, d.subscription LIMIT GREATEST(page, 0)) t;
  left_over := seqs IS NOT NULL;
  IF page < 1 OR left_over THEN
    here := NULL; -- the cursor stays
  ELSIF l.win IS NULL THEN
    WITH k AS (
      SELECT e.seq FROM outbox.event e WHERE e.xid >= pg_snapshot_xmax(l.snap)
      UNION ALL
      SELECT e.seq FROM pg_snapshot_xip(l.snap) i(x) JOIN outbox.event e ON e.xid = i.x),
    t AS (SELECT k.seq FROM k ORDER BY k.seq LIMIT page)
    SELECT array_agg(t.seq ORDER BY t.seq), pg_current_snapshot() INTO seqs, here FROM t;
  ELSE
    here := l.win;
    SELECT array_agg(t.seq ORDER BY t.seq) INTO seqs
    FROM (SELECT e.seq FROM outbox.event e
          WHERE e.seq > l.win_seq AND NOT pg_visible_in_snapshot(e.xid, l.snap)
            AND pg_visible_in_snapshot(e.xid, l.win)
          ORDER BY e.seq LIMIT page) t;
  END IF;
  n := COALESCE(cardinality(seqs), 0);
  IF n > 1 THEN
    seqs := outbox.expansion_page(l.destination, seqs);
  END IF;
  full_page := left_over OR page > 0 AND (n >= page OR cardinality(seqs) < n);
  n := COALESCE(cardinality(seqs), 0);
  IF seqs[1] <= l.plain_seq THEN
    INSERT INTO outbox.delivery AS d (lane, seq, aggregate_type, aggregate_id, state, cause, last_error)
    SELECT l.lane, e.seq, e.aggregate_type, e.aggregate_id, 'DEAD', 'no_route',
           'the destination is one of subscriptions now'
    FROM outbox.event e
    WHERE e.seq = ANY (seqs) AND e.seq <= l.plain_seq
      AND EXISTS (SELECT FROM unnest(l.route_types, l.route_aggregates) r(type, aggregate)
                  WHERE e.type LIKE r.type AND e.aggregate_type LIKE r.aggregate)
    ON CONFLICT (lane, seq, subscription) DO UPDATE
    SET state = excluded.state, cause = excluded.cause, last_error = excluded.last_error,
        updated_at = clock_timestamp()
    WHERE d.state = 'PENDING';
  END IF;
  IF left_over THEN
    UPDATE outbox.delivery d SET state = 'DELIVERED', updated_at = clock_timestamp()
    WHERE d.lane = l.lane AND d.subscription = 0 AND d.seq = ANY (seqs) AND d.state = 'PENDING';
  ELSIF full_page THEN
    UPDATE outbox.lane x SET win = here, win_seq = seqs[n], sent_seq = seqs[n] WHERE x.lane = l.lane;
  ELSIF page > 0 AND (seqs IS NOT NULL OR l.win IS NOT NULL) THEN
    UPDATE outbox.lane x SET snap = here, win = NULL, win_seq = 0, sent_seq = 0 WHERE x.lane = l.lane;
  END IF;
  RETURN QUERY SELECT 0::bigint, n::bigint, full_page, l.state <> 'ACTIVE';
  IF seqs IS NOT NULL THEN
    RETURN QUERY SELECT m.subscription, m.rows, false, false
                 FROM outbox.expand_events(l, seqs, left_over) m;
  END IF;
  -- Last, so that the lease is whole when this commits.
  IF renew OR seqs IS NOT NULL THEN
    UPDATE outbox.lane x SET lease_until = clock_timestamp() + lease_ms * interval '1 millisecond',
      cause = expand.cause, last_error = expand.error, updated_at = clock_timestamp() WHERE x.lane = l.lane;
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.expand(int, bigint, bigint, int, boolean, text, text) FROM PUBLIC;

-- Takes down the routes, and lets the first HELD row of keys go when nothing open precedes it: after dead rows have
-- ceased to hold their keys, or the event of what came first is gone, say. It looks at 200 keys and goes on behind them
-- the next time, so that a large backlog costs no more than a small one. Returns false when the lane is somebody
-- else's. Planned anew each time, as end_deliveries() is.
CREATE FUNCTION outbox.tidy_subscriptions(lane int, token bigint, hold_dead boolean, types text[], aggregates text[])
RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  keys    CONSTANT int := 200;
  moved   CONSTANT int := 50000;
  l       outbox.lane%ROWTYPE;
  key     record;
  visited int := 0;
  back    interval;
BEGIN
  SELECT x.* INTO l FROM outbox.lane x WHERE x.lane = tidy_subscriptions.lane AND x.token = tidy_subscriptions.token
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF (l.route_types, l.route_aggregates, l.hold_dead)
     IS DISTINCT FROM (outbox.like_any(types), outbox.like_any(aggregates), hold_dead) THEN
    UPDATE outbox.lane x SET route_types = outbox.like_any(types), route_aggregates = outbox.like_any(aggregates),
      hold_dead = tidy_subscriptions.hold_dead
    WHERE x.lane = l.lane RETURNING x.* INTO l;
  END IF;
  -- It looked in the future: the server's clock was set back. What was put off by the old clock would wait for that to
  -- come again. A step that is shorter than the pause between two looks is waited out. So is what is beyond 50,000 rows:
  -- the lane stands still meanwhile, and this has to end before the connection's limit.
  back := l.tidied_at - clock_timestamp();
  IF back > interval '0' THEN
    UPDATE outbox.delivery d SET next_attempt_at = d.next_attempt_at - back
    FROM (SELECT x.seq, x.subscription FROM outbox.delivery x
          WHERE x.lane = l.lane AND x.subscription > 0 AND x.state = 'RETRY' AND x.next_attempt_at > clock_timestamp()
          UNION ALL
          SELECT x.seq, x.subscription FROM outbox.delivery x
          WHERE x.lane = l.lane AND x.subscription > 0 AND x.state = 'HELD' AND x.next_attempt_at > clock_timestamp()
          LIMIT moved) r
    WHERE d.lane = l.lane AND d.seq = r.seq AND d.subscription = r.subscription;
    UPDATE outbox.subscription_health h SET throttled_until = h.throttled_until - back
    FROM outbox.subscription s
    WHERE s.subscription = h.subscription AND s.destination = l.destination
      AND h.throttled_until > clock_timestamp();
  END IF;
  -- Where the destination itself was sent to before, nobody sends what it had not taken. What has no row yet, or one
  -- that a rebase has left, gets its end when it is expanded, a page at a time.
  IF l.plain THEN
    UPDATE outbox.lane x SET plain = false, plain_seq = COALESCE((SELECT max(e.seq) FROM outbox.event e), 0)
    WHERE x.lane = l.lane RETURNING x.* INTO l;
  END IF;
  -- By state, each with an index that has these rows only: those that died stay, and may be many.
  UPDATE outbox.delivery d SET state = 'DEAD', cause = 'no_route', updated_at = clock_timestamp(),
    last_error = 'the destination is one of subscriptions now'
  FROM (SELECT x.seq, x.subscription FROM outbox.delivery x
        WHERE x.lane = l.lane AND x.subscription <= 0 AND x.state = 'RETRY'
        UNION ALL
        SELECT x.seq, x.subscription FROM outbox.delivery x
        WHERE x.lane = l.lane AND x.subscription <= 0 AND x.state = 'HELD'
        UNION ALL
        SELECT x.seq, x.subscription FROM outbox.delivery x
        WHERE x.lane = l.lane AND x.subscription <= 0 AND x.subscription < 0 AND x.state = 'PENDING') r
  WHERE d.lane = l.lane AND d.seq = r.seq AND d.subscription = r.subscription;
  -- A row older than the log can never end, and would block its key: its event is gone.
  UPDATE outbox.delivery d SET state = 'DISCARDED', cause = 'cancelled', updated_at = clock_timestamp()
  WHERE d.lane = l.lane AND d.subscription > 0 AND d.state NOT IN ('DELIVERED', 'DISCARDED')
    AND d.seq < (SELECT COALESCE(min(e.seq), 9223372036854775807) FROM outbox.event e);
  FOR key IN
    WITH RECURSIVE k (subscription, type, id, seq, nth) AS (
      (SELECT h.subscription, h.aggregate_type, h.aggregate_id, h.seq, 1 FROM outbox.delivery h
       WHERE h.lane = l.lane AND h.state = 'HELD'
         AND (h.subscription, h.aggregate_type, h.aggregate_id) > (l.tidied_subscription, l.tidied_type, l.tidied_id)
       ORDER BY h.lane, h.subscription, h.aggregate_type, h.aggregate_id, h.seq LIMIT 1)
      UNION ALL
      SELECT n.subscription, n.aggregate_type, n.aggregate_id, n.seq, k.nth + 1 FROM k CROSS JOIN LATERAL (
        SELECT h.subscription, h.aggregate_type, h.aggregate_id, h.seq FROM outbox.delivery h
        WHERE h.lane = l.lane AND h.state = 'HELD'
          AND (h.subscription, h.aggregate_type, h.aggregate_id) > (k.subscription, k.type, k.id)
        ORDER BY h.lane, h.subscription, h.aggregate_type, h.aggregate_id, h.seq LIMIT 1) n
      WHERE k.nth < keys)
    SELECT k.*, f.seq AS head, f.state AS head_state, EXISTS (SELECT FROM outbox.event e WHERE e.seq = f.seq) AS known
    FROM k CROSS JOIN LATERAL (
      SELECT o.seq, o.state FROM outbox.delivery o
      WHERE o.lane = l.lane AND o.subscription = k.subscription AND o.aggregate_type = k.type AND o.aggregate_id = k.id
        AND o.state NOT IN ('DELIVERED', 'DISCARDED') AND (l.hold_dead OR o.state <> 'DEAD')
      ORDER BY o.lane, o.subscription, o.aggregate_type, o.aggregate_id, o.seq LIMIT 1) f
    ORDER BY k.nth
  LOOP
    visited := visited + 1;
    l.tidied_subscription := key.subscription;
    l.tidied_type := key.type;
    l.tidied_id := key.id;
    CONTINUE WHEN key.known AND key.head_state <> 'HELD';
    UPDATE outbox.delivery d SET state = 'DISCARDED', cause = 'cancelled', updated_at = clock_timestamp()
    WHERE d.lane = l.lane AND d.subscription = key.subscription AND d.seq = key.head AND NOT key.known;
    UPDATE outbox.delivery d
    SET state = CASE WHEN d.next_attempt_at > clock_timestamp() THEN 'RETRY' ELSE 'PENDING' END,
        updated_at = clock_timestamp()
    WHERE d.lane = l.lane AND d.subscription = key.subscription AND d.seq = key.seq AND d.state = 'HELD'
      AND NOT EXISTS (SELECT FROM outbox.delivery o
                      WHERE o.lane = l.lane AND o.subscription = key.subscription
                        AND o.aggregate_type = key.type AND o.aggregate_id = key.id
                        AND o.state NOT IN ('DELIVERED', 'DISCARDED') AND o.state <> 'HELD'
                        AND (l.hold_dead OR o.state <> 'DEAD'));
  END LOOP;
  IF visited < keys THEN
    l.tidied_subscription := 0;
    l.tidied_type := '';
    l.tidied_id := '';
  END IF;
  UPDATE outbox.lane x SET tidied_at = clock_timestamp(), tidied_subscription = l.tidied_subscription,
    tidied_type = l.tidied_type, tidied_id = l.tidied_id
  WHERE x.lane = l.lane;
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION outbox.tidy_subscriptions(int, bigint, boolean, text[], text[]) FROM PUBLIC;

-- Disables a subscription and remembers the cursor, so that what it misses can be found; and where what a rebase has
-- left for it begins, if that is not queued yet. Does not lock the lane.
-- Whoever does it by hand writes the audit row; what a relay decides ends up there by this.
CREATE FUNCTION outbox.disable_subscription(subscription bigint, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  id text;
BEGIN
  UPDATE outbox.subscription s
  SET status = 'disabled', status_reason = disable_subscription.reason, status_changed_at = clock_timestamp(),
      updated_at = clock_timestamp(), version = s.version + 1, absences = s.absences + 1,
      missed_snap = COALESCE(s.missed_snap, (SELECT l.snap FROM outbox.lane l
                                             WHERE l.destination = s.destination AND l.part = 0)),
      missed_seq = LEAST(s.missed_seq, (SELECT d.seq FROM outbox.lane l JOIN outbox.delivery d ON d.lane = l.lane
                                        WHERE l.destination = s.destination AND l.part = 0 AND d.subscription = 0
                                          AND d.state = 'PENDING' AND d.seq >= s.left_seq ORDER BY d.seq LIMIT 1))
  WHERE s.subscription = disable_subscription.subscription AND s.status <> 'disabled' AND s.deleted_at IS NULL
  RETURNING s.id INTO id;
  IF FOUND AND reason <> 'manual' THEN
    PERFORM outbox.note_change('subscription.disable', 'relay',
                               jsonb_build_object('subscription', id, 'reason', reason));
  END IF;
END $$;
REVOKE ALL ON FUNCTION outbox.disable_subscription(bigint, text) FROM PUBLIC;

-- Writes down how deliveries ended. `ended` is a list of objects: the delivery (seq, subscription), what becomes of it
-- (state, attempts, setbacks, delay_ms, cause, error, asked as it was read) and, where `outcome` is there, what the
-- attempt was like. A row that was put behind an earlier one of its key while it was sent ends all the same, but goes
-- again only in its turn. `health` says of each endpoint that was heard of: whether it took something (ok), how many
-- failures came after that, and how long it is left alone (throttle_ms). A row that was discarded meanwhile stays so,
-- and one that was asked for again goes again. Returns the subscriptions that have new PENDING rows, after one with
-- subscription 0; no row at all: the lane is somebody else's now, and nothing was written.
CREATE FUNCTION outbox.end_deliveries(lane int, token bigint, ended json, health json)
RETURNS SETOF bigint
-- Planned anew each time, and rows looked up one by one: a plan that was made while the table was small, or had no
-- statistics, reads all of it once it has grown. Places stay what they are: who changes rows holds the lane's row.
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_seqscan = off
SET enable_bitmapscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  holds_dead boolean;
BEGIN
  SELECT x.hold_dead INTO holds_dead FROM outbox.lane x
  WHERE x.lane = end_deliveries.lane AND x.token = end_deliveries.token FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  RETURN NEXT 0;

  WITH f AS MATERIALIZED (
    SELECT * FROM json_to_recordset(ended) AS f(
      seq bigint, subscription bigint, state text, attempts int, setbacks int, delay_ms bigint, cause text, error text,
      asked int, trigger text, outcome text, started_us bigint, dns_us int, connect_us int, tls_us int,
      first_byte_us int, total_us int, remote text, reused boolean, requests int, http_status int, category text,
      retry_after_ms bigint, response text)),
  tried AS (
    INSERT INTO outbox.attempt (subscription, lane, seq, number, trigger, outcome, started_at, dns_us, connect_us, tls_us,
                                first_byte_us, total_us, remote, reused, requests, http_status, category, cause, error,
                                retry_after_ms, next_attempt_at, response)
    SELECT f.subscription, end_deliveries.lane, f.seq, f.attempts + f.setbacks, f.trigger, f.outcome,
           to_timestamp(f.started_us / 1e6), f.dns_us, f.connect_us, f.tls_us, f.first_byte_us, f.total_us, f.remote,
           f.reused, f.requests, f.http_status, f.category, f.cause, f.error, f.retry_after_ms,
           CASE WHEN f.state = 'RETRY' THEN clock_timestamp() + f.delay_ms * interval '1 millisecond' END, f.response
    FROM f WHERE f.outcome IS NOT NULL)
  UPDATE outbox.delivery d
  SET state = CASE WHEN d.state = 'HELD' AND (d.asked > f.asked OR f.state = 'RETRY') THEN 'HELD'
                   WHEN d.asked > f.asked AND f.state <> 'RETRY' THEN 'PENDING' ELSE f.state END,
      attempts = CASE WHEN d.asked > f.asked THEN 0 ELSE f.attempts END,
      setbacks = CASE WHEN d.asked > f.asked THEN 0 ELSE f.setbacks END,
      trigger = CASE WHEN d.asked > f.asked THEN 'manual' ELSE 'schedule' END,
      next_attempt_at = CASE WHEN d.asked > f.asked THEN clock_timestamp()
                             ELSE clock_timestamp() + f.delay_ms * interval '1 millisecond' END,
      cause = f.cause, last_error = f.error, updated_at = clock_timestamp()
  FROM f
  CROSS JOIN LATERAL (SELECT x.ctid AS place FROM outbox.delivery x
                      WHERE x.lane = end_deliveries.lane AND x.seq = f.seq AND x.subscription = f.subscription
                      OFFSET 0) r
  WHERE d.ctid = r.place AND d.state IN ('PENDING', 'IN_FLIGHT', 'RETRY', 'HELD');

  INSERT INTO outbox.subscription_health AS h (subscription, consecutive_failures, failing_since, last_success_at,
                                               last_failure_at, throttled_until, last_cause, last_error)
  SELECT x.subscription, x.failures, CASE WHEN x.failures > 0 THEN clock_timestamp() END,
         CASE WHEN x.ok THEN clock_timestamp() END, CASE WHEN x.failures > 0 THEN clock_timestamp() END,
         clock_timestamp() + x.throttle_ms * interval '1 millisecond', x.cause, x.error
  FROM json_to_recordset(health) AS x(subscription bigint, ok boolean, failures bigint, throttle_ms bigint, cause text,
                                      error text)
  ORDER BY x.subscription
  ON CONFLICT (subscription) DO UPDATE
  SET consecutive_failures = excluded.consecutive_failures
                             + CASE WHEN excluded.last_success_at IS NULL THEN h.consecutive_failures ELSE 0 END,
      failing_since = CASE WHEN excluded.last_success_at IS NULL THEN COALESCE(h.failing_since, excluded.failing_since)
                           ELSE excluded.failing_since END,
      last_success_at = COALESCE(excluded.last_success_at, h.last_success_at),
      last_failure_at = COALESCE(excluded.last_failure_at, h.last_failure_at),
      throttled_until = excluded.throttled_until,
      last_cause = COALESCE(excluded.last_cause, h.last_cause),
      last_error = COALESCE(excluded.last_error, h.last_error);

  -- An endpoint that is gone says so once; one that only fails, and has for long, is given up.
  PERFORM outbox.disable_subscription(g.subscription, 'gone_410')
  FROM (SELECT DISTINCT f.subscription FROM json_to_recordset(ended) AS f(subscription bigint, cause text)
        WHERE f.cause = 'gone_410') g;
  PERFORM outbox.disable_subscription(h.subscription, 'failure_rate')
  FROM json_to_recordset(health) AS x(subscription bigint, failures bigint, cause text)
  JOIN outbox.subscription_health h ON h.subscription = x.subscription
  JOIN outbox.subscription s ON s.subscription = x.subscription
  WHERE x.failures > 0 AND h.consecutive_failures >= 3
    AND x.cause NOT IN ('secret_undecryptable', 'adapter_fault') -- faults of this side are none of its own
    AND h.failing_since < clock_timestamp() - s.disable_after_s * interval '1 second';

  RETURN QUERY
    UPDATE outbox.delivery x
    SET state = CASE WHEN x.next_attempt_at > clock_timestamp() THEN 'RETRY' ELSE 'PENDING' END,
        updated_at = clock_timestamp()
    FROM (SELECT DISTINCT d.subscription, d.aggregate_type, d.aggregate_id
          FROM json_to_recordset(ended) AS f(seq bigint, subscription bigint, state text)
          CROSS JOIN LATERAL (SELECT x.* FROM outbox.delivery x
                              WHERE x.lane = end_deliveries.lane AND x.seq = f.seq AND x.subscription = f.subscription
                              OFFSET 0) d
          WHERE f.state <> 'RETRY') k
    CROSS JOIN LATERAL (
      SELECT y.ctid AS place, y.state FROM outbox.delivery y
      WHERE y.lane = end_deliveries.lane AND y.subscription = k.subscription AND y.aggregate_type = k.aggregate_type
        AND y.aggregate_id = k.aggregate_id AND y.state NOT IN ('DELIVERED', 'DISCARDED')
        AND (holds_dead OR y.state <> 'DEAD')
      ORDER BY y.seq LIMIT 1) n
    WHERE n.state = 'HELD' AND x.ctid = n.place
    RETURNING x.subscription;
END $$;
REVOKE ALL ON FUNCTION outbox.end_deliveries(int, bigint, json, json) FROM PUBLIC;

UPDATE outbox.meta SET schema_version = 6;
