# SPDX-License-Identifier: Apache-2.0
"""The outbox schema: rights, catalogue of types, views, rebase, retention."""

import contextlib
import os
import time
import uuid

import psycopg2
import pytest

HERE = os.path.dirname(__file__)
ROLES = ("outbox_writer", "outbox_relay", "outbox_api", "outbox_operator", "outbox_monitor", "public")


@pytest.fixture
def outbox(postgres, empty_template, request):
    """A database of this test alone, with the schema."""
    database = postgres.create_database("s_" + request.node.name, template=empty_template)
    yield database
    database.drop()


@contextlib.contextmanager
def session(outbox, role: str | None = None):
    """A cursor in a transaction of `role`, which commits at the end."""
    with contextlib.closing(outbox.connect()) as c:
        with c, c.cursor() as cursor:
            if role:
                cursor.execute(f"SET LOCAL ROLE {role}")
            yield cursor


def run_as(outbox, role: str, sql: str, *args):
    with session(outbox, role) as cursor:
        cursor.execute(sql, args or None)
        return cursor.fetchall() if cursor.description else []


def publish(outbox, agg: str = "R-1", kind: str = "REQUEST_SUBMITTED") -> str:
    return outbox.value("SELECT outbox.publish(%s, %s, '{}', 'request')::text", kind, agg)


def lane(outbox, name: str, snap: str = "1:1:") -> int:
    return outbox.value("INSERT INTO outbox.lane (destination, snap) VALUES (%s, %s)"
                        " RETURNING lane", name, snap)


def settle_all(outbox, number: int) -> None:
    outbox.run("UPDATE outbox.lane SET snap = pg_current_snapshot() WHERE lane = %s", number)


def park(outbox, number: int, event_id: str, state: str, cause: str | None = None) -> None:
    outbox.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state, cause)"
               " SELECT %s, seq, aggregate_type, aggregate_id, %s, %s FROM outbox.event"
               " WHERE event_id = %s", number, state, cause, event_id)


# Rights ------------------------------------------------------------------------------------------

def privilege_matrix(outbox) -> list[str]:
    """Everything that is granted to the roles and to everybody, one line each."""
    rows = outbox.run("""
        WITH roles(role) AS (SELECT unnest(%s)),
        grants AS (
          SELECT role, 'schema outbox' AS object, p AS privilege
          FROM roles, unnest(ARRAY['USAGE', 'CREATE']) p WHERE has_schema_privilege(role, 'outbox', p)
          UNION ALL
          SELECT role, 'table ' || c.relname, p
          FROM roles, pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
                                               'REFERENCES', 'TRIGGER']) p
          WHERE c.relnamespace = 'outbox'::regnamespace AND c.relkind IN ('r', 'v', 'p', 'm')
            AND has_table_privilege(role, c.oid, p)
          UNION ALL
          SELECT role, 'column ' || c.relname || '.' || a.attname, p
          FROM roles, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid,
               unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
          WHERE c.relnamespace = 'outbox'::regnamespace AND c.relkind IN ('r', 'v', 'p', 'm')
            AND a.attnum > 0 AND NOT a.attisdropped
            AND has_column_privilege(role, c.oid, a.attnum, p) AND NOT has_table_privilege(role, c.oid, p)
          UNION ALL
          SELECT role, 'sequence ' || c.relname, p
          FROM roles, pg_class c, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p
          WHERE c.relnamespace = 'outbox'::regnamespace AND c.relkind = 'S'
            AND has_sequence_privilege(role, c.oid, p)
          UNION ALL
          SELECT role, 'function ' || f.oid::regprocedure::text, 'EXECUTE'
          FROM roles, pg_proc f
          WHERE f.pronamespace = 'outbox'::regnamespace AND has_function_privilege(role, f.oid, 'EXECUTE'))
        SELECT role || ' | ' || object || ' | ' || string_agg(privilege, ' ' ORDER BY privilege)
        FROM grants GROUP BY role, object ORDER BY role, object COLLATE "C" """, list(ROLES))
    return [row[0] for row in rows]


def test_the_privilege_matrix_is_the_golden_one(outbox):
    found = privilege_matrix(outbox)
    with open(os.path.join(HERE, "privileges.golden"), encoding="utf-8") as f:
        golden = f.read().splitlines()
    assert found == golden, "privileges.golden holds the matrix; change it with roles.sql"


