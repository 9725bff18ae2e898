-- SPDX-License-Identifier: Apache-2.0
-- Who may do what. Applied after every migration, and safe to apply again: it takes back what the five roles hold in
-- this schema and grants exactly what is listed. The roles cannot log in: grant them to the users that do.
--
--   outbox_writer    the application: may add events, may not read them
--   outbox_relay     the daemon: reads events, moves cursors, parks deliveries; cannot write or delete events. The only
--                    one that reads sealed secrets
--   outbox_api       the HTTP API: states and causes, replay and discard by the functions, subscriptions; may write
--                    secrets, but not read them; no payloads
--   outbox_operator  people at the commands: states and causes, replay and discard, release, pause, resume; no
--                    payloads, and neither URLs nor headers of subscriptions, which can be credentials
--   outbox_monitor   dashboards and `postrider status`: states and counts; what outbox_operator sees
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
    ['outbox_relay', 'SELECT ON outbox.dead, outbox.held_key, outbox.event_trace, outbox.audit,'
                     ' outbox.subscription_delivery, outbox.operation_progress'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                     ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb),'
                     ' outbox.held_keys(jsonb)'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint),'
                     ' outbox.dead_discard(jsonb, text, int, bigint)'],
    ['outbox_relay', 'SELECT, INSERT, UPDATE ON outbox.subscription, outbox.subscription_secret,'
                     ' outbox.subscription_health, outbox.operation, outbox.idempotency'],
    ['outbox_relay', 'SELECT, INSERT ON outbox.attempt'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.uuid_v7(), outbox.like_any(text[]), outbox.filter_view(outbox.event),'
                     ' outbox.filter_takes(jsonpath, jsonb), outbox.filter_takes(jsonpath, outbox.event),'
                     ' outbox.expand_events(outbox.lane, bigint[], boolean), outbox.expansion_page(text, bigint[]),'
                     ' outbox.expand(int, bigint, bigint, int, boolean, text, text),'
                     ' outbox.tidy_subscriptions(int, bigint, boolean, text[], text[]),'
                     ' outbox.end_deliveries(int, bigint, json, json),'
                     ' outbox.disable_subscription(bigint, text),'
                     ' outbox.note_change(text, text, jsonb, bigint)'],
    ['outbox_relay', 'EXECUTE ON FUNCTION outbox.run_operation(int), outbox.sweep_deleted(int),'
                     ' outbox.operation_page(outbox.lane, outbox.subscription, outbox.operation, bigint, bigint[],'
                     ' pg_snapshot, bigint),'
                     ' outbox.operation_rows(outbox.lane, outbox.subscription, outbox.operation, bigint, bigint[],'
                     ' pg_snapshot),'
                     ' outbox.operation_scan(outbox.subscription, outbox.operation, bigint),'
                     ' outbox.operation_takes(outbox.subscription, outbox.operation, bigint, xid8, text, timestamptz),'
                     ' outbox.looks_at_log(outbox.subscription, outbox.operation),'
                     ' outbox.order_keys(int, bigint, bigint[], boolean), outbox.clean_subscriptions(),'
                     ' outbox.redeliver(int, bigint, bigint, text), outbox.cancel_operation(text, text),'
                     ' outbox.recover(text, text, timestamptz, timestamptz, text[], real, text, boolean, bigint),'
                     ' outbox.put_event_types(json, text)'],

    ['outbox_api', 'USAGE ON SCHEMA outbox'],
    ['outbox_api', 'SELECT ON outbox.meta, outbox.event_type'],
    ['outbox_api', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck, outbox.dead, outbox.held_key,'
                   ' outbox.event_trace'],
    ['outbox_api', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                   ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb), outbox.held_keys(jsonb)'],
    ['outbox_api', 'EXECUTE ON FUNCTION outbox.dead_replay(jsonb, text, int, int, bigint),'
                   ' outbox.dead_discard(jsonb, text, int, bigint)'],
    ['outbox_api', 'SELECT (lane, destination, part, parts, state, snap, win, win_seq) ON outbox.lane'],
    ['outbox_api', 'SELECT (seq, event_id, type, aggregate_type, aggregate_id, version, occurred_at, xid)'
                   ' ON outbox.event'],
    ['outbox_api', 'SELECT (lane, seq, subscription, state) ON outbox.delivery'],
    ['outbox_api', 'SELECT, INSERT, UPDATE ON outbox.subscription, outbox.operation, outbox.idempotency'],
    ['outbox_api', 'SELECT (secret, subscription, id, key_number, created_at, expires_at), INSERT, UPDATE'
                   ' ON outbox.subscription_secret'],
    ['outbox_api', 'SELECT, UPDATE ON outbox.subscription_health'],
    ['outbox_api', 'SELECT, INSERT ON outbox.attempt'],
    ['outbox_api', 'EXECUTE ON FUNCTION outbox.uuid_v7(), outbox.like_any(text[]),'
                   ' outbox.disable_subscription(bigint, text), outbox.note_change(text, text, jsonb, bigint),'
                   ' outbox.redeliver(int, bigint, bigint, text), outbox.cancel_operation(text, text),'
                   ' outbox.recover(text, text, timestamptz, timestamptz, text[], real, text, boolean, bigint),'
                   ' outbox.put_event_types(json, text)'],
    ['outbox_api', 'SELECT ON outbox.subscription_delivery, outbox.operation_progress'],

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
                        ' outbox.lane_pause(text, text, boolean), outbox.lane_resume(text, text),'
                        ' outbox.redeliver(int, bigint, bigint, text), outbox.cancel_operation(text, text),'
                        ' outbox.recover(text, text, timestamptz, timestamptz, text[], real, text, boolean, bigint)'],
    ['outbox_operator', 'SELECT (subscription, id, destination, uid, status, status_reason, status_changed_at, event_types,'
                        ' type_patterns, description, ordering, retry_schedule, max_in_flight, rate_per_second, burst,'
                        ' timeout_ms, signatures, keep_responses, disable_after_s, start_from, start_at, start_snap,'
                        ' missed_snap, missed_seq, absences, left_seq, backfill, version, created_at, updated_at, deleted_at, swept_at, host)'
                        ' ON outbox.subscription'],
    ['outbox_operator', 'SELECT (secret, subscription, id, key_number, created_at, expires_at)'
                        ' ON outbox.subscription_secret'],
    ['outbox_operator', 'SELECT ON outbox.subscription_health, outbox.operation, outbox.subscription_delivery,'
                        ' outbox.operation_progress'],
    ['outbox_operator', 'SELECT (attempt, subscription, lane, seq, number, trigger, outcome, started_at, dns_us, connect_us,'
                        ' tls_us, first_byte_us, total_us, remote, reused, requests, http_status, category, cause, error,'
                        ' retry_after_ms, next_attempt_at) ON outbox.attempt'],

    ['outbox_monitor', 'USAGE ON SCHEMA outbox'],
    ['outbox_monitor', 'SELECT ON outbox.meta, outbox.event_type, outbox.lane, outbox.delivery, outbox.relay'],
    ['outbox_monitor', 'SELECT (seq, event_id, type, aggregate_type, aggregate_id, version, occurred_at, xid)'
                       ' ON outbox.event'],
    ['outbox_monitor', 'SELECT ON outbox.event_status, outbox.backlog, outbox.stuck, outbox.dead,'
                       ' outbox.held_key, outbox.event_trace, outbox.audit'],
    ['outbox_monitor', 'EXECUTE ON FUNCTION outbox.like_of(text), outbox.check_filter(jsonb, text[], boolean),'
                       ' outbox.check_dead_filter(jsonb, boolean), outbox.dead_letters(jsonb),'
                       ' outbox.held_keys(jsonb)'],
    ['outbox_monitor', 'SELECT (subscription, id, destination, uid, status, status_reason, status_changed_at, event_types,'
                       ' type_patterns, description, ordering, retry_schedule, max_in_flight, rate_per_second, burst,'
                       ' timeout_ms, signatures, keep_responses, disable_after_s, start_from, start_at, start_snap,'
                       ' missed_snap, missed_seq, absences, left_seq, backfill, version, created_at, updated_at, deleted_at, swept_at, host)'
                       ' ON outbox.subscription'],
    ['outbox_monitor', 'SELECT (secret, subscription, id, key_number, created_at, expires_at)'
                       ' ON outbox.subscription_secret'],
    ['outbox_monitor', 'SELECT ON outbox.subscription_health, outbox.operation, outbox.subscription_delivery,'
                       ' outbox.operation_progress'],
    ['outbox_monitor', 'SELECT (attempt, subscription, lane, seq, number, trigger, outcome, started_at, dns_us, connect_us,'
                       ' tls_us, first_byte_us, total_us, remote, reused, requests, http_status, category, cause, error,'
                       ' retry_after_ms, next_attempt_at) ON outbox.attempt']
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
