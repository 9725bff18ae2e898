# SPDX-License-Identifier: Apache-2.0
"""Dead letters, held keys and pauses: what `postrider dead|held|pause|resume` change while a relay runs."""

import collections
import json
import re
import time

import pytest

from harness.relay import run
from harness.sinks import wait_settled
from harness.wait import let_run, wait_until

QUICK = {"retry": {"initial": "20ms", "max": "50ms", "max_attempts": 2}}


class Cli:
    """The commands against one database."""

    def __init__(self, binary, dsn):
        self.binary, self.dsn = binary, dsn

    def __call__(self, command: str, *args: str, ok: int = 0) -> str:
        done = run(self.binary, *command.split(), *args, "--dsn", self.dsn)
        assert done.returncode == ok, (command, args, done.returncode, done.stdout, done.stderr)
        return done.stdout if ok == 0 else done.stderr

    def json(self, command: str, *args: str) -> dict:
        return json.loads(self(command, *args, "--json"))


@pytest.fixture
def cli(postrider, db):
    return Cli(postrider, db.dsn)


def publish(db, n: int, keys: int = 10, type: str = "order.paid", first: int = 1) -> list[str]:
    return [row[0] for row in db.run(
        "SELECT outbox.publish(%s, 'k-' || i %% %s, json_build_object('n', i), 'order')::text"
        " FROM generate_series(%s, %s) i ORDER BY i", type, keys, first, first + n - 1)]


def dead(db) -> int:
    return db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'DEAD'")


def arrived(hook) -> list[tuple[str, int]]:
    """(aggregate, n) of what the receiver took, in its order."""
    found = []
    for d in hook.receiver.accepted:
        event = json.loads(d.body)
        found.append((event["aggregateId"], event["payload"]["n"]))
    return found


def assert_in_order(hook) -> None:
    by_key = collections.defaultdict(list)
    for key, n in arrived(hook):
        by_key[key].append(n)
    for key, numbers in by_key.items():
        assert numbers == sorted(numbers), (key, numbers)


def test_a_thousand_are_counted_replayed_in_order_and_audited(db, cli, relay_of, hook):
    hook.receiver.status = 422
    relay_of([hook], extra={"retry": {"initial": "1ms", "max": "5ms", "max_attempts": 1}})
    publish(db, 1000, keys=50)
    wait_until(lambda: dead(db) == 1000, "all are dead", timeout=180)
    hook.receiver.status = 204

    text = cli("dead replay", "--destination", "hook", "--dry-run")
    assert "1000 dead letters match" in text and "rejected_4xx" in text
    assert dead(db) == 1000 and hook.count() == 0

    begin = time.monotonic()
    done = cli.json("dead replay", "--destination", "hook", "--cause", "rejected_4xx", "--yes")
    assert (done["matched"], done["affected"], done["dryRun"]) == (1000, 1000, False)
    wait_settled(db, [hook], timeout=240)
    print(f"1000 dead letters of 50 keys replayed in {time.monotonic() - begin:.1f} s")
    assert hook.count() == 1000
    assert_in_order(hook)
    assert db.run("SELECT action, filter, affected, actor LIKE 'cli %@%' FROM outbox.audit") == [
        ("dead.replay", {"destination": "hook", "cause": "rejected_4xx"}, 1000, True)]


def test_what_dies_again_is_not_replayed_for_ever(db, cli, relay_of, hook):
    hook.receiver.status = 422
    relay_of([hook], extra=QUICK)
    publish(db, 30)
    wait_until(lambda: dead(db) == 30, "all are dead")
    before = len(hook.receiver.deliveries)
    assert cli.json("dead replay", "-d", "hook", "-y")["affected"] == 30
    wait_until(lambda: dead(db) == 30 and len(hook.receiver.deliveries) >= before + 30, "all are dead again")
    assert db.value("SELECT max(attempts) FROM outbox.delivery") == 2, "attempts begin anew"


