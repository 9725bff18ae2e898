# SPDX-License-Identifier: Apache-2.0
"""fan_out.py - what subscriptions cost, and what sick endpoints cost the healthy ones.

Scenarios for bench.py. Both count at both ends: rows in the database, requests at the receiver.
"""

import contextlib
import json
import os
import subprocess
import time

from harness.secrets import KeyRing
from harness.subscribers import Subscribers
from harness.wait import wait_until

from rows import Options, Row
from stage import Stage, memory_mb, say

EVENTS, SUBSCRIPTIONS = 10_000, 200
SICK = 40  # of the subscriptions
RATE = 5   # events a second, each to all of them

DESTINATION = {"name": "partners", "adapter": "webhook", "subscriptions": True,
               "options": {"allow_http": True, "allow_cidrs": "127.0.0.0/8", "timeout": "15s"}}


@contextlib.contextmanager
def _subscribed(stage: Stage, name: str, urls: list[str]):
    """A database of its own with a subscription for each URL, and its relay; yields both and the secrets."""
    db = stage.database(name)
    folder = os.path.join(stage.folder, stage.unique("ring"))
    os.mkdir(folder)
    ring = KeyRing(stage.build, stage.program("postrider"), folder)
    made = [ring.subscribe(db, url) for url in urls]
    with stage.relay(db, [DESTINATION], settings={"webhooks": {"key_ring": ring.path}}, wait=True) as relay:
        yield db, relay, made
    db.run("TRUNCATE outbox.event, outbox.attempt")
    db.run("TRUNCATE outbox.subscription_secret, outbox.subscription_health, outbox.operation, outbox.subscription")


def fan_out(stage: Stage, _options: Options) -> list[Row]:
    """10,000 events, each to 200 subscriptions: two million signed deliveries, one attempt row each."""
    sink = subprocess.Popen([stage.program("http_sink")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = json.loads(sink.stdout.readline())["port"]
    total = EVENTS * SUBSCRIPTIONS
    urls = [f"http://127.0.0.1:{port}/{i}" for i in range(SUBSCRIPTIONS)]
    with _subscribed(stage, "fan_out", urls) as (db, relay, _made):
        begin = time.time()
        db.run("INSERT INTO outbox.event (type, aggregate_type, aggregate_id, payload)"
               " SELECT 'ORDER_CHANGED', 'order', (i %% 997)::text, json_build_object('n', i, 'text', repeat('x', 280))"
               " FROM generate_series(1, %s) i", EVENTS)

        def done() -> bool:
            n = int(relay.metric("postrider_delivered_total", lane="partners"))
            say(f"fan-out: {n:,} of {total:,} deliveries")
            return n >= total
        wait_until(done, "all deliveries", timeout=3600, every=10)
        wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery WHERE state <> 'DELIVERED'") == 0,
                   "all rows are written", timeout=60)
        seconds = time.time() - begin
        rows = db.run("SELECT count(*), count(DISTINCT (seq, subscription)) FROM outbox.attempt")[0]
        high = memory_mb(relay.pid)[1]
    sink.stdin.close()
    answered = json.loads(sink.stdout.readline())["answered"]
    sink.wait()
    if not total == rows[0] == rows[1] == answered:
        raise RuntimeError(f"{total} deliveries, {rows[0]} attempts of {rows[1]}, {answered} requests")
    return [Row("fan-out to 200 subscriptions", total / seconds, "deliveries/s",
                note=f"{total:,} deliveries, {rows[0]:,} attempts, {answered:,} requests; {high:.0f} MB at most")]


def _p99(stage: Stage, name: str, sick: int, seconds: int) -> tuple[float, float, int]:
    """Median and 99th percentile, in ms, from commit to arrival at the healthy endpoints."""
    with Subscribers() as endpoints:
        names = [f"e{i}" for i in range(SUBSCRIPTIONS)]
        for n in names[:sick]:
            endpoints.endpoint(n).status = 0
        with _subscribed(stage, name, [endpoints.url(n) for n in names]) as (db, _relay, _made):
            with contextlib.closing(db.connect()) as c, c.cursor() as cursor:
                c.autocommit = True
                begin = time.time()
                for i in range(seconds * RATE):
                    cursor.execute("SELECT outbox.publish('ORDER_CHANGED', %s, '{}', 'order')", (str(i % 97),))
                    time.sleep(max(0.0, begin + (i + 1) / RATE - time.time()))
            expected = seconds * RATE * (SUBSCRIPTIONS - sick)
            wait_until(lambda: sum(len(a) for a in endpoints.accepted().values()) >= expected, "all have arrived",
                       timeout=120, every=0.5)
            committed = dict(db.run("SELECT event_id::text, extract(epoch FROM occurred_at)::float8 FROM outbox.event"
                                    " WHERE occurred_at > to_timestamp(%s)", begin + 2))
            late = sorted(a.at - committed[a.event_id] for arrivals in endpoints.accepted().values()
                          for a in arrivals if a.event_id in committed)
    return late[len(late) // 2] * 1000, late[len(late) * 99 // 100] * 1000, len(late)


def sick_endpoints(stage: Stage, options: Options) -> list[Row]:
    """The healthy of 200 endpoints, while none and while a fifth of the others hang."""
    well = _p99(stage, "all_well", 0, options.seconds)
    say(f"none hangs: p50 {well[0]:.1f} ms, p99 {well[1]:.1f} ms")
    beside = _p99(stage, "some_sick", SICK, options.seconds)
    say(f"{SICK} hang: p50 {beside[0]:.1f} ms, p99 {beside[1]:.1f} ms")
    return [Row("healthy endpoints, p99 beside 40 of 200 that hang", beside[1], "ms", well[1], most=1.5,
                note=f"none hangs: n {well[2]}, p50 {well[0]:.1f} ms, p99 {well[1]:.1f} ms; 40 hang: n {beside[2]}, "
                     f"p50 {beside[0]:.1f} ms, p99 {beside[1]:.1f} ms")]
