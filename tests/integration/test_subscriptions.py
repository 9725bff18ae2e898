# SPDX-License-Identifier: Apache-2.0
"""Deliveries to subscriptions by a real relay: complete, in order, apart from each other, explained."""

import collections
import contextlib
import json
import random
import subprocess
import threading
import time

import pytest

from harness.relay import Relay
from harness.secrets import KeyRing
from harness.subscribers import Subscribers
from harness.wait import wait_until

ALLOWED = {"allow_http": True, "allow_cidrs": "127.0.0.0/8"}


class Stage:
    """One destination with subscriptions, its endpoints, and what is asked of the database."""

    def __init__(self, db, relay_of, ring: KeyRing, endpoints: Subscribers):
        self.db, self.ring, self.endpoints, self._relay_of = db, ring, endpoints, relay_of
        self.numbers: dict[str, int] = {}

    def subscribe(self, name: str, **columns) -> int:
        number, _, secret = self.ring.subscribe(self.db, self.endpoints.url(name), **columns)
        self.endpoints.endpoint(name).secrets.append(secret)
        self.numbers[name] = number
        return number

    def relay(self, start: bool = True, **destination):
        options = {"timeout": "30s", **ALLOWED, **destination.pop("options", {})}
        return self._relay_of([{"name": "partners", "adapter": "webhook", "subscriptions": True, "options": options,
                                **destination}], start=start, webhooks={"key_ring": self.ring.path})

    def publish(self, n: int, keys: int = 10, type: str = "order.paid") -> None:
        """Commits n events, numbered within their keys."""
        self.db.run("SELECT outbox.publish(%s, (i %% %s)::text, json_build_object('n', i), 'order')"
                    " FROM generate_series(1, %s) i ORDER BY i", type, keys, n)

    def states(self, name: str) -> dict[str, int]:
        return dict(self.db.run("SELECT state, count(*) FROM outbox.delivery WHERE subscription = %s GROUP BY 1",
                                self.numbers[name]))

    def is_delivered(self, name: str, n: int) -> bool:
        return self.states(name) == {"DELIVERED": n}

    def wait_delivered(self, n: int, names=None, timeout: float = 180) -> None:
        for name in names or self.numbers:
            wait_until(lambda: self.is_delivered(name, n), f"{name}: {n} delivered", timeout=timeout)


@pytest.fixture
def stage(db, relay_of, build, postrider, tmp_path):
    with Subscribers() as endpoints:
        yield Stage(db, relay_of, KeyRing(build, postrider, tmp_path), endpoints)


def assert_in_order(arrivals) -> None:
    """First acceptances of a key come in the order of their numbers."""
    seen: set[str] = set()
    last: dict[str, int] = collections.defaultdict(int)
    for a in arrivals:
        if a.event_id in seen:
            continue
        seen.add(a.event_id)
        event = json.loads(a.body)
        assert event["payload"]["n"] > last[event["aggregateId"]], a
        last[event["aggregateId"]] = event["payload"]["n"]


def test_counts_are_equal_at_both_ends(stage):
    """Every delivery arrives once, signed with its own secret, and has one attempt row."""
    for i in range(20):
        stage.subscribe(f"s{i}")
    stage.publish(300)
    stage.relay()
    stage.wait_delivered(300)
    accepted = stage.endpoints.accepted()
    for name, arrivals in accepted.items():
        assert len(arrivals) == len({a.event_id for a in arrivals}) == 300, name
        assert all(a.verified for a in arrivals)
        assert_in_order(arrivals)
    attempts = stage.db.value("SELECT count(*) FROM outbox.attempt WHERE outcome = 'delivered'")
    assert attempts == len(stage.endpoints.arrivals) == 6000
    print(f"6000 deliveries, {attempts} attempts, {len(stage.endpoints.arrivals)} requests")


def test_each_gets_what_it_asked_for(stage):
    stage.subscribe("all")
    stage.subscribe("orders", event_types=["order.*"])
    stage.subscribe("one", event_types=["user.made"])
    stage.subscribe("rich", filter_path='$."payload"."n" >= 15')
    stage.publish(20)
    stage.publish(5, type="user.made")
    stage.relay()
    for name, n in {"all": 25, "orders": 20, "one": 5, "rich": 6}.items():
        stage.wait_delivered(n, [name])
    assert {k: len(v) for k, v in stage.endpoints.accepted().items()} == {"all": 25, "orders": 20, "one": 5, "rich": 6}