def test_one_grant_too_many_is_seen(outbox):
    before = privilege_matrix(outbox)
    outbox.run("GRANT UPDATE (payload) ON outbox.event TO outbox_writer")
    assert privilege_matrix(outbox) != before


def test_roles_sql_takes_back_what_it_does_not_list(outbox, root):
    before = privilege_matrix(outbox)
    outbox.run("GRANT ALL ON outbox.event, outbox.meta TO outbox_writer, outbox_api")
    outbox.run_file(os.path.join(root, "core", "outbox", "schema", "roles.sql"))
    assert privilege_matrix(outbox) == before


@pytest.mark.parametrize("role,sql", [
    ("outbox_writer", "INSERT INTO outbox.event (type, aggregate_id, payload, xid)"
                      " VALUES ('T', 'a', '{}', '5')"),
    ("outbox_writer", "SELECT payload FROM outbox.event"),
    ("outbox_writer", "UPDATE outbox.event SET type = 'x'"),
    ("outbox_writer", "DELETE FROM outbox.event"),
    ("outbox_writer", "UPDATE outbox.meta SET strict_types = false"),
    ("outbox_writer", "UPDATE outbox.lane SET state = 'PAUSED'"),
    ("outbox_writer", "SELECT outbox.retire('0')"),
    ("outbox_relay", "INSERT INTO outbox.event (type, aggregate_id, payload) VALUES ('T', 'a', '{}')"),
    ("outbox_relay", "SELECT outbox.publish('T', 'a', '{}')"),
    ("outbox_relay", "DELETE FROM outbox.event"),
    ("outbox_relay", "DELETE FROM outbox.delivery"),
    ("outbox_relay", "UPDATE outbox.meta SET schema_version = 9"),
    ("outbox_relay", "SELECT * FROM outbox.lane_pause('a')"),
    ("outbox_relay", "INSERT INTO outbox.audit (action, filter) VALUES ('dead.replay', '{}')"),
    ("outbox_api", "SELECT * FROM outbox.lane_resume('a')"),
    ("outbox_api", "SELECT * FROM outbox.redrive('dead.replay', '{}', '', NULL, 1, NULL)"),
    ("outbox_operator", "SELECT payload FROM outbox.event"),
    ("outbox_operator", "UPDATE outbox.delivery SET state = 'RETRY'"),
    ("outbox_operator", "DELETE FROM outbox.audit"),
    ("outbox_operator", "SELECT * FROM outbox.redrive('dead.replay', '{}', '', NULL, 1, NULL)"),
    ("outbox_monitor", "SELECT * FROM outbox.dead_replay('{\"cause\":\"timeout\"}')"),
    ("outbox_monitor", "SELECT * FROM outbox.rebase()"),
    ("outbox_relay", "SELECT outbox.redrive('dead.replay', '{}', '', NULL, 1, NULL)"),
    ("outbox_relay", "DELETE FROM outbox.subscription_secret"),
    ("outbox_relay", "DELETE FROM outbox.attempt"),
    ("outbox_writer", "SELECT FROM outbox.subscription"),
    ("outbox_api", "SELECT sealed FROM outbox.subscription_secret"),
    ("outbox_api", "UPDATE outbox.subscription_secret SET sealed = sealed || sealed"),
    ("outbox_api", "SELECT * FROM outbox.end_deliveries(1, 1, '[]', '[]')"),
    ("outbox_api", "SELECT * FROM outbox.expand(1, 1, 1, 1, true, NULL, NULL)"),
    ("outbox_api", "INSERT INTO outbox.audit (action, filter) VALUES ('subscription.create', '{}')"),
    ("outbox_api", "SELECT payload FROM outbox.event"),
    ("outbox_operator", "SELECT url FROM outbox.subscription"),
    ("outbox_operator", "SELECT headers FROM outbox.subscription"),
    ("outbox_operator", "SELECT sealed FROM outbox.subscription_secret"),
    ("outbox_operator", "UPDATE outbox.subscription SET status = 'paused'"),
    ("outbox_monitor", "SELECT url FROM outbox.subscription"),
    ("outbox_monitor", "SELECT metadata FROM outbox.subscription"),
    ("outbox_monitor", "SELECT sealed FROM outbox.subscription_secret"),
    ("outbox_monitor", "SELECT response FROM outbox.attempt"),
    ("outbox_monitor", "SELECT FROM outbox.idempotency"),
    ("outbox_api", "SELECT * FROM outbox.delivery"),
    ("outbox_api", "UPDATE outbox.delivery SET state = 'RETRY'"),
    ("outbox_monitor", "SELECT payload FROM outbox.event"),
    ("outbox_monitor", "SELECT headers FROM outbox.event"),
    ("outbox_monitor", "UPDATE outbox.delivery SET state = 'DEAD'"),
])
def test_what_is_not_granted_is_refused(outbox, role, sql):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run_as(outbox, role, sql)


