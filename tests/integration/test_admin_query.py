# SPDX-License-Identifier: Apache-2.0
"""What `postrider status`, `explain` and `publish` ask of the database (core/outbox/admin_query.h)."""

import json
import os
import re
import subprocess
import uuid

import pytest


@pytest.fixture(scope="session")
def tool(build) -> str:
    path = os.path.join(build, "tests", "tools", "outbox_tool")
    assert os.access(path, os.X_OK), f"{path} is missing: build first, or set POSTRIDER_BUILD"
    return path


@pytest.fixture
def outbox(postgres, empty_template, request):
    database = postgres.create_database("q_" + request.node.name, template=empty_template)
    yield database
    database.drop()


def run(tool, *args: str) -> tuple[int, str, str]:
    done = subprocess.run([tool, *args], text=True, capture_output=True, timeout=180, check=False)
    return done.returncode, done.stdout, done.stderr


def status(tool, dsn: str) -> dict:
    code, out, err = run(tool, "status", dsn)
    assert code == 0, err
    return json.loads(out)


def as_role(outbox, role: str) -> str:
    """A connection string of a login that holds nothing but `role`."""
    login = role + "_login"
    outbox.run(f"DROP ROLE IF EXISTS {login}")
    outbox.run(f"CREATE ROLE {login} LOGIN IN ROLE {role}")
    return re.sub(r"//[^@]+@", f"//{login}@", outbox.dsn)


def publish(outbox, n: int = 1) -> list[str]:
    return [row[0] for row in outbox.run(
        "SELECT outbox.publish('T', 'R-' || i, '{}', 'request')::text FROM generate_series(1, %s) i", n)]


def test_an_empty_outbox(tool, outbox, root):
    newest = max(int(name[:3]) for name in os.listdir(os.path.join(root, "core", "outbox", "schema"))
                 if name[:3].isdigit())
    assert status(tool, outbox.dsn) == {
        "schema_version": newest, "strict_types": False, "same_cluster": True, "lanes": []}


def test_lanes_with_lease_backlog_and_deliveries(tool, outbox):
    outbox.run("INSERT INTO outbox.lane (destination, snap) VALUES ('b', '1:1:'), ('a', '1:1:')")
    publish(outbox, 3)
    outbox.run("UPDATE outbox.event SET occurred_at = now() - interval '1 hour' WHERE seq = 1")
    outbox.run("UPDATE outbox.lane SET owner = 'host/1', lease_until = now() + interval '1 hour' WHERE destination = 'a'")
    outbox.run("UPDATE outbox.lane SET owner = 'gone', lease_until = now() - interval '1 s', cause = 'unreachable'"
               " WHERE destination = 'b'")
    outbox.run("UPDATE outbox.lane SET snap = pg_current_snapshot() WHERE destination = 'a'")
    outbox.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state, cause)"
               " SELECT lane, s.seq, 'request', 'R', s.state, s.cause FROM outbox.lane,"
               " (VALUES (1, 'DEAD', 'too_large'), (2, 'RETRY', 'timeout'), (3, 'HELD', NULL)) s(seq, state, cause)"
               " WHERE destination = 'a'")
    a, b = status(tool, outbox.dsn)["lanes"]
    assert 3000000 < a.pop("lease_left_ms") <= 3600000
    # The oldest event is dead at a, and so nobody waits for it there.
    assert 0 < a.pop("oldest_pending_ms") < 600000
    assert a == {"destination": "a", "part": 0, "state": "ACTIVE", "owner": "host/1", "cause": "", "backlog": 0,
                 "backlog_capped": False,
                 "deliveries": [["DEAD", "too_large", 1], ["HELD", "", 1], ["RETRY", "timeout", 1]]}
    assert 3600000 <= b.pop("oldest_pending_ms") < 4200000
    assert b == {"destination": "b", "part": 0, "state": "ACTIVE", "owner": "", "cause": "unreachable",
                 "lease_left_ms": 0, "backlog": 3, "backlog_capped": False, "deliveries": []}


def test_events_of_an_open_transaction_are_counted_when_it_commits(tool, outbox):
    with outbox.connect() as c, c.cursor() as cursor:
        cursor.execute("SELECT outbox.publish('T', 'late', '{}')")
        outbox.run("INSERT INTO outbox.lane (destination) VALUES ('a')")
        assert status(tool, outbox.dsn)["lanes"][0]["backlog"] == 0
        c.commit()
        assert status(tool, outbox.dsn)["lanes"][0]["backlog"] == 1