def test_kill_9_loses_nothing(stage):
    """Five kills under load: every delivery arrives, in order, repeated at most a window each time."""
    for i in range(10):
        stage.subscribe(f"s{i}")
    relay = stage.relay(max_in_flight=64)
    writer = threading.Thread(target=lambda: [stage.publish(60) for _ in range(10)])
    writer.start()
    for _ in range(5):
        time.sleep(random.uniform(0.4, 0.9))
        relay.kill9()
        relay.start(wait=False)
    writer.join()
    stage.wait_delivered(600)
    repeated = 0
    for arrivals in stage.endpoints.accepted().values():
        repeated += len(arrivals) - len({a.event_id for a in arrivals})
        assert len({a.event_id for a in arrivals}) == 600
    assert repeated <= 5 * 64
    print(f"6000 deliveries, 5 kills, {repeated} repeated")


def test_an_older_event_waits_for_what_is_being_sent_of_its_key(stage):
    """Put before a later event that is on its way already, it goes when that one has ended, and not beside it."""
    one = stage.subscribe("slow")
    stage.relay()
    stage.publish(1, keys=1)
    stage.wait_delivered(1)
    stage.endpoints.endpoint("slow").held = True
    stage.publish(1, keys=1)
    wait_until(lambda: len(stage.endpoints.of("slow")) == 2, "the second is being sent")
    lane, first = stage.db.run("SELECT lane, min(seq) FROM outbox.delivery GROUP BY lane")[0]
    assert stage.db.run("SELECT * FROM outbox.redeliver(%s, %s, %s)", lane, first, one) == [(None, "PENDING")]
    time.sleep(1.5)  # ample for the lane to send it, if nothing keeps it
    ended = time.time()
    stage.endpoints.endpoint("slow").held = False
    wait_until(lambda: len(stage.endpoints.of("slow")) == 3, "the first is sent again")
    stage.wait_delivered(2)
    before, second, again = stage.endpoints.of("slow")
    assert again.event_id == before.event_id != second.event_id
    assert again.at >= ended


def test_an_outage_costs_no_attempt(stage):
    """An endpoint that is down, then says 503, then answers: everything arrives in order, nothing was spent."""
    stage.subscribe("down")
    stage.subscribe("well")
    e = stage.endpoints.endpoint("down")
    e.status = 503
    stage.relay(retry={"initial": "100ms", "max": "500ms", "max_attempts": 2})
    stage.publish(40)
    stage.wait_delivered(40, ["well"])

    def asked() -> list[float]:
        return [a.at for a in stage.endpoints.of("down")]

    wait_until(lambda: asked()[-1] - asked()[0] >= 2, "it has been asked for two seconds")
    assert stage.db.value("SELECT max(attempts) FROM outbox.delivery WHERE subscription = %s",
                          stage.numbers["down"]) == 0
    assert stage.db.value("SELECT last_cause FROM outbox.subscription_health WHERE subscription = %s",
                          stage.numbers["down"]) == "failed_5xx"
    assert sum(at < asked()[0] + 2 for at in asked()) < 40 + 16  # one window, then probes
    e.status = 204
    stage.wait_delivered(40, ["down"])
    assert_in_order(stage.endpoints.accepted()["down"])
    assert stage.db.value("SELECT failing_since IS NULL FROM outbox.subscription_health WHERE subscription = %s",
                          stage.numbers["down"])


def test_a_refused_event_follows_its_schedule_and_dies(stage):
    """Attempts say when, why and what next; the key goes on behind the dead one."""
    stage.subscribe("picky", retry_schedule=[1, 2])
    stage.endpoints.endpoint("picky").answer = lambda a: 400 if json.loads(a.body)["payload"]["n"] == 3 else 200
    stage.publish(10, keys=1)
    stage.db.run("ALTER TABLE outbox.attempt ADD written timestamptz DEFAULT clock_timestamp()")
    stage.relay()
    wait_until(lambda: stage.states("picky") == {"DELIVERED": 9, "DEAD": 1}, "all but one are delivered")
    rows = stage.db.run("SELECT number, http_status, category, cause, outcome, trigger, remote, total_us > 0,"
                        " round(extract(epoch FROM next_attempt_at - written), 2), started_at, next_attempt_at"
                        " FROM outbox.attempt"
                        " WHERE outcome <> 'delivered' ORDER BY attempt")
    remote = f"127.0.0.1:{stage.endpoints.port}"
    same = (400, "http_4xx", "rejected_4xx", "retry", "schedule", remote, True)
    assert [r[:8] for r in rows] == [(1, *same), (2, *same), (3, *same)]
    assert 1 <= rows[0][8] <= 1.5 and 2 <= rows[1][8] <= 2.7 and rows[2][8] is None
    assert all(following[9] >= row[10] for row, following in zip(rows, rows[1:]))
    assert_in_order(stage.endpoints.accepted()["picky"])


