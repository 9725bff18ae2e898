-- SPDX-License-Identifier: Apache-2.0
-- The writer's side: the catalogue of event types, its enforcement, and outbox.publish().
--
-- Everything here runs with the rights of the writer, inside the writer's transaction.

-- Which events exist. Enforced only while outbox.meta.strict_types is true.
CREATE TABLE outbox.event_type (
  type        text NOT NULL CHECK (char_length(type) BETWEEN 1 AND 255),
  version     int  NOT NULL DEFAULT 1 CHECK (version > 0),
  status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'retired')),
  description text NOT NULL DEFAULT '',
  PRIMARY KEY (type, version)
);

-- Refuses an event that the catalogue does not list as active. The operators are written out: with a name alone, a
-- writer could put an operator of its own in front by search_path, and SET search_path on a function that runs
-- for each row would cost more than the check. While strict mode is off this reads one row of one cached page.
CREATE FUNCTION outbox.check_event_type() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  found_status text;
  known        boolean;
BEGIN
  IF NOT (SELECT m.strict_types FROM outbox.meta m) THEN
    RETURN NEW;
  END IF;
  SELECT t.status INTO found_status FROM outbox.event_type t
  WHERE t.type OPERATOR(pg_catalog.=) NEW.type AND t.version OPERATOR(pg_catalog.=) NEW.version;
  IF found_status OPERATOR(pg_catalog.=) 'active' THEN
    RETURN NEW;
  END IF;
  IF found_status OPERATOR(pg_catalog.=) 'retired' THEN
    RAISE EXCEPTION 'event type "%" version % is retired', NEW.type, NEW.version
      USING ERRCODE = 'check_violation', CONSTRAINT = 'event_type_active',
            HINT = 'Publish a version that outbox.event_type lists as active.';
  END IF;
  SELECT EXISTS (SELECT FROM outbox.event_type t WHERE t.type OPERATOR(pg_catalog.=) NEW.type) INTO known;
  IF known THEN
    RAISE EXCEPTION 'event type "%" has no version %', NEW.type, NEW.version
      USING ERRCODE = 'check_violation', CONSTRAINT = 'event_type_known',
            HINT = 'Add the version to outbox.event_type.';
  END IF;
  RAISE EXCEPTION 'event type "%" is unknown', NEW.type
    USING ERRCODE = 'check_violation', CONSTRAINT = 'event_type_known',
          HINT = 'Add the type to outbox.event_type, or turn outbox.meta.strict_types off.';
END $$;
REVOKE ALL ON FUNCTION outbox.check_event_type() FROM PUBLIC;

CREATE TRIGGER check_event_type BEFORE INSERT ON outbox.event
FOR EACH ROW EXECUTE FUNCTION outbox.check_event_type();

-- Writes one event and returns its id. Call it in the transaction that changed the aggregate, after the
-- aggregate's row has been locked. The same event_id a second time changes nothing and returns the id.
-- No RETURNING and no conflict target: both would ask the writer for SELECT on the log.
CREATE FUNCTION outbox.publish(
  type           text,
  aggregate_id   text,
  payload        json,
  aggregate_type text        DEFAULT '',
  version        int         DEFAULT 1,
  headers        json        DEFAULT NULL,
  event_id       uuid        DEFAULT NULL,
  occurred_at    timestamptz DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
  id uuid := COALESCE(event_id, outbox.uuid_v7());
BEGIN
  INSERT INTO outbox.event (event_id, type, aggregate_type, aggregate_id, version, occurred_at, payload, headers)
  VALUES (id, type, aggregate_type, aggregate_id, version,
          COALESCE(occurred_at, pg_catalog.clock_timestamp()), payload, headers)
  ON CONFLICT DO NOTHING;
  RETURN id;
END $$;
REVOKE ALL ON FUNCTION outbox.publish(text, text, json, text, int, json, uuid, timestamptz) FROM PUBLIC;

UPDATE outbox.meta SET schema_version = 2;
