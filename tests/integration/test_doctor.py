# SPDX-License-Identifier: Apache-2.0
"""`postrider doctor`, `stuck` and `trace` name what is staged here: each cause, and who holds it."""

import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from harness import ports
from harness.api import partners
from harness.relay import run
from harness.secrets import KeyRing
from harness.sinks import wait_settled
from harness.wait import wait_until

QUICK = {"retry": {"initial": "20ms", "max": "50ms", "max_attempts": 2}}
# A busy machine is no finding: the relay renews its lease in time.
STEADY = {"lease": "60s"}


class Doctor:
    """The command; findings() as dicts, without those that are well."""

    def __init__(self, binary):
        self.binary = binary

    def report(self, *args: str, status: int | None = None) -> dict:
        done = run(self.binary, "doctor", "--json", *args)
        assert done.returncode in (0, 1, 2), (done.stdout, done.stderr)
        report = json.loads(done.stdout)
        assert ["ok", "warning", "critical"][done.returncode] == report["status"]
        if status is not None:
            assert done.returncode == status, report["findings"]
        return report

    def findings(self, *args: str) -> list[dict]:
        return [f for f in self.report(*args)["findings"] if f["severity"] != "ok"]

    def waits_for(self, check: str, *words: str, severity: str = "critical", args=(), timeout: float = 60) -> dict:
        """The first finding of `check` whose words are all there; prints it as people see it."""
        def look():
            for f in self.findings(*args):
                line = f"{f['subject']}: {f['text']} -> {f['advice']}"
                if f["check"] == check and all(w in line for w in words):
                    return f
            raise AssertionError([f"{f['check']} {f['subject']}: {f['text']}" for f in self.findings(*args)])
        found = wait_until(look, f"doctor says {words} of {check}", timeout, every=0.3)
        print(f"{found['severity']:9} {found['check']:13} {found['subject']}: {found['text']}\n"
              f"{'':24}-> {found['advice']}")
        assert found["severity"] == severity
        assert found["advice"]
        return found


@pytest.fixture
def doctor(postrider):
    return Doctor(postrider)


def config(relay) -> tuple[str, str]:
    return "-c", relay.config_path


def publish(db, key: str = "k", n: int = 1) -> str:
    return db.value("SELECT outbox.publish('order.paid', %s, json_build_object('n', %s), 'order')::text", key, n)


def test_all_is_well(db, doctor, relay_of, file):
    relay = relay_of([file], source=STEADY)
    publish(db)
    wait_settled(db, [file])
    wait_until(lambda: doctor.report(*config(relay), status=0), "all is well")
    assert {f["severity"] for f in doctor.report(*config(relay), status=0)["findings"]} == {"ok"}
    done = run(doctor.binary, "doctor", *config(relay))
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"^ok +connection +PostgreSQL \d+", done.stdout)


def test_no_database(doctor):
    port = ports.take()
    report = doctor.report("--dsn", f"postgresql://x@127.0.0.1:{port}/x", status=2)
    assert [f["check"] for f in report["findings"]] == ["connection"]


def test_no_schema(doctor, postgres):
    report = doctor.report("--dsn", postgres.dsn(), status=2)
    by_check = {f["check"]: f for f in report["findings"]}
    assert by_check["schema"]["advice"] == "run postrider migrate"
    assert by_check["transactions"]["severity"] == "ok", "what needs no schema is still looked at"


def test_an_older_schema(doctor, db):
    db.run("UPDATE outbox.meta SET schema_version = 4")
    doctor.waits_for("schema", "version 4", "migrate", args=("--dsn", db.dsn))


def test_an_uncommitted_write_in_another_database(db, doctor, postgres):
    other = postgres.create_database("elsewhere")
    with contextlib.closing(other.connect(application_name="billing")) as c, c.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a int)")
        pid = c.get_backend_pid()
        doctor.waits_for("transactions", f"pid {pid}", "billing", "database elsewhere", "idle in transaction",
                         "pg_terminate_backend", severity="warning", args=("--dsn", db.dsn, "--slow", "1s"))
    other.drop()


def test_an_uncommitted_event(db, doctor):
    with contextlib.closing(db.connect(application_name="shop")) as c, c.cursor() as cursor:
        cursor.execute("SELECT outbox.publish('T', 'late', '{}')")
        doctor.waits_for("transactions", "shop", "not delivered before it commits", severity="warning",
                         args=("--dsn", db.dsn, "--slow", "1s"))


