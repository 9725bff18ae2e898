# SPDX-License-Identifier: Apache-2.0
"""All at once: writers that commit late, people at the API, two relays that die, a database that errs. Nothing is lost."""

import collections
import contextlib
import json
import random
import threading
import time

import psycopg2
import pytest

from harness.api import ApiClient, partners
from harness.secrets import KeyRing
from harness.subscribers import Subscribers
from harness.wait import wait_until

BASE = "/webhooks/subscriptions"
KEYS = 12
SECONDS = 10

# Errors that PostgreSQL answers any statement with: a time-out, a deadlock, a failed serialization, a full disk.
ERR = """
CREATE FUNCTION err() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 0.02 THEN
    RAISE EXCEPTION 'on purpose' USING ERRCODE = (ARRAY['57014', '40P01', '40001', '53100'])[1 + floor(random() * 4)::int];
  END IF;
  RETURN NULL;
END $$
"""
FAILING = {"delivery": "INSERT OR UPDATE", "attempt": "INSERT", "lane": "UPDATE", "operation": "UPDATE",
           "subscription_health": "INSERT OR UPDATE"}


class Chaos:
    """Threads that do their worst until stop() and the record of what they promised."""

    def __init__(self, db, relays, api, endpoints):
        self.db, self.relays, self.api, self.endpoints = db, relays, api, endpoints
        self.stopped = threading.Event()
        self.failures: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.written: list[tuple[int, int, float]] = []  # n, key, when its commit was asked for
        self.subs: dict[str, tuple[str, float]] = {}     # path: id, when it had been made
        self._n = 0
        self._lock = threading.Lock()

    def loop(self, step, pause: float) -> None:
        def body():
            while not self.stopped.is_set():
                try:
                    step()
                except (psycopg2.Error, OSError):
                    pass  # whoever asked was told
                except BaseException as e:  # shown at the end: a thread cannot fail a test
                    self.failures.append(e)
                    return
                self.stopped.wait(random.uniform(0, 2 * pause))
        self.threads.append(threading.Thread(target=body))

    def write(self) -> None:
        """One transaction of one to three events of a key, which it has locked."""
        key = random.randrange(KEYS)
        made = []
        with contextlib.closing(self.db.connect()) as c, c.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(7, %s)", (key,))
            for _ in range(random.randint(1, 3)):
                with self._lock:
                    self._n += 1
                    made.append(self._n)
                cursor.execute("SELECT outbox.publish('order.paid', %s, %s, 'order')",
                               (str(key), json.dumps({"n": made[-1]})))
                time.sleep(random.choice((0, 0.005, 0.02, 0.3)))
            if random.random() < 0.1:
                return
            at = time.monotonic()
            c.commit()
        self.written += [(n, key, at) for n in made]

    def subscribe(self, path: str, **more) -> None:
        answer = self.api("POST", BASE, {"url": self.endpoints.url(path), **more})
        if answer.status == 201:
            self.subs[path] = answer.body["id"], time.monotonic()

    def some(self) -> str:
        """The id of one that may be interfered with; it may be gone by the time somebody asks for it."""
        return random.choice([ident for path, (ident, _) in list(self.subs.items()) if path != "quiet"])

    def interfere(self, statuses) -> None:
        ident = self.some()
        at = f"{BASE}/{ident}"
        act = random.randrange(6)
        if act < 2:
            self.api("PATCH", at, {"status": random.choice(statuses)}, if_match="*")
        elif act == 2:
            self.api("POST", f"{at}/recover", {"include": random.choice(("failed", "missed", "all"))})
        elif act == 3:
            row = self.db.run("SELECT d.lane, d.seq, d.subscription FROM outbox.delivery d JOIN outbox.subscription s"
                              " ON s.subscription = d.subscription WHERE s.id = %s ORDER BY random() LIMIT 1",
                              ident)
            if row:
                self.db.run("SELECT outbox.redeliver(%s, %s, %s)", *row[0])
        elif act == 4:
            self.db.run("SELECT outbox.cancel_operation(id) FROM outbox.operation WHERE kind = 'recover'"
                        " AND random() < 0.3")
        else:
            self.api("PATCH", at, {"ordering": random.choice(("key", "none"))}, if_match="*")

    def come_and_go(self) -> None:
        path = f"guest{random.randrange(4)}"
        if path in self.subs:
            if self.api("DELETE", f"{BASE}/{self.subs[path][0]}", if_match="*").status in (204, 404):
                del self.subs[path]
        else:
            self.subscribe(path, start_from=random.choice(("now", "beginning")))

    def nemesis(self) -> None:
        act = random.randrange(3)
        if act == 0:
            relay = self.relays[1]
            relay.kill9()
            relay.start(wait=False)
        elif act == 1:
            self.db.run("UPDATE outbox.lane SET token = token + 1, owner = 'thief',"
                        " lease_until = clock_timestamp() + interval '300 ms'")
        else:
            self.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND application_name LIKE '%%:%%' AND random() < 0.5")

    def reload(self) -> None:
        """Another set of options, or no such destination at all for a while."""
        relay = random.choice(self.relays)
        before = json.loads(json.dumps(relay.config))
        if random.random() < 0.3:
            relay.config["destinations"], relay.config["routes"] = [], []
            relay.config["destinations"].append({"name": "other", "adapter": "stdout", "start_from": "now",
                                                 "options": {"path": "/dev/null"}})
            relay.config["routes"].append({"match": {"type": ["nothing"]}, "to": ["other"]})
        else:
            relay.config["destinations"][0] |= {"max_in_flight": random.choice((4, 32, 200)),
                                                "on_dead": random.choice(("skip", "hold"))}
            relay.config["destinations"][0]["options"]["timeout"] = random.choice(("1s", "5s"))
        relay.write_config()
        relay.hup()
        self.stopped.wait(random.uniform(0.1, 1.5))
        relay.config = before
        relay.write_config()
        relay.hup()

    def run(self, seconds: float) -> None:
        for t in self.threads:
            t.start()
        self.stopped.wait(seconds)
        self.stopped.set()
        for t in self.threads:
            t.join()
        assert self.failures == []

    def heal(self) -> None:
        """Everybody is well and active, and what was missed or has died goes again."""
        for endpoint in self.endpoints.endpoints.values():
            endpoint.answer = None
        # The last reload may still be under way: a relay without the destination is unavailable.
        for ident, _ in self.subs.values():
            self.wait_done("PATCH", ident, {"status": "active"}, if_match="*")
        wait_until(lambda: self.db.value("SELECT sum(events) FROM outbox.backlog"
                                         " WHERE destination = 'partners'") == 0, "the log has passed", 120)
        for ident, _ in self.subs.values():
            self.wait_done("POST", f"{ident}/recover", {"include": "all"})
        wait_until(lambda: self.db.value("SELECT count(*) FROM outbox.operation WHERE state = 'running'") == 0,
                   "all is queued", 120)
        wait_until(lambda: self.db.value(
            "SELECT count(*) FROM outbox.delivery WHERE state NOT IN ('DELIVERED', 'DISCARDED', 'DEAD')") == 0,
            "all is delivered", 180)

    def wait_done(self, method: str, tail: str, body: dict, **headers: str) -> None:
        def done() -> bool:
            answer = self.api(method, f"{BASE}/{tail}", body, **headers)
            assert answer.status in (200, 202), answer
            return True
        wait_until(done, f"{method} {tail}")

    def judge(self) -> None:
        accepted = {name: [json.loads(a.body)["payload"]["n"] for a in arrivals]
                    for name, arrivals in self.endpoints.accepted().items()}
        known = {n: key for n, key, _ in self.written}
        for path, (_, since) in self.subs.items():
            got = accepted.get(path, [])
            lost = [n for n, _, at in self.written if at > since and n not in set(got)]
            assert lost == [], f"{path} never got {len(lost)} of {len(self.written)}"
        for path, got in accepted.items():
            assert set(got) <= set(known), f"{path} got what was not committed"
        order: dict = collections.defaultdict(int)
        for n in dict.fromkeys(accepted["quiet"]):
            assert n > order[known[n]], f"{n} came after {order[known[n]]}"
            order[known[n]] = n
        rows = self.db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'DELIVERED'")
        print(f"{len(self.written)} events, {len(self.subs)} subscriptions, {rows} rows,"
              f" {sum(map(len, accepted.values()))} accepted, {len(self.endpoints.arrivals)} requests")


