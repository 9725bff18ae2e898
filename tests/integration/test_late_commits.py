# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost or disordered under late commits, broker restarts and kills of the relay."""

import random
import threading
import time

import pytest

from harness.relay import Relay
from harness.sinks import assert_delivered, wait_settled
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
    restarts = []
    with Writers(db, threads=16, mix=LATE) as writers:
        for restart in (queue.broker.restart, topic.broker.restart):
            thread = threading.Thread(target=restart)
            restarts.append(thread)
        run_for(10, (2, restarts[0].start), (4, restarts[1].start))
        assert not writers.failures
    for thread in restarts:
        thread.join(timeout=120)
        assert not thread.is_alive()
    wait_settled(db, sinks, timeout=120)
    assert_delivered(db, sinks, {"queue": WINDOW, "topic": WINDOW})


def assert_window_per_kill(file, marks: list[int]) -> None:
    """`marks` are the lengths of the file at each kill. What a process delivered and a later one
    delivers again was in flight when it was killed: no more than a window."""
    ids = [r.event_id for r in file.receipts(torn=len(marks))]
    later = set(ids[marks[-1]:])
    repeated = []
    for begin, end in reversed(list(zip([0] + marks, marks))):
        repeated.append(len(later & set(ids[begin:end])))
        later.update(ids[begin:end])
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
            wait_until(lambda seen=before: file.count() > seen, "the relay delivers", timeout=30)
            let_run(rng.uniform(0, 0.6))
            relay.kill9()
            marks.append(file.count())
            relay.start(wait=False)
        assert not writers.failures
    wait_settled(db, sinks, timeout=120)
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
    with Writers(db, threads=4, mix=mix) as writers:
        wait_until(lambda: writers.transactions >= 150 or writers.failures, "30,000 events", 120)
    relay = relay_of(sinks, start=False, source={"lease": "1s"}, extra={"max_in_flight": WINDOW})
    marks = []
    for _ in range(kills):
        before = file.count()
        relay.start(wait=False)
        wait_until(lambda seen=before: file.count() > seen, "the relay delivers", timeout=30)
        let_run(rng.uniform(0, 0.1))
        relay.kill9()
        marks.append(file.count())
    relay.start()
    wait_settled(db, sinks, timeout=120)
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
            wait_until(lambda seen=before: file.count() > seen + 20, "events arrive", timeout=30)
            if restart:
                own_postgres.restart("immediate")
        assert not writers.failures
        writers.stop()
        wait_settled(db, [file])
        assert relay.running()
    assert_delivered(db, [file], 2 * WINDOW)