def test_a_writer_cannot_set_seq(outbox):
    with pytest.raises(psycopg2.errors.GeneratedAlways):
        outbox.run("INSERT INTO outbox.event (seq, type, aggregate_id, payload)"
                   " VALUES (1, 'T', 'a', '{}')")


def test_every_security_definer_function_fixes_its_search_path(outbox):
    loose = outbox.run("SELECT proname FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace"
                       " AND prosecdef AND (proconfig IS NULL"
                       " OR NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig))")
    assert loose == []


def test_no_timestamp_without_time_zone(outbox):
    found = outbox.run("SELECT attrelid::regclass::text, attname FROM pg_attribute"
                       " JOIN pg_class c ON c.oid = attrelid WHERE c.relnamespace = 'outbox'::regnamespace"
                       " AND atttypid = 'timestamp'::regtype")
    assert found == []


# Writing -----------------------------------------------------------------------------------------

def test_publish_works_with_the_rights_of_the_writer(outbox):
    [(event_id,)] = run_as(outbox, "outbox_writer",
                           "SELECT outbox.publish('T', 'a', '{ \"n\" : 1.0 }', headers => '{\"h\":\"v\"}')::text")
    row = outbox.run("SELECT event_id::text, type, aggregate_type, aggregate_id, version, payload::text,"
                     " headers::text, xid = xmin::text::xid8 FROM outbox.event")
    assert row == [(event_id, "T", "", "a", 1, '{ "n" : 1.0 }', '{"h":"v"}', True)]


def test_plain_insert_works_with_the_rights_of_the_writer(outbox):
    run_as(outbox, "outbox_writer",
           "INSERT INTO outbox.event (type, aggregate_id, payload) VALUES ('T', 'a', '1')")
    assert outbox.value("SELECT count(*) FROM outbox.event") == 1


def test_the_same_event_id_twice_is_one_event(outbox):
    wanted = str(uuid.uuid4())
    for payload in ("1", "2"):
        assert run_as(outbox, "outbox_writer", "SELECT outbox.publish('T', 'a', %s, event_id => %s)::text",
                      payload, wanted) == [(wanted,)]
    assert outbox.run("SELECT event_id::text, payload::text FROM outbox.event") == [(wanted, "1")]


def test_ids_are_uuids_of_version_7_and_grow(outbox):
    ids = []
    for _ in range(3):
        ids.append(publish(outbox))
        time.sleep(0.003)
    assert ids == sorted(ids)
    assert {(uuid.UUID(i).version, uuid.UUID(i).variant) for i in ids} == {(7, uuid.RFC_4122)}


@pytest.mark.parametrize("sql,name", [
    ("SELECT outbox.publish('', 'a', '{}')", "event_type_length"),
    ("SELECT outbox.publish(repeat('x', 256), 'a', '{}')", "event_type_length"),
    ("SELECT outbox.publish('T', '', '{}')", "event_aggregate_id_length"),
    ("SELECT outbox.publish('T', repeat('x', 256), '{}')", "event_aggregate_id_length"),
    ("SELECT outbox.publish('T', 'a', '{}', repeat('x', 256))", "event_aggregate_type_length"),
    ("SELECT outbox.publish('T', 'a', '{}', version => 0)", "event_version_positive"),
    ("SELECT outbox.publish('T', 'a', '{}', headers => '[]')", "event_headers_object"),
    ("SELECT outbox.publish('T', 'a', '{}', occurred_at => 'infinity')", "event_occurred_at_finite"),
    (r"""SELECT outbox.publish('T', 'a', '"\u0000"')""", "event_payload_without_nul"),
    (r"""SELECT outbox.publish('T', 'a', '"a\\\u0000"')""", "event_payload_without_nul"),
    (r"""SELECT outbox.publish('T', 'a', '1', headers => '{"h":"\u0000"}')""", "event_headers_without_nul"),
])
def test_a_bad_event_is_refused_by_name(outbox, sql, name):
    with pytest.raises(psycopg2.errors.CheckViolation) as e:
        outbox.run(sql)
    assert e.value.diag.constraint_name == name


