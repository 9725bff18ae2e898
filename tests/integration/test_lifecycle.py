# SPDX-License-Identifier: Apache-2.0
"""Stopping, reloading, and what the relay shows while it runs."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest

from harness.sinks import assert_delivered, file_sink, wait_settled
from harness.wait import let_run, settles, wait_until
from harness.writers import Mix, Writers

FAST = Mix(hold=(0, 0.02), aggregates=200, pause=0.005)
SLOW_REQUEST = {"options": {"timeout": "30s"}}


# Stopping ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_drained_relay_repeats_nothing(db, relay_of, file, hook, queue, stop):
    """Five stops under load: each drains, exits with 0, and no event comes twice."""
    sinks = [file, hook, queue]
    relay = relay_of(sinks, drain="60s")
    with Writers(db, threads=4, mix=FAST) as writers:
        for _ in range(5):
            before = file.count()
            wait_until(lambda seen=before: file.count() > seen + 50, "events arrive")
            relay.signal(stop)
            assert relay.wait_exit(timeout=90) == 0
            relay.start()
        assert not writers.failures
    wait_settled(db, sinks)
    assert_delivered(db, sinks, max_duplicates=0)


def test_stop_gives_lanes_back_at_once(db, relay_of, file):
    """The next process need not wait for a lease to run out."""
    relay = relay_of([file], source={"lease": "60s"})
    wait_until(lambda: db.value("SELECT count(owner) FROM outbox.lane") == 1, "it has the lane")
    assert relay.term() == 0
    assert db.value("SELECT count(*) FROM outbox.lane WHERE owner IS NOT NULL") == 0


def test_drain_ends_at_its_limit(db, relay_of, hook):
    """A receiver that never answers cannot keep the relay: the events stay due."""
    hook.receiver.delay = 60
    relay = relay_of([hook], extra=SLOW_REQUEST, drain="1s")
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: hook.receiver.deliveries, "the event is on its way")
    relay.term()
    assert time.time() - hook.receiver.deliveries[0].at < 30, "it waited for the request"
    assert db.value("SELECT sum(events) FROM outbox.backlog") \
        + db.value("SELECT count(*) FROM outbox.delivery WHERE state <> 'DELIVERED'") == 1


def test_second_signal_ends_at_once(db, relay_of, hook):
    hook.receiver.delay = 60
    relay = relay_of([hook], extra=SLOW_REQUEST, drain="60s")
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: hook.receiver.deliveries, "the event is on its way")
    relay.signal(signal.SIGTERM)
    wait_until(lambda: relay.get("/readyz")[0] == 503, "it drains and is not ready")
    relay.signal(signal.SIGTERM)
    assert relay.wait_exit() != 0
    assert time.time() - hook.receiver.deliveries[0].at < 30, "it waited for the request"


def test_killed_relay_is_followed_after_its_lease(db, relay_of, file):
    """Another process takes the lane over when the lease of the dead one has run out."""
    first = relay_of([file], source={"lease": "1s"})
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 1, "the first relay delivers")
    first.kill9()
    relay_of([file], source={"lease": "1s"})
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() >= 2, "the second relay delivers")


# Reloading ---------------------------------------------------------------------------------------

def test_reload_adds_and_removes_destinations(db, relay_of, tmp_path):
    one, two = file_sink(tmp_path, "one"), file_sink(tmp_path, "two")
    relay = relay_of([one])
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: one.count() == 1, "the first destination gets it")
    relay.config["destinations"] = [two.config(start_from="beginning")]
    relay.config["routes"][0]["to"] = ["two"]
    relay.write_config()
    relay.hup()
    wait_until(lambda: two.count() == 1, "the new destination gets it from the beginning")
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: two.count() == 2, "the new destination gets the next one")
    assert one.count() == 1
    assert relay.metric("postrider_config_last_reload_successful") == 1


def test_reload_under_load_repeats_and_loses_nothing(db, relay_of, file, hook):
    relay = relay_of([file, hook])
    with Writers(db, threads=4, mix=FAST) as writers:
        for n in range(5):
            before = file.count()
            wait_until(lambda seen=before: file.count() > seen + 50, "events arrive")
            relay.config["destinations"][1]["max_in_flight"] = 100 + n
            relay.write_config()
            relay.hup()
        assert not writers.failures
    wait_settled(db, [file, hook])
    assert_delivered(db, [file, hook], max_duplicates=0)


@pytest.mark.parametrize("text", ["", "sauce: 1\n", "destinations: [\n"])
def test_bad_reload_keeps_the_old_configuration(db, relay_of, file, text):
    relay = relay_of([file])
    pid = relay.pid
    relay.write_config(text)
    relay.hup()
    wait_until(lambda: relay.metric("postrider_config_last_reload_successful") == 0, "it is counted")
    wait_until(lambda: "postrider.yaml" in relay.log(), "and told")
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 1, "the old configuration still delivers")
    wait_until(relay.ready, "it is ready")
    assert relay.running() and relay.pid == pid
    relay.write_config()
    relay.hup()
    wait_until(lambda: relay.metric("postrider_config_last_reload_successful") == 1, "and recovers")


def test_reload_names_what_takes_a_restart(db, relay_of, tmp_path, file):
    relay = relay_of([file])
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    relay.config["ops"]["listen"] = "127.0.0.1:0"
    relay.config["api"] = {"listen": "127.0.0.1:0", "token_file": str(tokens)}
    relay.write_config()
    relay.hup()
    wait_until(lambda: "config.reloaded" in relay.log(), "the file is read")
    for key in ("ops.listen", "api.listen", "api.token_file"):
        assert f"{key} has changed: it takes a restart" in relay.log()
    wait_until(relay.ready, "it is ready")
    told = relay.log().count("takes a restart")
    relay.hup()
    wait_until(lambda: relay.log().count("config.reloaded") == 2, "the file is read again")
    assert relay.log().count("takes a restart") == 2 * told, "it still is not in use, and says so"
    del relay.config["api"]
    relay.config["ops"]["listen"] = f"127.0.0.1:{relay.ops_port}"
    relay.write_config()
    relay.hup()
    wait_until(lambda: relay.log().count("config.reloaded") == 3, "the first file is back")
    assert relay.log().count("takes a restart") == 2 * told


# What it shows -----------------------------------------------------------------------------------

def test_metrics_pass_promtool(db, relay_of, file, hook):
    relay = relay_of([file, hook])
    hook.receiver.status = 500
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 1 and hook.receiver.deliveries, "something happened")
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: install the Debian package prometheus"
    done = subprocess.run([promtool, "check", "metrics"], input=relay.metrics(), text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {line.split("{")[0].split(" ")[0] for line in relay.metrics().splitlines()
             if line and not line.startswith("#")}
    foreign = {n for n in names if not n.startswith(("postrider_", "process_"))}
    assert not foreign


def test_delivered_events_are_counted(db, relay_of, file):
    relay = relay_of([file])
    for _ in range(3):
        db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: relay.metric("postrider_delivered_total", lane="file") == 3,
               "three events are counted")


def test_log_is_json_without_payloads(db, relay_of, file, hook):
    hook.receiver.status = 500
    relay = relay_of([file, hook], log={"format": "json", "level": "debug"})
    db.run("SELECT outbox.publish('t', 'a', '{\"card\":\"4111111111111111\"}')")
    wait_until(lambda: file.count() == 1 and hook.receiver.deliveries, "it was tried")
    assert relay.term() == 0
    records = relay.log_records()
    assert records and all({"ts", "level", "msg"} <= set(r) for r in records)
    assert "4111111111111111" not in relay.log()
    assert hook.receiver.secret not in relay.log()


def test_idle_relay_is_quiet(db, relay_of, file):
    """Nothing to do: no log lines, hardly any queries, hardly any processor time."""
    relay = relay_of([file], source={"lease": "60s"})
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 1, "it is delivered")
    settles(lambda: len(relay.log()), quiet=2)  # until the poll has backed off, too
    lines, cpu, start = len(relay.log()), relay.metric("process_cpu_seconds_total"), time.monotonic()
    let_run(5)
    assert len(relay.log()) == lines
    used = relay.metric("process_cpu_seconds_total") - cpu
    assert used < 0.05 * (time.monotonic() - start)


def test_health_routes_answer_in_json(relay_of, file):
    relay = relay_of([file])
    for path in ("/livez", "/readyz", "/healthz"):
        status, body = relay.get(path)
        assert status == 200 and isinstance(json.loads(body), dict)
    assert relay.get("/nothing")[0] == 404


def test_the_file_limit_is_raised_as_far_as_it_goes(relay_of, file):
    """Webhook destinations hold a connection for each request in flight."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 200, hard))
    try:
        relay = relay_of([file])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert relay.metric("process_max_fds") == hard