def test_410_disables_and_remembers(stage):
    stage.subscribe("gone")
    stage.subscribe("well")
    stage.endpoints.endpoint("gone").status = 410
    stage.relay()
    stage.publish(5, keys=5)
    wait_until(lambda: stage.db.value("SELECT status = 'disabled' FROM outbox.subscription WHERE subscription = %s",
                                      stage.numbers["gone"]), "it is disabled")
    row = stage.db.run("SELECT status_reason, missed_snap IS NOT NULL FROM outbox.subscription WHERE subscription = %s",
                       stage.numbers["gone"])[0]
    assert row == ("gone_410", True)
    before = sum(stage.states("gone").values())
    stage.publish(5, keys=5)
    stage.wait_delivered(10, ["well"])
    assert sum(stage.states("gone").values()) == before  # nothing is queued for it
    assert "gone_410" in stage.db.value("SELECT string_agg(cause, ',') FROM outbox.delivery WHERE state = 'DEAD'")


def test_an_endpoint_that_only_fails_is_disabled_in_the_end(stage):
    stage.subscribe("dead", disable_after_s=3600)
    stage.endpoints.endpoint("dead").status = 503
    stage.relay(retry={"initial": "50ms", "max": "200ms", "max_attempts": 20})
    stage.publish(3, keys=3)
    wait_until(lambda: (stage.db.value("SELECT COALESCE(max(consecutive_failures), 0) FROM outbox.subscription_health")
                        >= 3), "it has failed for a while")
    assert stage.db.value("SELECT status FROM outbox.subscription") == "active"
    stage.db.run("UPDATE outbox.subscription_health SET failing_since = now() - interval '2 hours'")
    wait_until(lambda: stage.db.value("SELECT status FROM outbox.subscription") == "disabled", "it is disabled")
    assert stage.db.value("SELECT status_reason FROM outbox.subscription") == "failure_rate"


def test_paused_queues_and_goes_on_in_order(stage):
    stage.subscribe("p")
    stage.subscribe("well")
    stage.relay()
    stage.publish(10)
    stage.wait_delivered(10)
    stage.db.run("UPDATE outbox.subscription SET status = 'paused', version = version + 1 WHERE subscription = %s",
                 stage.numbers["p"])
    stage.publish(30)
    stage.wait_delivered(40, ["well"])
    time.sleep(1.5)
    assert len(stage.endpoints.of("p")) == 10
    stage.db.run("UPDATE outbox.subscription SET status = 'active', version = version + 1 WHERE subscription = %s",
                 stage.numbers["p"])
    stage.wait_delivered(40, ["p"])


def test_a_limit_on_the_rate_is_kept(stage):
    stage.subscribe("slow", rate_per_second=10, burst=2)
    stage.publish(30, keys=30)
    stage.relay()
    stage.wait_delivered(30)
    # From the moment at which all could have gone: between two arrivals there may be less than between two departures.
    begin = stage.db.value("SELECT extract(epoch FROM min(created_at))::float8 FROM outbox.delivery")
    times = [a.at - begin for a in stage.endpoints.of("slow")]
    assert len(times) == 30
    for i, at in enumerate(times):
        assert at > (i - 1) / 10 - 0.05, f"{i + 1} within {at:.3f} s at ten a second, two at once"