@pytest.mark.parametrize("sql,column", [
    ("SELECT outbox.publish(NULL, 'a', '{}')", "type"),
    ("SELECT outbox.publish('T', NULL, '{}')", "aggregate_id"),
    ("SELECT outbox.publish('T', 'a', NULL)", "payload"),
])
def test_a_missing_field_is_refused_by_name(outbox, sql, column):
    with pytest.raises(psycopg2.errors.NotNullViolation) as e:
        outbox.run(sql)
    assert e.value.diag.column_name == column


@pytest.mark.parametrize("payload", [r'"\\u0000"', r'"\\\\u0000"', r'"\u0001"', '"\\ud83d\\ude00"', "null", "1.0"])
def test_odd_payloads_are_kept_byte_for_byte(outbox, payload):
    outbox.run("SELECT outbox.publish('T', 'a', %s)", payload)
    assert outbox.value("SELECT payload::text FROM outbox.event") == payload


def test_a_payload_of_5_mb_is_kept(outbox):
    payload = '{"filling":"' + "x" * (5 << 20) + '"}'
    outbox.run("SELECT outbox.publish('T', 'a', %s)", payload)
    assert outbox.value("SELECT payload::text FROM outbox.event") == payload


# Catalogue of types ------------------------------------------------------------------------------

@pytest.fixture
def strict(outbox):
    outbox.run("INSERT INTO outbox.event_type (type, version, status)"
               " VALUES ('NEW', 1, 'active'), ('NEW', 2, 'active'), ('OLD', 1, 'retired')")
    outbox.run("UPDATE outbox.meta SET strict_types = true")
    return outbox


def test_strict_mode_takes_what_is_active(strict):
    run_as(strict, "outbox_writer", "SELECT outbox.publish('NEW', 'a', '1', version => 2)")
    assert strict.value("SELECT count(*) FROM outbox.event") == 1


@pytest.mark.parametrize("sql,message", [
    ("SELECT outbox.publish('OTHER', 'a', '1')", 'event type "OTHER" is unknown'),
    ("SELECT outbox.publish('NEW', 'a', '1', version => 3)", 'event type "NEW" has no version 3'),
    ("SELECT outbox.publish('OLD', 'a', '1')", 'event type "OLD" version 1 is retired'),
    ("INSERT INTO outbox.event (type, aggregate_id, payload) VALUES ('OTHER', 'a', '1')",
     'event type "OTHER" is unknown'),
])
def test_strict_mode_refuses_the_rest_by_name(strict, sql, message):
    with pytest.raises(psycopg2.errors.CheckViolation) as e:
        run_as(strict, "outbox_writer", sql)
    assert e.value.diag.message_primary == message
    assert strict.value("SELECT count(*) FROM outbox.event") == 0


def test_without_strict_mode_any_type_goes(strict):
    strict.run("UPDATE outbox.meta SET strict_types = false")
    run_as(strict, "outbox_writer", "SELECT outbox.publish('OLD', 'a', '1')")


def test_a_planted_operator_does_not_switch_the_check_off(strict):
    strict.run("GRANT CREATE ON DATABASE \"" + strict.name + "\" TO outbox_writer")
    with session(strict, "outbox_writer") as cursor:
        cursor.execute("CREATE SCHEMA evil")
        cursor.execute("CREATE FUNCTION evil.yes(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true")
        cursor.execute("CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.yes)")
        cursor.execute("CREATE TEMP TABLE meta (strict_types boolean)")
        cursor.execute("INSERT INTO meta VALUES (false)")
        cursor.execute("SET LOCAL search_path = pg_temp, evil, pg_catalog")
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute("SELECT outbox.publish('OTHER', 'a', '1')")
        cursor.connection.rollback()