@pytest.fixture
def chaos(db, relay_of, build, postrider, tmp_path):
    ring = KeyRing(build, postrider, tmp_path)
    api = ApiClient(tmp_path)
    destination = partners(retry={"initial": "50ms", "max": "300ms", "max_attempts": 3}, max_in_flight=32)
    with Subscribers() as endpoints:
        relays = [relay_of([destination], webhooks={"key_ring": ring.path}, **more) for more in
                  ({"api": api.settings}, {})]
        c = Chaos(db, relays, api, endpoints)
        for path in ("quiet", "a", "b", "c"):
            c.subscribe(path)
            assert path in c.subs
            status = (204, 204, 204, 204, 204, 503, 204, 429) if path == "quiet" else (204, 204, 204, 204, 500, 503, 204, 400)
            endpoints.endpoint(path).answer = lambda _arrival, s=status: random.choice(s)
        for _ in range(4):
            c.loop(c.write, 0.02)
        c.loop(c.come_and_go, 0.5)
        c.loop(c.nemesis, 1.5)
        yield c


def test_people_and_faults_lose_nothing(chaos, db):
    chaos.loop(lambda: chaos.interfere(("active", "paused", "disabled")), 0.1)
    db.run(ERR)
    for table, what in FAILING.items():  # one at a time: a lock on several would wait for the relay, and it for us
        db.run(f"CREATE TRIGGER err AFTER {what} ON outbox.{table} FOR EACH STATEMENT EXECUTE FUNCTION err()")
    chaos.run(SECONDS)
    for table in FAILING:
        db.run(f"DROP TRIGGER err ON outbox.{table}")
    chaos.heal()
    chaos.judge()


def test_reloads_lose_nothing(chaos):
    chaos.loop(lambda: chaos.interfere(("active", "paused", "disabled")), 0.1)
    chaos.loop(chaos.reload, 0.3)
    chaos.run(SECONDS)
    chaos.heal()
    chaos.judge()


def test_retention_at_any_moment_loses_nothing(chaos, db):
    chaos.loop(lambda: chaos.interfere(("active", "paused")), 0.1)
    chaos.loop(lambda: db.run("SELECT outbox.retire('0', 50)"), 0.05)
    chaos.run(SECONDS)
    chaos.heal()
    chaos.judge()
    while db.value("SELECT outbox.retire('0')"):
        pass
    assert db.value("SELECT count(*) FROM outbox.event e WHERE NOT EXISTS (SELECT FROM outbox.delivery d"
                    " WHERE d.seq = e.seq AND d.state = 'DEAD')") == 0, "and keeps nothing"