def test_hanging_endpoints_cost_the_others_nothing(stage):
    """A fifth of 60 endpoints never answers; the others get all of theirs meanwhile."""
    hanging = [f"h{i}" for i in range(12)]
    well = [f"w{i}" for i in range(48)]
    for name in hanging + well:
        stage.subscribe(name)
    for name in hanging:
        stage.endpoints.endpoint(name).status = 0
    stage.relay(options={"timeout": "2s"})
    for _ in range(10):
        stage.publish(5, keys=5)
        time.sleep(0.2)
    stage.wait_delivered(50, well)
    assert all("DELIVERED" not in stage.states(name) for name in hanging)
    committed = dict(stage.db.run("SELECT event_id::text, extract(epoch FROM occurred_at)::float8 FROM outbox.event"))
    late = sorted(a.at - committed[a.event_id] for name in well for a in stage.endpoints.of(name))
    print(f"{len(late)} deliveries to healthy endpoints: p50 {late[len(late) // 2] * 1000:.1f} ms,"
          f" p99 {late[len(late) * 99 // 100] * 1000:.1f} ms")


def test_rotation_under_load(stage):
    """While secrets change, every request verifies with one that was valid; after the overlap with the new one only."""
    number = stage.subscribe("r")
    e = stage.endpoints.endpoint("r")
    sub = stage.db.value("SELECT id FROM outbox.subscription")
    stage.relay()
    stop = threading.Event()
    writer = threading.Thread(target=lambda: [stage.publish(5) or time.sleep(0.02) for _ in iter(stop.is_set, True)])
    writer.start()
    for i in range(5):
        e.secrets.append(stage.ring.add_secret(stage.db, number, sub, f"key_{i:032d}"))
        stage.db.run("UPDATE outbox.subscription_secret SET expires_at = now() + interval '300 milliseconds'"
                     " WHERE subscription = %s AND expires_at IS NULL AND id <> %s", number, f"key_{i:032d}")
        time.sleep(0.6)
    wait_until(lambda: stage.db.value("SELECT count(*) FROM outbox.event") > 100, "there was some load")
    stop.set()
    writer.join()
    n = stage.db.value("SELECT count(*) FROM outbox.event")
    stage.wait_delivered(n)
    stage.publish(1)  # after the last overlap
    stage.wait_delivered(n + 1)
    arrivals = stage.endpoints.of("r")
    assert len(arrivals) > n and all(a.verified for a in arrivals)
    signed = [len(a.headers["webhook-signature"].split(" ")) for a in arrivals]
    assert max(signed) == 2 and signed[-1] == 1
    print(f"{len(arrivals)} requests over 5 rotations, 0 unverifiable")


def test_one_broken_secret_stops_one_subscription(stage):
    stage.subscribe("broken")
    stage.subscribe("well")
    stage.db.run("UPDATE outbox.subscription_secret SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)"
                 " WHERE subscription = %s", stage.numbers["broken"])
    relay = stage.relay()
    stage.publish(10)
    stage.wait_delivered(10, ["well"])
    wait_until(lambda: stage.db.value("SELECT last_cause FROM outbox.subscription_health WHERE subscription = %s",
                                      stage.numbers["broken"]) == "secret_undecryptable", "the cause is written down")
    assert stage.endpoints.of("broken") == [] and relay.running()


def test_swapped_secrets_do_not_open(stage):
    stage.subscribe("a")
    stage.subscribe("b")
    stage.db.run("UPDATE outbox.subscription_secret t SET sealed = o.sealed FROM outbox.subscription_secret o"
                 " WHERE o.subscription <> t.subscription")
    stage.relay()
    stage.publish(3)
    wait_until(lambda: stage.db.value("SELECT count(*) FROM outbox.subscription_health"
                                      " WHERE last_cause = 'secret_undecryptable'") == 2, "both are refused")
    assert stage.endpoints.arrivals == []