# Views -------------------------------------------------------------------------------------------

def states(outbox, event_id: str) -> dict:
    return dict(outbox.run("SELECT destination, state FROM outbox.event_status WHERE event_id = %s", event_id))


def test_event_status_follows_the_cursor_and_the_deliveries(outbox):
    a, b = lane(outbox, "a"), lane(outbox, "b")
    first = publish(outbox)
    assert states(outbox, first) == {"a": "PENDING", "b": "PENDING"}
    outbox.run("UPDATE outbox.lane SET win = pg_current_snapshot(), sent_seq = 1 WHERE lane = %s", a)
    assert states(outbox, first) == {"a": "IN_FLIGHT", "b": "PENDING"}
    outbox.run("UPDATE outbox.lane SET win_seq = 1 WHERE lane = %s", a)
    assert states(outbox, first) == {"a": "PUBLISHED", "b": "PENDING"}
    settle_all(outbox, b)
    park(outbox, b, first, "RETRY", "timeout")
    assert states(outbox, first) == {"a": "PUBLISHED", "b": "RETRY"}


def test_backlog_counts_what_is_behind_the_cursor(outbox):
    a = lane(outbox, "a")
    publish(outbox), publish(outbox)
    assert outbox.run("SELECT destination, state, events FROM outbox.backlog") == [("a", "ACTIVE", 2)]
    settle_all(outbox, a)
    publish(outbox)
    assert outbox.run("SELECT events FROM outbox.backlog") == [(1,)]


def test_stuck_names_the_cause_of_each(outbox):
    a = lane(outbox, "a")
    first, second, third, dead = (publish(outbox, g) for g in ("R-1", "R-1", "R-2", "R-3"))
    stuck = "SELECT event_id::text, state, cause FROM outbox.stuck ORDER BY seq"
    assert {row[1:] for row in outbox.run(stuck)} == {("PENDING", "lease_unowned")}

    outbox.run("UPDATE outbox.lane SET owner = 'r1', lease_until = now() + interval '1 hour'")
    assert {row[2] for row in outbox.run(stuck)} == {"in_progress"}
    outbox.run("UPDATE outbox.lane SET cause = 'unreachable'")
    assert {row[2] for row in outbox.run(stuck)} == {"unreachable"}
    outbox.run("UPDATE outbox.lane SET cause = NULL")

    settle_all(outbox, a)
    park(outbox, a, first, "RETRY", "timeout")
    park(outbox, a, second, "HELD")
    park(outbox, a, dead, "DEAD", "rejected_4xx")
    park(outbox, a, third, "DELIVERED")
    assert outbox.run(stuck) == [(first, "RETRY", "timeout"), (second, "HELD", "key_held_by:" + first),
                                 (dead, "DEAD", "rejected_4xx")]
    assert outbox.run("SELECT key, attempts, next_attempt IS NOT NULL FROM outbox.stuck ORDER BY seq") == [
        ("request/R-1", 0, True), ("request/R-1", 0, False), ("request/R-3", 0, False)]
    outbox.run("UPDATE outbox.lane SET state = 'PAUSED'")
    assert [row[2] for row in outbox.run(stuck)] == ["paused", "paused", "rejected_4xx"]


def test_every_role_that_may_look_sees_the_views(outbox):
    lane(outbox, "a")
    publish(outbox)
    for role in ("outbox_relay", "outbox_api", "outbox_monitor"):
        for view in ("stuck", "backlog", "event_status"):
            assert len(run_as(outbox, role, f"SELECT * FROM outbox.{view}")) == 1


# Retention ---------------------------------------------------------------------------------------

def retire(outbox, keep: str = "0", page: int = 10000) -> int:
    return run_as(outbox, "outbox_relay", "SELECT outbox.retire(%s, %s)", keep, page)[0][0]


def left(outbox) -> list[str]:
    return [row[0] for row in outbox.run("SELECT aggregate_id FROM outbox.event ORDER BY seq")]