def test_nothing_pending_has_no_age(tool, outbox):
    publish(outbox, 2)
    outbox.run("INSERT INTO outbox.lane (destination, snap) VALUES ('idle', pg_current_snapshot()), ('dead', '1:1:')")
    outbox.run("UPDATE outbox.lane SET snap = pg_current_snapshot() WHERE destination = 'dead'")
    outbox.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state, cause)"
               " SELECT lane, 1, 'request', 'R-1', 'DEAD', 'too_large' FROM outbox.lane WHERE destination = 'dead'")
    lanes = {lane["destination"]: lane for lane in status(tool, outbox.dsn)["lanes"]}
    assert (lanes["idle"]["backlog"], lanes["idle"]["oldest_pending_ms"]) == (0, 0)
    assert (lanes["dead"]["backlog"], lanes["dead"]["oldest_pending_ms"]) == (0, 0)
    publish(outbox)
    assert all(lane["oldest_pending_ms"] > 0 for lane in status(tool, outbox.dsn)["lanes"])


def test_a_long_backlog_is_capped_and_says_so(tool, outbox):
    outbox.run("INSERT INTO outbox.lane (destination, snap) VALUES ('a', '1:1:')")
    outbox.run("INSERT INTO outbox.event (type, aggregate_id, payload) SELECT 'T', 'a', '1'"
               " FROM generate_series(1, 100001)")
    lane = status(tool, outbox.dsn)["lanes"][0]
    assert (lane["backlog"], lane["backlog_capped"]) == (100000, True)


@pytest.mark.parametrize("role", ["outbox_monitor", "outbox_relay"])
def test_status_needs_no_more_than_its_role(tool, outbox, role):
    outbox.run("INSERT INTO outbox.lane (destination, snap) VALUES ('a', '1:1:')")
    publish(outbox)
    assert status(tool, as_role(outbox, role))["lanes"][0]["backlog"] == 1


def test_a_restore_elsewhere_shows(tool, outbox):
    outbox.run("UPDATE outbox.meta SET system_identifier = 1, strict_types = true")
    s = status(tool, outbox.dsn)
    assert (s["same_cluster"], s["strict_types"]) == (False, True)


def test_a_database_without_the_schema(tool, postgres):
    for args in (("status", postgres.dsn()), ("event", postgres.dsn(), str(uuid.uuid4())),
                 ("insert", postgres.dsn(), "T", "a", "1")):
        code, _, err = run(tool, *args)
        assert code == 1 and err.startswith("-10:") and "run postrider migrate" in err


def test_one_event_as_stored(tool, outbox):
    event_id = outbox.value("SELECT outbox.publish('T', 'a', '{ \"n\":1.0 }', 'request', 3, '{\"h\":\"v\"}',"
                            " occurred_at => '2026-11-24T03:00:49.123456Z')::text")
    code, out, _ = run(tool, "event", as_role(outbox, "outbox_relay"), event_id)
    event = json.loads(out)
    assert code == 0 and event.pop("seq") == 1
    assert event == {"event_id": event_id, "type": "T", "aggregate_type": "request", "aggregate_id": "a",
                     "version": 3, "occurred_at_us": 1795489249123456, "payload": '{ "n":1.0 }',
                     "headers": [["h", "v"]]}


@pytest.mark.parametrize("event_id,text", [(str(uuid.UUID(int=0)), "-7: no event"), ("x", "-2:")])
def test_no_such_event(tool, outbox, event_id, text):
    code, _, err = run(tool, "event", outbox.dsn, event_id)
    assert code == 1 and err.startswith(text)


def test_publish_writes_all_or_nothing(tool, outbox):
    dsn = as_role(outbox, "outbox_writer")
    code, out, _ = run(tool, "insert", dsn, "T", "a", "1", "T", "b", "2")
    assert code == 0
    assert [row[0] for row in outbox.run("SELECT event_id::text FROM outbox.event ORDER BY seq")] == out.split()
    code, _, err = run(tool, "insert", dsn, "T", "a", "1", "T", "b", "nope")
    assert code == 1 and "event 2: payload is not JSON" in err
    assert outbox.value("SELECT count(*) FROM outbox.event") == 2


def test_the_relay_may_not_publish(tool, outbox):
    code, _, err = run(tool, "insert", as_role(outbox, "outbox_relay"), "T", "a", "1")
    assert code == 1 and err.startswith("-6:") and "outbox_writer" in err
