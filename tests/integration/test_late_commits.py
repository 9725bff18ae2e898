# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost or disordered under late commits, broker restarts and kills of the relay."""

import concurrent.futures
import contextlib
import json
import os
import random
import time

import pytest

from harness.relay import Relay
from harness.sinks import assert_delivered, open_events, wait_settled
from harness.wait import let_run, wait_until
from harness.writers import Mix, Writers, committed

WINDOW = 256
LATE = Mix(hold=(0.0, 0.5), aggregates=300)
QUICK_RETRY = {"initial": "50ms", "max": "1s"}


def run_for(seconds: float, *steps: tuple[float, object]) -> None:
    """Calls each step at its second and returns after `seconds`."""
    start = time.monotonic()
    for at, step in steps:
        let_run(at - (time.monotonic() - start))
        step()
    let_run(seconds - (time.monotonic() - start))


@pytest.mark.kafka
@pytest.mark.slow
def test_late_commits_survive_broker_restarts(db, relay_of, file, queue, topic):
    """16 writers hold transactions 0 to 500 ms for 10 s; RabbitMQ and Kafka restart once each."""
    sinks = [file, queue, topic]
    relay_of(sinks, extra={"max_in_flight": WINDOW, "retry": QUICK_RETRY})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        restarts = []
        with Writers(db, threads=16, mix=LATE) as writers:
            run_for(10, (2, lambda: restarts.append(pool.submit(queue.broker.restart))),
                    (4, lambda: restarts.append(pool.submit(topic.broker.restart))))
            assert not writers.failures
        for restart in restarts:
            restart.result()
    wait_settled(db, sinks, timeout=300)
    assert_delivered(db, sinks, {"queue": WINDOW, "topic": WINDOW})


def assert_window_per_kill(file, marks: list[int]) -> None:
    """`marks` are the sizes of the file at each kill. What a process delivered and a later one
    delivers again was in flight when it was killed: no more than a window."""
    lines, size = [], 0
    with open(file.path, "rb") as f:
        for line in f:
            size += len(line)
            with contextlib.suppress(ValueError):  # a kill has torn it
                lines.append((size, json.loads(line)["eventId"]))
    later = {event_id for end, event_id in lines if end > marks[-1]}
    repeated = []
    for begin, mark in reversed(list(zip([0] + marks, marks))):
        own = {event_id for end, event_id in lines if begin < end <= mark}
        repeated.append(len(later & own))
        later |= own
    print(f"delivered again, by the process that was killed: {repeated[::-1]}")
    assert max(repeated) <= WINDOW


@pytest.mark.kafka
@pytest.mark.slow
def test_kill_9_loses_nothing(db, relay_of, file, queue, topic):
    """20 kills under the same load: duplicates have the same bytes, at most a window a kill."""
    kills = 20
    rng = random.Random(20)
    sinks = [file, queue, topic]
    relay = relay_of(sinks, source={"lease": "1s"}, extra={"max_in_flight": WINDOW, "retry": QUICK_RETRY})
    marks = []
    with Writers(db, threads=16, mix=LATE) as writers:
        for _ in range(kills):
            before = file.count()
            wait_until(lambda seen=before: file.count() > seen, "the relay delivers")
            let_run(rng.uniform(0, 0.6))
            relay.kill9()
            marks.append(os.path.getsize(file.path))
            relay.start(wait=False)
        assert not writers.failures
    wait_settled(db, sinks, timeout=300)
    print(f"{len(committed(db))} events, {kills} kills")
    assert_delivered(db, sinks, kills * WINDOW, torn=kills)
    assert_window_per_kill(file, marks)


@pytest.mark.slow
def test_kill_9_with_a_backlog_repeats_at_most_a_window(db, relay_of, file, queue):
    """The relay is killed while it works off 30,000 events, when windows are full."""
    kills = 10
    rng = random.Random(10)
    sinks = [file, queue]
    mix = Mix(hold=(0, 0), events=(200, 200), size=(50, 300), rollback=0, prepared=0, savepoint=0)
    def write(transactions: int) -> None:
        with Writers(db, threads=4, mix=mix) as writers:
            wait_until(lambda: writers.transactions >= transactions or writers.failures, f"{transactions} of 200", 300)
    write(150)
    relay = relay_of(sinks, start=False, source={"lease": "1s"}, extra={"max_in_flight": WINDOW})
    marks = []
    for n in range(kills):
        if n > 0 and dict(open_events(db)).get("file", 0) < 5000:
            write(50)  # on a busy machine a relay gets far before it is killed
        before = file.count()
        relay.start(wait=False)
        wait_until(lambda seen=before: file.count() > seen, "the relay delivers")
        let_run(rng.uniform(0, 0.1))
        relay.kill9()
        marks.append(os.path.getsize(file.path))
    relay.start()
    wait_settled(db, sinks, timeout=300)
    assert_delivered(db, sinks, kills * WINDOW, torn=kills)
    assert_window_per_kill(file, marks)


def test_database_restart_loses_nothing(own_postgres, migrate, postrider, tmp_path, file):
    """The server is stopped at once and comes back, twice, under the load."""
    db = own_postgres.create_database("events")
    migrate(db)
    Writers.prepare(db)
    relay = Relay(postrider, tmp_path, db.dsn, [file.config(max_in_flight=WINDOW)])
    with relay, Writers(db, threads=8, mix=Mix(hold=(0, 0.1), aggregates=100)) as writers:
        for restart in (True, True, False):
            before = file.count()
            wait_until(lambda seen=before: file.count() > seen + 20, "events arrive")
            if restart:
                own_postgres.restart("immediate")
        assert not writers.failures
        writers.stop()
        wait_settled(db, [file])
        assert relay.running()
    assert_delivered(db, [file], 2 * WINDOW)