def test_a_rate_spreads_a_replay(db, cli, relay_of, hook):
    hook.receiver.status = 422
    relay_of([hook], extra=QUICK)
    publish(db, 60, keys=60)
    wait_until(lambda: dead(db) == 60, "all are dead")
    hook.receiver.status = 204
    start = time.time()
    cli("dead replay", "-d", "hook", "--rate", "20", "--yes")
    wait_settled(db, [hook])
    assert hook.count() == 60
    times = sorted(d.at - start for d in hook.receiver.accepted)
    print(f"first after {times[0]:.1f} s, last after {times[-1]:.1f} s")
    # A busy machine can make events later, and then some come at once; it makes none come before its time.
    assert all(t > n / 20 - 0.1 for n, t in enumerate(times)), times
    assert times[-1] < 30, "60 at 20 a second take three seconds; at 1 a second they would take a minute"


def test_discard_needs_a_filter_and_is_final(db, cli, relay_of, hook):
    hook.receiver.answer = lambda d: 422 if b"order.bad" in d.body else 204
    relay_of([hook], extra=QUICK)
    bad = publish(db, 5, type="order.bad")
    publish(db, 5)
    wait_until(lambda: dead(db) == 5, "the bad ones are dead")
    assert "name what is meant" in cli("dead discard", "--yes", ok=64)
    assert "nobody to ask" in cli("dead discard", "--type", "order.*", ok=64)
    assert dead(db) == 5
    assert cli.json("dead discard", bad[0], "--event", bad[1], "--yes")["affected"] == 2
    assert cli.json("dead discard", "--type", "order.*", "--since", "1h", "--until", "1h", "--yes")["matched"] == 0
    assert cli.json("dead discard", "--type", "*.bad", "--since", "1h", "--yes")["affected"] == 3
    assert db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'DISCARDED'") == 5
    wait_settled(db, [hook])
    assert hook.count() == 5
    assert [d["state"] for d in cli.json("trace", bad[0])["destinations"]] == ["DISCARDED"]


def test_list_pages_and_show(db, cli, relay_of, hook):
    hook.receiver.status = 422
    relay_of([hook], extra=QUICK)
    ids = publish(db, 7)
    wait_until(lambda: dead(db) == 7, "all are dead")
    first = cli.json("dead list", "--limit", "5")
    second = cli.json("dead list", "--limit", "5", "--after", first["next"])
    assert [d["eventId"] for d in first["deadLetters"] + second["deadLetters"]] == ids
    assert second["next"] is None
    one = first["deadLetters"][0]
    assert one["destination"] == "hook" and one["cause"] == "rejected_4xx" and one["attempts"] == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", one["deadAt"])
    assert "--after " in cli("dead list", "--limit", "5")
    assert "422" in cli("dead show", ids[0]) and ids[0] in cli("dead show", ids[0])
    assert "no dead letter" in cli("dead show", "00000000-0000-7000-8000-000000000000", ok=65)


@pytest.mark.parametrize("args,text", [
    (("dead nothing",), "is not one of"), (("dead list", "--limit", "0"), "--limit"),
    (("dead replay", "x"), "not an event id"), (("dead replay", "-d", "a", "--rate", "-1", "-y"), "--rate"),
    (("dead discard", "-d", "a", "--rate", "1", "-y"), "goes with replay"),
    (("held release", "-y"), "name what is meant"), (("stuck", "--list", "x"), "--list"),
])
def test_mistakes_are_named(cli, args, text):
    assert text in cli(*args, ok=64)


def test_a_time_that_is_none_is_refused(cli):
    assert "invalid input syntax" in cli("dead list", "--since", "yesterdayish", ok=78)


# Held keys ---------------------------------------------------------------------------------------