def test_what_subscriptions_have_left_is_forgotten_without_them(db, relay_of, file):
    """No destination has any now: what was deleted, and what ended a month ago, goes all the same."""
    subscribe = ("INSERT INTO outbox.subscription (destination, url, deleted_at)"
                 " VALUES ('partners', 'https://a.example/', %s::timestamptz) RETURNING subscription")
    db.run("INSERT INTO outbox.lane (destination) VALUES ('partners')")
    gone, recent, kept = (db.run(subscribe, at)[0][0] for at in ("2020-01-01", "yesterday", None))
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
           " SELECT l.lane, e.seq, %s, '', 'a', 'PENDING' FROM outbox.lane l, outbox.event e", recent)
    db.run("INSERT INTO outbox.operation (subscription, kind, include, state, finished_at) VALUES"
           " (%s, 'recover', 'all', 'done', '2020-01-02'), (%s, 'recover', 'all', 'running', NULL),"
           " (%s, 'recover', 'all', 'done', '2020-01-02'), (%s, 'recover', 'all', 'running', NULL)",
           gone, recent, kept, kept)
    relay_of([file])
    wait_until(lambda: db.run("SELECT subscription FROM outbox.subscription ORDER BY 1") == [(recent,), (kept,)],
               "the old one is forgotten", timeout=30)
    assert db.run("SELECT subscription, state FROM outbox.operation ORDER BY 1") == [
        (recent, "cancelled"), (kept, "running")]
    assert db.run("SELECT state, cause FROM outbox.delivery WHERE subscription = %s", recent) == [
        ("DISCARDED", "cancelled")]


def test_what_waits_for_subscriptions_is_no_concern_of_a_plain_lane(db, relay_of, file):
    """It may be much: it is neither counted every few seconds nor let go."""
    db.run("INSERT INTO outbox.lane (destination, plain) VALUES (%s, false)", file.name)
    db.run("SELECT outbox.publish('t', 'a', '{}') FROM generate_series(1, 2)")
    db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
           " SELECT l.lane, e.seq, 7, '', 'a', 'HELD' FROM outbox.lane l, outbox.event e")
    db.run("UPDATE outbox.lane SET snap = pg_current_snapshot()")
    relay = relay_of([file])
    db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
           " SELECT l.lane, min(e.seq), 0, '', 'b', 'RETRY' FROM outbox.lane l, outbox.event e GROUP BY l.lane")
    wait_until(lambda: db.value("SELECT state FROM outbox.delivery WHERE subscription = 0") == "DELIVERED",
               "it looks after its own")
    wait_until(lambda: relay.metric("postrider_held_keys", lane=file.name) == 0, "no key of its own is held", timeout=30)
    assert db.run("SELECT DISTINCT state FROM outbox.delivery WHERE subscription = 7") == [("HELD",)]