def test_secrets_are_nowhere(stage, tmp_path):
    """Not in logs, metrics, arguments, the environment of the process, errors or a dump. The query of a URL may be one:
    of these places it is in the dump only."""
    for name in ("ok?key=QU3RY", "bad?key=QU3RY", "down?key=QU3RY", "odd?key=QU3RY"):
        stage.subscribe(name)
    stage.endpoints.endpoint("bad?key=QU3RY").status = 500
    stage.db.run("UPDATE outbox.subscription SET url = replace(url, %s, ':1/') WHERE url LIKE '%%down%%'",
                 f":{stage.endpoints.port}/")
    stage.db.run("UPDATE outbox.subscription SET url = replace(url, 'http:', 'ftp:') WHERE url LIKE '%odd%'")
    relay = stage.relay()
    stage.publish(5)
    stage.wait_delivered(5, ["ok?key=QU3RY"])
    wait_until(lambda: stage.db.value("SELECT count(*) FROM outbox.attempt WHERE outcome = 'retry'") > 3, "some fail")
    wait_until(lambda: stage.db.value("SELECT count(*) FROM outbox.subscription_health WHERE last_cause IN"
                                      " ('unreachable', 'blocked_address')") == 2, "two cannot be reached")
    places = {"log": relay.log(), "metrics": relay.metrics()}
    for name in ("cmdline", "environ"):
        with open(f"/proc/{relay.pid}/{name}", "rb") as f:
            places[name] = f.read().decode("latin-1")
    places["dump"] = subprocess.run(["pg_dump", stage.db.dsn], capture_output=True, text=True, check=True).stdout
    secrets = [s for e in stage.endpoints.endpoints.values() for s in e.secrets]
    with open(stage.ring.path, encoding="ascii") as f:
        secrets += [line.split()[1] for line in f]
    places["attempts"] = str(stage.db.run("SELECT error, category, remote FROM outbox.attempt"))
    places["health"] = str(stage.db.run("SELECT * FROM outbox.subscription_health"))
    for place, text in places.items():
        assert place == "dump" or "QU3RY" not in text, place
        for secret in secrets:
            assert secret.removeprefix("whsec_") not in text, place
    assert "outbox.subscription_secret" in places["dump"] and "whsec_" not in places["dump"]


def test_a_redelivery_asked_in_flight_is_not_lost(stage):
    stage.subscribe("r")
    e = stage.endpoints.endpoint("r")
    e.held = True
    stage.relay()
    stage.publish(1)
    wait_until(lambda: len(stage.endpoints.of("r")) == 1, "it is in flight")
    stage.db.run("UPDATE outbox.delivery SET asked = asked + 1, trigger = 'manual'")
    e.held = False
    wait_until(lambda: len(stage.endpoints.of("r")) == 2, "it comes again")
    stage.wait_delivered(1)
    assert [r[0] for r in stage.db.run("SELECT trigger FROM outbox.attempt ORDER BY attempt")] == ["schedule", "manual"]


def test_a_database_restart_repeats_little(own_postgres, relay_of_own, build, postrider, tmp_path):
    """Connections are lost in the middle of deliveries: all arrive, in order."""
    db, relay_of = relay_of_own
    with Subscribers() as endpoints:
        stage = Stage(db, relay_of, KeyRing(build, postrider, tmp_path), endpoints)
        for i in range(5):
            stage.subscribe(f"s{i}")
        stage.relay()
        stage.publish(200)
        time.sleep(0.3)
        own_postgres.restart("immediate")
        stage.publish(100)
        stage.wait_delivered(300)
        for arrivals in endpoints.accepted().values():
            assert len({a.event_id for a in arrivals}) == 300


@pytest.fixture
def relay_of_own(own_postgres, migrate, postrider, tmp_path):
    """As relay_of, on a server of this test's own."""
    db = own_postgres.create_database("own")
    migrate(db)
    with contextlib.ExitStack() as stack:
        def make(destinations, start=True, **settings):
            r = Relay(postrider, tmp_path, db.dsn, destinations, None, **settings)
            stack.callback(r.__exit__)
            return r.start() if start else r
        yield db, make


def test_a_reload_that_forbids_an_address_ends_its_connection(stage):
    """A connection was kept while the address was allowed: it is not used once it is not."""
    stage.subscribe("s")
    relay = stage.relay()
    stage.publish(20, keys=1)
    stage.wait_delivered(20)
    assert stage.db.value("SELECT count(*) FROM outbox.attempt WHERE reused") > 0
    options = relay.config["destinations"][0]["options"]

    def reload(cidrs: str) -> None:
        generation = relay.metric("postrider_config_generation")
        options["allow_cidrs"] = cidrs
        relay.write_config()
        relay.hup()
        wait_until(lambda: relay.metric("postrider_config_generation") == generation + 1, "reloaded")

    reload("10.0.0.0/8")
    stage.publish(1)
    wait_until(lambda: stage.db.value("SELECT last_cause FROM outbox.subscription_health") == "blocked_address",
               "it is refused")
    assert len(stage.endpoints.of("s")) == 20
    assert stage.db.value("SELECT sum(requests) FROM outbox.attempt WHERE category = 'blocked_address'") == 0
    reload(ALLOWED["allow_cidrs"])
    stage.wait_delivered(21)