def test_retire_keeps_what_any_lane_has_not_settled(outbox):
    a, b = lane(outbox, "a"), lane(outbox, "b")
    publish(outbox, "R-1")
    settle_all(outbox, a)
    assert retire(outbox) == 0
    settle_all(outbox, b)
    publish(outbox, "R-2")
    assert (retire(outbox), left(outbox)) == (1, ["R-2"])


def test_retire_keeps_what_an_open_delivery_names(outbox):
    a = lane(outbox, "a")
    for agg, state in (("R-1", "DEAD"), ("R-2", "RETRY"), ("R-3", "DISCARDED"), ("R-4", "DELIVERED")):
        park(outbox, a, publish(outbox, agg), state)
    settle_all(outbox, a)
    assert (retire(outbox), left(outbox)) == (2, ["R-1", "R-2"])
    assert outbox.run("SELECT state FROM outbox.delivery ORDER BY seq") == [("DEAD",), ("RETRY",)]


def test_retire_looks_behind_pages_of_dead_letters(outbox):
    a = lane(outbox, "a")
    for i in range(5):
        park(outbox, a, publish(outbox, f"R-{i}"), "DEAD")
    publish(outbox, "R-5"), publish(outbox, "R-6")
    settle_all(outbox, a)
    assert [retire(outbox, page=2) for _ in range(3)] == [1, 1, 0]
    assert left(outbox) == [f"R-{i}" for i in range(5)]


def test_retire_keeps_the_young(outbox):
    a = lane(outbox, "a")
    outbox.run("SELECT outbox.publish('T', 'old', '1', occurred_at => now() - interval '2 days')")
    publish(outbox, "young")
    settle_all(outbox, a)
    assert (retire(outbox, "1 day"), left(outbox)) == (1, ["young"])


def test_retire_deletes_nothing_while_there_is_no_lane(outbox):
    publish(outbox)
    assert (retire(outbox), len(left(outbox))) == (0, 1)


def test_retire_refuses_nonsense(outbox):
    for keep, page in (("-1 day", 10), ("0", 0)):
        with pytest.raises(psycopg2.errors.InvalidParameterValue):
            retire(outbox, keep, page)


def test_retire_keeps_an_open_transaction_s_event_when_it_commits_late(outbox):
    a = lane(outbox, "a")
    with contextlib.closing(outbox.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT outbox.publish('T', 'late', '1')")
        publish(outbox, "early")
        settle_all(outbox, a)
        c.commit()
    assert (retire(outbox), left(outbox)) == (1, ["late"])


# Another cluster ---------------------------------------------------------------------------------

def test_rebase_finds_what_was_not_delivered(outbox):
    a = lane(outbox, "a")
    ids = [publish(outbox, f"R-{i}") for i in range(4)]
    # As a restore from a cluster with a far higher counter leaves it: the first is settled by snap, the second
    # by the window, the third lies behind win_seq, the fourth was never seen.
    for i, event_id in enumerate(ids):
        outbox.run("UPDATE outbox.event SET xid = %s WHERE event_id = %s", str(9000000 + i), event_id)
    outbox.run("UPDATE outbox.lane SET snap = '9000001:9000001:', win = '9000003:9000003:', win_seq = 2,"
               " owner = 'gone', token = 7")
    outbox.run("UPDATE outbox.meta SET system_identifier = 1")
    new = publish(outbox, "R-9")
    assert outbox.run("SELECT events FROM outbox.backlog") == [(2,)]  # the new one is not seen

    assert outbox.run("SELECT * FROM outbox.rebase()") == [(a, "a", 3)]
    assert [row[0] for row in outbox.run(
        "SELECT e.event_id::text FROM outbox.delivery d JOIN outbox.event e USING (seq)"
        " WHERE d.state = 'PENDING' ORDER BY seq")] == ids[2:] + [new]
    assert outbox.run("SELECT owner, token, win FROM outbox.lane") == [(None, 8, None)]
    after = publish(outbox, "R-10")
    assert outbox.run("SELECT events FROM outbox.backlog") == [(1,)]
    assert states(outbox, after) == {"a": "PENDING"}
    with pytest.raises(psycopg2.errors.RaiseException, match="already belongs to this cluster"):
        outbox.run("SELECT * FROM outbox.rebase()")
