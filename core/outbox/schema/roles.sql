-- SPDX-License-Identifier: Apache-2.0
-- Who may do what. Applied after every migration, and safe to apply again: it takes back what the five roles hold in
-- this schema and grants exactly what is listed. The roles cannot log in: grant them to the users that do.
--
--   outbox_writer    the application: may add events, may not read them
--   outbox_relay     the daemon: reads events, moves cursors, parks deliveries; cannot write or delete events
--   outbox_api       the HTTP API: states and causes, replay and discard by the functions; no payloads
--   outbox_operator  people at the commands: as outbox_api, and release, pause, resume; no payloads
--   outbox_monitor   dashboards and `postrider status`: states and counts, no payloads
DO $$
DECLARE
  granted CONSTANT text[] := ARRAY[
    ['outbox_writer', 'USAGE ON SCHEMA outbox'],
    ['outbox_writer', 'INSERT (event_id, type, aggregate_type, aggregate_id, version, occurred_at, payload, headers)'
                      ' ON outbox.event'],
    ['outbox_writer', 'SELECT (strict_types) ON outbox.meta'],
    ['outbox_writer', 'SELECT (type, version, status) ON outbox.event_type'],
    ['outbox_writer', 'EXECUTE ON FUNCTION outbox.uuid_v7()'],
    ['outbox_writer', 'EXECUTE ON FUNCTION outbox.publish(text, text, json, text, int, json, uuid, timestamptz)'],

    ['outbox_relay', 'USAGE ON SCHEMA outbox'],
    ['outbox_relay', 'SELECT ON outbox.event, outbox.meta, outbox.event_type'],
    ['outbox_relay', 'SELECT, INSERT, UPDATE ON outbox.lane, outbox.delivery'],
    ['outbox_relay', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck'],
    ['outbox_relay', 'SELECT, INSERT, UPDATE, DELETE ON outbox.relay'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.retire(interval, int)'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.rebase()'],
    ['outbox_relay', 'SELECT ON outbox.dead, outbox.held_key, outbox.event_trace, outbox.audit'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                     ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb),'
                     ' outbox.held_keys(jsonb)'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint),'
                     ' outbox.dead_discard(jsonb, text, int, bigint)'],

    ['outbox_api', 'USAGE ON SCHEMA outbox'],
    ['outbox_api', 'SELECT ON outbox.meta, outbox.event_type'],
    ['outbox_api', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck, outbox.dead, outbox.held_key,'
                   ' outbox.event_trace'],
    ['outbox_api', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                   ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb), outbox.held_keys(jsonb)'],
    ['outbox_api', 'EXECUTE ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint),'
                   ' outbox.dead_discard(jsonb, text, int, bigint)'],

    ['outbox_operator', 'USAGE ON SCHEMA outbox'],
    ['outbox_operator', 'SELECT ON outbox.meta, outbox.event_type, outbox.lane, outbox.delivery, outbox.relay,'
                        ' outbox.audit'],
    ['outbox_operator', 'SELECT (seq, event_id, type, aggregate_type, aggregate_id, version, occurred_at, xid)'
                        ' ON outbox.event'],
    ['outbox_operator', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck, outbox.dead,'
                        ' outbox.held_key, outbox.event_trace'],
    ['outbox_operator', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                        ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb),'
                        ' outbox.held_keys(jsonb)'],
    ['outbox_operator', 'EXECUTE ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint),'
                        ' outbox.dead_discard(jsonb, text, int, bigint),'
                        ' outbox.held_release(jsonb, boolean, text, int),'
                        ' outbox.lane_pause(text, text, boolean), outbox.lane_resume(text, text)'],

    ['outbox_monitor', 'USAGE ON SCHEMA outbox'],
    ['outbox_monitor', 'SELECT ON outbox.meta, outbox.event_type, outbox.lane, outbox.delivery, outbox.relay'],
    ['outbox_monitor', 'SELECT (seq, event_id, type, aggregate_type, aggregate_id, version, occurred_at, xid)'
                       ' ON outbox.event'],
    ['outbox_monitor', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck, outbox.dead,'
                       ' outbox.held_key, outbox.event_trace, outbox.audit'],
    ['outbox_monitor', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                       ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb),'
                       ' outbox.held_keys(jsonb)']
  ];
  who text;
  entry text[];
BEGIN
  FOREACH who IN ARRAY ARRAY['outbox_writer', 'outbox_relay', 'outbox_api', 'outbox_operator',
                            'outbox_monitor'] LOOP
    IF to_regrole(who) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', who);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN
          NULL; -- another database of the cluster was migrated at the same moment
        WHEN insufficient_privilege THEN
          RAISE WARNING 'role "%" is missing and user "%" cannot create it', who, current_user
            USING HINT = format('Have an administrator run CREATE ROLE %I NOLOGIN, then migrate again;'
                                ' or migrate with --no-roles and grant by hand.', who);
      END;
    END IF;
    IF to_regrole(who) IS NOT NULL THEN
      EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA outbox FROM %I', who);
      EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA outbox FROM %I', who);
      EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox FROM %I', who);
      EXECUTE format('REVOKE ALL ON SCHEMA outbox FROM %I', who);
    END IF;
  END LOOP;
  FOREACH entry SLICE 1 IN ARRAY granted LOOP
    IF to_regrole(entry[1]) IS NOT NULL THEN
      EXECUTE format('GRANT %s TO %I', entry[2], entry[1]);
    END IF;
  END LOOP;
END $$;