def holding_relay(db, relay_of, hook, **extra):
    """k-1's first event is refused; the rest of k-1 waits behind it."""
    hook.receiver.answer = lambda d: 422 if b'"aggregateId":"k-1"' in d.body and b'"n" : 1}' in d.body else 204
    relay_of([hook], extra={**QUICK, "on_dead": "hold", **extra})
    publish(db, 30, keys=3)
    wait_until(lambda: hook.count() == 20, "the other keys are delivered")
    wait_until(lambda: dead(db) == 1, "the holder is dead")
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'HELD'") == 9, "nine wait")
    wait_until(lambda: db.value("SELECT sum(events) FROM outbox.backlog") == 0, "the cursor has passed all of them")


def test_a_held_key_is_listed_with_its_holder(db, cli, relay_of, hook):
    holding_relay(db, relay_of, hook)
    keys = cli.json("held list")["keys"]
    assert len(keys) == 1
    key = keys[0]
    assert (key["aggregateType"], key["aggregateId"], key["waiting"], key["holderState"], key["cause"]) == (
        "order", "k-1", 9, "DEAD", "rejected_4xx")
    groups = {(g["cause"], g["state"]): g["count"] for g in cli.json("stuck")["groups"]}
    assert groups == {("rejected_4xx", "DEAD"): 1, ("key_held_by", "HELD"): 9}
    assert "order/k-1" in cli("held list")


@pytest.mark.parametrize("command", [
    ("dead discard", "-d", "hook", "-y"), ("held release", "-d", "hook", "--discard", "-y")])
def test_a_discarded_holder_lets_its_key_go(db, cli, relay_of, hook, command):
    holding_relay(db, relay_of, hook)
    begin = time.monotonic()
    cli(*command)
    assert db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'HELD'") < 9, "the command itself lets it go"
    wait_until(lambda: hook.count() == 29, "the key goes on")
    print(f"the key went on within {time.monotonic() - begin:.1f} s")
    assert_in_order(hook)
    wait_until(lambda: cli.json("held list")["keys"] == [], "no key is held")
    publish(db, 3, keys=3, first=31)
    wait_until(lambda: hook.count() == 32, "new events of the key are delivered")


@pytest.mark.parametrize("command", [
    ("dead replay", "-d", "hook", "-y"), ("held release", "--aggregate-id", "k-1", "-y")])
def test_a_replayed_holder_goes_first(db, cli, relay_of, hook, command):
    holding_relay(db, relay_of, hook)
    hook.receiver.answer = None
    cli(*command)
    wait_until(lambda: hook.count() == 30, "all are delivered")
    assert_in_order(hook)
    wait_settled(db, [hook])


# Pause -------------------------------------------------------------------------------------------

def test_a_fenced_destination_stops_and_resumes(db, cli, relay_of, hook, file):
    relay = relay_of([hook, file])
    publish(db, 10)
    wait_settled(db, [hook, file])
    cli("pause", "hook", "--fence")
    wait_until(lambda: "lane.fenced" in relay.log() or "lane.paused" in relay.log(), "the relay has noticed")
    publish(db, 10)
    wait_until(lambda: file.count() == 20, "the other goes on")
    let_run(1)
    assert hook.count() == 10
    wait_until(lambda: {g["cause"] for g in cli.json("stuck")["groups"]} == {"paused"}, "only what is paused waits")
    cli("resume", "hook")
    wait_settled(db, [hook, file])
    assert hook.count() == 20
    assert [row[0] for row in db.run("SELECT action FROM outbox.audit ORDER BY operation")] == [
        "lane.fence", "lane.resume"]


def test_a_pause_waits_for_what_is_open(db, cli, relay_of, hook):
    relay_of([hook])
    publish(db, 10)
    wait_settled(db, [hook])
    hook.receiver.delay = 0.3
    publish(db, 10)
    cli("pause", "hook", "--wait", "60s")
    count = hook.count()
    publish(db, 5)
    let_run(1)
    assert hook.count() == count, "nothing is sent while it is paused"
    hook.receiver.delay = 0
    cli("resume", "hook")
    wait_settled(db, [hook])
    assert hook.count() == 25, "a pause sends nothing twice"


def test_a_destination_nobody_knows(cli):
    assert "no lane" in cli("pause", "nothing", ok=65)