def test_an_orphaned_prepared_transaction(db, doctor):
    with contextlib.closing(db.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT outbox.publish('T', 'late', '{}')")
        cursor.execute("PREPARE TRANSACTION 'gid-of-nobody'")
    doctor.waits_for("prepared", "gid-of-nobody", f"database {db.name}", "ROLLBACK PREPARED", severity="warning",
                     args=("--dsn", db.dsn, "--slow", "1s"))


def claimed(db) -> None:
    wait_until(lambda: db.value("SELECT count(owner) FROM outbox.lane") == 1, "the lane is claimed")


def test_a_lease_held_by_a_stopped_process(db, doctor, relay_of, file):
    relay = relay_of([file])
    claimed(db)
    relay.signal(signal.SIGSTOP)
    try:
        doctor.waits_for("leases", "file", f":{relay.pid}:", "still connected", "let its lease run out", "stopped or hung",
                         f"process {relay.pid} on host", args=config(relay))
        publish(db)
        stuck = json.loads(run(doctor.binary, "stuck", "--json", "--dsn", db.dsn).stdout)["groups"]
        assert [g["cause"] for g in stuck] == ["lease_unowned"]
    finally:
        relay.signal(signal.SIGCONT)


def test_a_lease_left_by_a_killed_process(db, doctor, relay_of, file):
    relay = relay_of([file])
    claimed(db)
    relay.kill9()
    doctor.waits_for("leases", "file", "let its lease run out", "its connection is gone", args=config(relay))


def test_a_lane_without_an_owner(db, doctor, relay_of, file):
    relay = relay_of([file])
    claimed(db)
    relay.term()
    doctor.waits_for("lanes", "file", "no relay has the lane", "postrider run", args=config(relay))
    doctor.waits_for("relays", "no relay has been alive", args=config(relay))


def test_a_paused_lane(db, doctor, relay_of, file):
    relay = relay_of([file])
    claimed(db)
    assert run(doctor.binary, "pause", "file", "--dsn", db.dsn).returncode == 0
    doctor.waits_for("paused", "file", "by cli ", "postrider resume file", severity="warning", args=config(relay))


def test_an_endpoint_that_is_down(db, doctor, relay_of, hook):
    hook.receiver.down()
    relay = relay_of([hook])
    publish(db)
    doctor.waits_for("destinations", "hook", "unreachable", "1 events wait", args=config(relay))


def test_a_held_key(db, doctor, relay_of, hook):
    hook.receiver.status = 422
    relay = relay_of([hook], extra={**QUICK, "on_dead": "hold"})
    first, _second = publish(db, "R-1", 1), publish(db, "R-1", 2)
    doctor.waits_for("held keys", "hook", "1 events of order/R-1", first, "DEAD", "held release",
                     severity="warning", args=config(relay))
    doctor.waits_for("dead letters", "hook", "1 dead letters", "rejected_4xx", severity="warning",
                     args=config(relay))


def test_a_missing_grant(db, doctor, relay_of, file):
    db.run("DROP ROLE IF EXISTS poor_relay")
    db.run("CREATE ROLE poor_relay LOGIN")
    db.run("GRANT USAGE ON SCHEMA outbox TO poor_relay")
    db.run("GRANT SELECT ON ALL TABLES IN SCHEMA outbox TO poor_relay")
    dsn = re.sub(r"//[^@]+@", "//poor_relay@", db.dsn)
    relay = relay_of([file], start=False, source={"dsn": dsn})
    found = doctor.waits_for("privileges", "UPDATE on outbox.lane", "GRANT outbox_relay TO poor_relay",
                             args=config(relay))
    assert "INSERT on outbox.delivery" in found["text"] and "SELECT on" not in found["text"]
    doctor.waits_for("privileges", "cannot see the sessions", severity="warning", args=config(relay))
    db.run("DROP OWNED BY poor_relay")
    db.run("DROP ROLE poor_relay")


def test_every_role_that_may_look_gets_an_answer(db, doctor, relay_of, file):
    relay_of([file], source=STEADY)
    claimed(db)
    for role in ("outbox_operator", "outbox_monitor", "outbox_relay"):
        db.run(f"DROP ROLE IF EXISTS {role}_look")
        db.run(f"CREATE ROLE {role}_look LOGIN IN ROLE {role}")
        dsn = re.sub(r"//[^@]+@", f"//{role}_look@", db.dsn)
        wait_until(lambda who=dsn: {f["check"] for f in doctor.findings("--dsn", who)} <= {"privileges"}, "it may look")
        for command in ("stuck", "status", "dead list", "held list"):
            assert run(doctor.binary, *command.split(), "--dsn", dsn).returncode == 0
        db.run(f"DROP ROLE {role}_look")


def test_a_restore_from_another_cluster(db, doctor):
    db.run("UPDATE outbox.meta SET system_identifier = 1")
    doctor.waits_for("cluster", "outbox.rebase()", args=("--dsn", db.dsn))


def test_a_lane_that_is_not_configured(db, doctor, relay_of, file):
    relay = relay_of([file])
    db.run("INSERT INTO outbox.lane (destination) VALUES ('forgotten')")
    doctor.waits_for("lanes", "forgotten", "names no such destination", args=config(relay))


def test_retention_that_is_held_back(db, doctor, relay_of, file, hook):
    hook.receiver.down()
    relay = relay_of([file, hook], source={"retention": "0"})
    publish(db)
    doctor.waits_for("retention", "hook", severity="warning", args=(*config(relay), "--slow", "1s"))


def test_retention_that_a_subscription_holds_back(db, doctor, relay_of, ring):
    relay = relay_of([partners()], webhooks={"key_ring": ring.path}, source={"retention": "0"})
    ring.subscribe(db, "https://a.example/SECRET", uid="off", status="paused")
    publish(db)
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery") == 1, "it is queued")
    args = (*config(relay), "--slow", "1s")
    doctor.waits_for("retention", "partners sub_", "is paused, and its deliveries keep the log", severity="warning",
                     args=args)
    assert relay.term() == 0  # or it would work the operation off
    db.run("INSERT INTO outbox.operation (subscription, kind, include, rate_per_second)"
           " SELECT subscription, 'recover', 'missed', 1 FROM outbox.subscription")
    db.run("UPDATE outbox.delivery SET state = 'DEAD'")
    doctor.waits_for("retention", "partners sub_", "its recover op_", severity="warning", args=args)


def test_a_pooler_in_between(db, doctor, tmp_path):
    port = ports.take()
    ini = tmp_path / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n* = host=127.0.0.1 port={db.server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\nlogfile = pgbouncer.log\n")
    ini.write_text(ini.read_text().replace("* = host", f"{db.name} = user=postrider host"))
    os.chmod(tmp_path, 0o777)
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    for folder in tmp_path.parents:
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)
    pooler = subprocess.Popen(["/usr/sbin/pgbouncer", str(ini)], cwd=tmp_path, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, **user)
    try:
        dsn = f"postgresql://postrider@127.0.0.1:{port}/{db.name}"
        doctor.waits_for("connection", "pooler", "directly", severity="warning", args=("--dsn", dsn))
    finally:
        pooler.terminate()
        pooler.wait(timeout=10)
        ports.release(port)


# Brokers -----------------------------------------------------------------------------------------

def test_a_memory_alarm(db, doctor, relay_of, queue):
    relay = relay_of([queue])
    publish(db)
    wait_settled(db, [queue])
    queue.broker.block_publishers()
    try:
        # The broker says so to a connection that publishes: what came before the alarm tells nobody.
        wait_until(lambda: publish(db) and db.value("SELECT cause FROM outbox.lane") == "destination_blocked",
                   "the relay is told", every=0.5)
        doctor.waits_for("destinations", "queue", "destination_blocked", "alarm", args=config(relay))
    finally:
        queue.broker.unblock_publishers()
    wait_settled(db, [queue])


def test_a_missing_exchange(db, doctor, relay_of, queue):
    relay = relay_of([queue], extra={"options": {"exchange": "nowhere"}}, start=False)
    relay.config["destinations"][0]["options"]["exchange"] = "nowhere"
    relay.write_config()
    relay.start()
    publish(db)
    doctor.waits_for("deliveries", "queue", "no_route", "exchange", args=config(relay))


@pytest.mark.kafka
def test_an_unknown_topic(db, doctor, relay_of, kafka_server):
    from harness import relay as relays
    relay = relay_of([relays.kafka("topic", kafka_server, "no-such-topic")])
    publish(db)
    doctor.waits_for("deliveries", "topic", "topic_missing", "create the topic", args=config(relay), timeout=120)


# Trace -------------------------------------------------------------------------------------------

def trace(doctor, db, event: str) -> dict:
    done = run(doctor.binary, "trace", event, "--json", "--dsn", db.dsn)
    assert done.returncode == 0, done.stderr
    return {d["destination"]: d for d in json.loads(done.stdout)["destinations"]}


def test_trace_tells_each_destination_apart(db, doctor, relay_of, file, hook):
    hook.receiver.status = 422
    relay_of([file, hook], extra={**QUICK, "on_dead": "hold"})
    first, second = publish(db, "R-1", 1), publish(db, "R-1", 2)
    wait_until(lambda: trace(doctor, db, first)["hook"]["state"] == "DEAD", "it is dead")
    wait_until(lambda: trace(doctor, db, second)["hook"]["state"] == "HELD", "the next is held")
    wait_until(lambda: trace(doctor, db, second)["file"]["state"] == "PUBLISHED", "the file has it")
    assert trace(doctor, db, first)["hook"]["attempts"] == 2
    assert trace(doctor, db, first)["hook"]["nextAttempt"] is None
    assert trace(doctor, db, second)["hook"]["cause"] == "key_held_by:" + first
    text = run(doctor.binary, "trace", first, "--dsn", db.dsn).stdout
    assert "order/R-1" in text and "422" in text and "rejected_4xx" in text


@pytest.mark.parametrize("event,status,text", [
    ("00000000-0000-7000-8000-000000000000", 65, "not committed"), ("x", 78, "not an event id")])
def test_trace_of_nothing(db, doctor, event, status, text):
    done = run(doctor.binary, "trace", event, "--dsn", db.dsn)
    assert done.returncode == status and text in done.stderr


# Subscriptions -----------------------------------------------------------------------------------

@pytest.fixture
def ring(build, postrider, tmp_path):
    return KeyRing(build, postrider, tmp_path)


def test_subscriptions_that_do_not_take_their_deliveries(db, doctor, relay_of, ring):
    relay = relay_of([partners()], webhooks={"key_ring": ring.path})
    for status in ("active", "paused", "disabled", "pending_verification"):
        ring.subscribe(db, "https://a.example/SECRET", uid=status, status="paused")
    publish(db)
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery") == 4, "all are queued")
    assert relay.term() == 0  # or it would try the active one, and write down what it found
    db.run("UPDATE outbox.subscription SET status = uid, status_changed_at = now() - interval '1 hour',"
           " status_reason = CASE uid WHEN 'disabled' THEN 'failure_rate' END WHERE uid <> 'active'")
    db.run("INSERT INTO outbox.subscription_health (subscription, consecutive_failures, failing_since, last_cause)"
           " SELECT subscription, 7, now() - interval '1 hour', 'timeout' FROM outbox.subscription WHERE uid = 'active'")
    db.run("UPDATE outbox.subscription SET status = 'active' WHERE uid = 'active'")
    args = config(relay)
    doctor.waits_for("subscriptions", "a.example has failed", "cause timeout", severity="warning", args=args)
    doctor.waits_for("subscriptions", "paused since", "1 deliveries wait", severity="warning", args=args)
    doctor.waits_for("subscriptions", "disabled since", "failure_rate", "recover", severity="warning", args=args)
    doctor.waits_for("subscriptions", "pending_verification", "/verify", severity="warning", args=args)
    # Deliveries that nobody tries are no second finding.
    db.run("UPDATE outbox.delivery SET state = 'RETRY', cause = 'no_route', next_attempt_at = now() + interval '1 hour'")
    doctor.waits_for("deliveries", "no_route: 1 events are tried again for 1 subscriptions, the first since", args=args)
    db.run("UPDATE outbox.lane SET plain = true")
    doctor.waits_for("subscriptions", "configured without `subscriptions`; 1 deliveries wait", "put", severity="warning",
                     args=args)
    assert "events are tried again" not in json.dumps(doctor.report(*args))
    assert "SECRET" not in json.dumps(doctor.report(*args))


def test_a_subscription_that_takes_less_than_comes(db, doctor, relay_of, ring, receiver):
    relay = relay_of([partners()], webhooks={"key_ring": ring.path})
    _, _, receiver.secret = ring.subscribe(db, receiver.url, rate_per_second=0.01, burst=1)
    publish(db), publish(db, "other")
    found = doctor.waits_for("subscriptions", "127.0.0.1 takes less than comes", "1 deliveries wait", "/health",
                             severity="warning", args=(*config(relay), "--slow", "1s"))
    assert "failed" not in found["text"]


def test_a_key_that_is_missing(db, doctor, relay_of, ring):
    relay = relay_of([partners()], webhooks={"key_ring": ring.path})
    ring.subscribe(db, "https://a.example/", status="paused")
    found = [f for f in doctor.report(*config(relay))["findings"] if f["check"] == "keys"]
    assert [(f["severity"], f["text"]) for f in found] == [("ok", "every stored secret has its key")]
    db.run("UPDATE outbox.subscription_secret SET key_number = 77")
    doctor.waits_for("keys", "lacks key 77", "put the key back", args=config(relay))
    os.unlink(ring.path)
    doctor.waits_for("keys", "keys", args=config(relay))
