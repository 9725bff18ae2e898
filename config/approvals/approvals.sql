-- SPDX-License-Identifier: Apache-2.0
-- The reference domain: requests that people approve or reject task by task.
--
--     psql -X -v ON_ERROR_STOP=1 -1 -f approvals.sql        after `postrider migrate`; may be repeated
--
--     SELECT approvals.submit_request('New laptops', 'ann');                      -- REQUEST_SUBMITTED
--     SELECT approvals.assign_task(<request>, 'bob');                             -- TASK_ASSIGNED
--     SELECT approvals.decide_task(<task>, 'APPROVED', 'within budget');          -- TASK_DECIDED, and after the
--                                                          last task REQUEST_APPROVED or REQUEST_REJECTED
--
-- Each function locks the request first, then changes state, then publishes: all events of a request carry its
-- id as aggregate and leave the database in the order of its commits.

CREATE SCHEMA IF NOT EXISTS approvals;

CREATE TABLE IF NOT EXISTS approvals.request (
  id           uuid        PRIMARY KEY,
  title        text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
  submitted_by text        NOT NULL CHECK (char_length(submitted_by) BETWEEN 1 AND 100),
  state        text        NOT NULL DEFAULT 'SUBMITTED' CHECK (state IN ('SUBMITTED', 'APPROVED', 'REJECTED')),
  submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_at    timestamptz
);

CREATE TABLE IF NOT EXISTS approvals.task (
  id          uuid        PRIMARY KEY,
  request_id  uuid        NOT NULL REFERENCES approvals.request,
  assignee    text        NOT NULL CHECK (char_length(assignee) BETWEEN 1 AND 100),
  decision    text        CHECK (decision IN ('APPROVED', 'REJECTED')),
  comment     text        CHECK (char_length(comment) <= 1000),
  assigned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  decided_at  timestamptz,
  UNIQUE (request_id, assignee),
  CHECK ((decision IS NULL) = (decided_at IS NULL))
);

INSERT INTO outbox.event_type (type, version, description) VALUES
  ('REQUEST_SUBMITTED', 1, 'somebody asks for an approval'),
  ('TASK_ASSIGNED',     1, 'somebody is asked to decide about a request'),
  ('TASK_DECIDED',      1, 'an assignee has decided'),
  ('REQUEST_APPROVED',  1, 'every task of a request was approved'),
  ('REQUEST_REJECTED',  1, 'every task of a request is decided, and at least one was rejected')
ON CONFLICT DO NOTHING;

-- Locks the request until the end of the transaction; from here on nobody else adds an event to it.
CREATE OR REPLACE FUNCTION approvals.lock_open_request(request_id uuid) RETURNS approvals.request
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  request approvals.request;
BEGIN
  SELECT * INTO request FROM approvals.request r WHERE r.id = request_id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'request % does not exist', request_id USING ERRCODE = 'no_data_found';
  END IF;
  IF request.state <> 'SUBMITTED' THEN
    RAISE EXCEPTION 'request % is already %', request_id, lower(request.state)
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN request;
END $$;

CREATE OR REPLACE FUNCTION approvals.submit_request(
  title text, submitted_by text, request_id uuid DEFAULT gen_random_uuid()
) RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  INSERT INTO approvals.request (id, title, submitted_by) VALUES (request_id, title, submitted_by);
  PERFORM outbox.publish('REQUEST_SUBMITTED', request_id::text, json_build_object(
    'requestId', request_id, 'title', title, 'submittedBy', submitted_by), 'request');
  RETURN request_id;
END $$;

CREATE OR REPLACE FUNCTION approvals.assign_task(
  request_id uuid, assignee text, task_id uuid DEFAULT gen_random_uuid()
) RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM approvals.lock_open_request(request_id);
  IF EXISTS (SELECT FROM approvals.task t WHERE t.request_id = request_id AND t.assignee = assignee) THEN
    RAISE EXCEPTION 'request % is already assigned to %', request_id, assignee USING ERRCODE = 'unique_violation';
  END IF;
  INSERT INTO approvals.task (id, request_id, assignee) VALUES (task_id, request_id, assignee);
  PERFORM outbox.publish('TASK_ASSIGNED', request_id::text, json_build_object(
    'requestId', request_id, 'taskId', task_id, 'assignee', assignee), 'request');
  RETURN task_id;
END $$;

-- Approves or rejects a request whose tasks are all decided. The caller holds its lock. Returns its state.
CREATE OR REPLACE FUNCTION approvals.close_if_decided(request_id uuid) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  tasks       int;
  open_tasks  int;
  rejected_by json;
  verdict     text;
BEGIN
  SELECT count(*), count(*) FILTER (WHERE t.decision IS NULL),
         json_agg(t.assignee ORDER BY t.decided_at, t.id) FILTER (WHERE t.decision = 'REJECTED')
  INTO tasks, open_tasks, rejected_by
  FROM approvals.task t WHERE t.request_id = request_id;
  IF open_tasks > 0 THEN
    RETURN 'SUBMITTED';
  END IF;
  verdict := CASE WHEN rejected_by IS NULL THEN 'APPROVED' ELSE 'REJECTED' END;
  UPDATE approvals.request r SET state = verdict, closed_at = clock_timestamp() WHERE r.id = request_id;
  IF verdict = 'APPROVED' THEN
    PERFORM outbox.publish('REQUEST_APPROVED', request_id::text, json_build_object(
      'requestId', request_id, 'tasks', tasks), 'request');
  ELSE
    PERFORM outbox.publish('REQUEST_REJECTED', request_id::text, json_build_object(
      'requestId', request_id, 'tasks', tasks, 'rejectedBy', rejected_by), 'request');
  END IF;
  RETURN verdict;
END $$;

-- Records a decision and returns the state of the request after it.
CREATE OR REPLACE FUNCTION approvals.decide_task(task_id uuid, decision text, comment text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  request_id uuid := (SELECT t.request_id FROM approvals.task t WHERE t.id = task_id);
  task       approvals.task;
BEGIN
  IF decision IS NULL OR decision NOT IN ('APPROVED', 'REJECTED') THEN
    RAISE EXCEPTION 'a decision is APPROVED or REJECTED, not "%"', decision
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF request_id IS NULL THEN
    RAISE EXCEPTION 'task % does not exist', task_id USING ERRCODE = 'no_data_found';
  END IF;
  PERFORM approvals.lock_open_request(request_id);
  SELECT * INTO task FROM approvals.task t WHERE t.id = task_id; -- again: it may have changed before the lock
  IF task.decision IS NOT NULL THEN
    RAISE EXCEPTION 'task % is already %', task_id, lower(task.decision)
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  UPDATE approvals.task t SET decision = decision, comment = comment, decided_at = clock_timestamp()
  WHERE t.id = task_id;
  PERFORM outbox.publish('TASK_DECIDED', request_id::text, json_strip_nulls(json_build_object(
    'requestId', request_id, 'taskId', task_id, 'decidedBy', task.assignee, 'decision', decision,
    'comment', comment)), 'request');
  RETURN approvals.close_if_decided(request_id);
END $$;
