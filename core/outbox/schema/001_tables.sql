-- SPDX-License-Identifier: Apache-2.0
-- The log, the lanes that read it, and the deliveries a cursor alone cannot settle.
-- Runs in one transaction. PostgreSQL 14 or newer.

-- Not CREATE SCHEMA IF NOT EXISTS: that asks for CREATE on the database even when an administrator has made the
-- schema beforehand for an owner who may do nothing else.
DO $$
BEGIN
  IF to_regnamespace('outbox') IS NULL THEN
    CREATE SCHEMA outbox;
  END IF;
END $$;

-- Time-ordered identifier (RFC 9562, version 7): it grows at the right end of its index. The parsed body binds
-- every name at creation, so that no search_path can change it.
CREATE FUNCTION outbox.uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(set_bit(set_bit(
         overlay(uuid_send(gen_random_uuid())
                 PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                 FROM 1 FOR 6),
         52, 1), 53, 1), 'hex')::uuid;
REVOKE ALL ON FUNCTION outbox.uuid_v7() FROM PUBLIC;

-- The log. Rows are inserted by writers and never updated. seq and xid belong to PostgreSQL: a row with a foreign
-- xid would look delivered, and a sequence cache above 1 would break the order of an aggregate.
-- payload is json, not jsonb: the text is kept byte for byte and read three times as fast.
--
-- Type json stores the escape of U+0000, but jsonb, text and most receivers cannot hold what it stands for, so it is
-- refused here. An odd number of backslashes makes it that escape, an even one the letters u0000. The plain search
-- comes first: it is cheap, and nearly always the answer.
CREATE TABLE outbox.event (
  seq            bigint      GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
  event_id       uuid        NOT NULL DEFAULT outbox.uuid_v7() UNIQUE,
  type           text        NOT NULL,
  aggregate_type text        NOT NULL DEFAULT '',
  aggregate_id   text        NOT NULL,
  version        int         NOT NULL DEFAULT 1,
  occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  payload        json        NOT NULL,
  headers        json,
  xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT event_type_length CHECK (char_length(type) BETWEEN 1 AND 255),
  CONSTRAINT event_aggregate_type_length CHECK (char_length(aggregate_type) <= 255),
  CONSTRAINT event_aggregate_id_length CHECK (char_length(aggregate_id) BETWEEN 1 AND 255),
  CONSTRAINT event_version_positive CHECK (version > 0),
  CONSTRAINT event_occurred_at_finite CHECK (isfinite(occurred_at)),
  CONSTRAINT event_payload_without_nul CHECK (
    strpos(payload::text, '\u0000') = 0 OR payload::text !~ '(^|[^\\])(\\\\)*\\u0000'),
  CONSTRAINT event_headers_object CHECK (json_typeof(headers) = 'object'),
  CONSTRAINT event_headers_without_nul CHECK (
    strpos(headers::text, '\u0000') = 0 OR headers::text !~ '(^|[^\\])(\\\\)*\\u0000')
);
CREATE INDEX event_xid ON outbox.event (xid, seq);

-- One row per destination, or per part of a split one: state, lease, cursor. Rewritten once per settle, always
-- HOT: no index on a changing column, and a nearly empty page.
CREATE TABLE outbox.lane (
  lane        int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  destination text        NOT NULL,
  part        int         NOT NULL DEFAULT 0,
  state       text        NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'PAUSED', 'BROKEN')),
  owner       text,
  token       bigint      NOT NULL DEFAULT 0,
  lease_until timestamptz,
  snap        pg_snapshot NOT NULL DEFAULT pg_current_snapshot(), -- everything visible in it is settled
  win         pg_snapshot,                                        -- the open window, if one is open
  win_seq     bigint      NOT NULL DEFAULT 0,                     -- settled up to here inside the window
  sent_seq    bigint      NOT NULL DEFAULT 0,                     -- handed to the adapter up to here
  cause       text,                                               -- why the lane as a whole stands still
  last_error  text,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (destination, part)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0);

-- What the cursor alone cannot settle. subscription 0 is the destination itself. No foreign keys: a key check
-- would lock rows of event and lane, and retention keeps an event as long as an open row names it.
CREATE TABLE outbox.delivery (
  lane            int         NOT NULL,
  seq             bigint      NOT NULL,
  subscription    bigint      NOT NULL DEFAULT 0,
  aggregate_type  text        NOT NULL,
  aggregate_id    text        NOT NULL,
  state           text        NOT NULL CHECK (state IN ('PENDING', 'IN_FLIGHT', 'RETRY', 'HELD',
                                                        'DELIVERED', 'DEAD', 'DISCARDED')),
  attempts        int         NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  cause           text,
  last_error      text,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (lane, seq, subscription)
);
CREATE INDEX delivery_due ON outbox.delivery (lane, next_attempt_at) WHERE state = 'RETRY';
CREATE INDEX delivery_pending ON outbox.delivery (lane, seq, subscription) WHERE state = 'PENDING';
CREATE INDEX delivery_key ON outbox.delivery (lane, subscription, aggregate_type, aggregate_id, seq)
  WHERE state NOT IN ('DELIVERED', 'DISCARDED');
CREATE INDEX delivery_open ON outbox.delivery (seq) WHERE state NOT IN ('DELIVERED', 'DISCARDED');

-- system_identifier names the cluster whose transaction ids the stored xids and snapshots belong to.
-- strict_types: refuse events whose type is not in outbox.event_type.
CREATE TABLE outbox.meta (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  schema_version    int     NOT NULL,
  system_identifier bigint  NOT NULL,
  strict_types      boolean NOT NULL DEFAULT false
);
INSERT INTO outbox.meta (schema_version, system_identifier)
SELECT 1, system_identifier FROM pg_control_system();
