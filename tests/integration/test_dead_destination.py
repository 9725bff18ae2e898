# SPDX-License-Identifier: Apache-2.0
"""A dead destination costs the others nothing and catches up by itself."""

import os
import time

import pytest

from harness.sinks import assert_delivered, open_events, wait_settled
from harness.wait import let_run, wait_until
from harness.writers import Mix, Writers, committed

# The issue asks for a minute; a shorter value is for working on the test itself.
OUTAGE_S = float(os.environ.get("POSTRIDER_OUTAGE_S", "60"))
STEADY = Mix(hold=(0, 0), events=(1, 3), aggregates=500, pause=0.05, rollback=0, savepoint=0, prepared=0)


def rates(db, sink, seconds: float) -> tuple[float, float]:
    """Events a second that are committed, and that arrive at `sink`, over that time."""
    def both() -> tuple[int, int]:
        return db.value("SELECT count(*) FROM truth"), sink.count()
    before, start = both(), time.monotonic()
    let_run(seconds)
    after, taken = both(), time.monotonic() - start
    return (after[0] - before[0]) / taken, (after[1] - before[1]) / taken


@pytest.mark.slow
def test_others_go_on_while_one_is_dead_for_a_minute(db, relay_of, file, hook, queue):
    sinks = [file, hook, queue]
    relay = relay_of(sinks, extra={"retry": {"initial": "100ms", "max": "2s"}})
    with Writers(db, threads=8, mix=STEADY) as writers:
        wait_until(lambda: hook.count() > 50, "the webhook gets events")
        _, healthy = rates(db, file, 5)
        hook.receiver.down()
        wrote, dead = rates(db, file, OUTAGE_S)
        waiting = dict(open_events(db))
        print(f"file: {healthy:.0f}/s with all up, {dead:.0f}/s of {wrote:.0f}/s with one dead; waiting: {waiting}")
        # What others ask of the machine changes how much is written, not how much of it arrives.
        assert dead >= 0.8 * wrote and dead >= 0.2 * healthy
        assert waiting.get("hook", 0) > 0.5 * dead * OUTAGE_S, "the dead destination's events are countable"
        wait_until(lambda: dict(open_events(db)).get("queue", 0) < 200, "the others keep up with the writers")
        assert not writers.failures
    wait_until(relay.ready, "a dead destination is not the relay's readiness")
    hook.receiver.up()
    wait_settled(db, sinks, timeout=300)
    assert db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'DEAD'") == 0
    # What was on its way when the endpoint went down may have been taken and not confirmed.
    assert_delivered(db, sinks, {"hook": 64})


def test_outage_burns_no_attempts(db, relay_of, hook):
    """An unreachable endpoint is not the events' fault: with max_attempts 2 none of them dies."""
    hook.receiver.down()
    relay_of([hook], extra={"retry": {"initial": "20ms", "max": "100ms", "max_attempts": 2}})
    with Writers(db, threads=2, mix=STEADY) as writers:
        wait_until(lambda: writers.transactions >= 50, "50 transactions")
    wait_until(lambda: dict(open_events(db)).get("hook", 0) >= len(committed(db)), "all of them wait")
    let_run(2)  # many more retries than max_attempts
    hook.receiver.up()
    wait_settled(db, [hook])
    assert_delivered(db, [hook])


def test_poison_event_holds_only_its_own_key(db, relay_of, hook):
    """One event is refused for ever: it dies with a cause, its key goes on, others never waited."""
    hook.receiver.answer = lambda d: 500 if b'"aggregateId":"poison"' in d.body and b'"n":1}' in d.body else 204
    relay_of([hook], extra={"retry": {"initial": "20ms", "max": "50ms", "max_attempts": 3}})
    db.run("SELECT outbox.publish('t', 'poison', '{\"n\":1}')")
    db.run("SELECT outbox.publish('t', 'poison', '{\"n\":2}')")
    db.run("SELECT outbox.publish('t', 'well', '{\"n\":1}')")
    wait_until(lambda: db.run("SELECT state FROM outbox.delivery WHERE state = 'DEAD'"), "it is dead")
    wait_until(lambda: hook.count() == 2, "the others are delivered")
    attempts, cause = db.run("SELECT attempts, cause FROM outbox.delivery WHERE state = 'DEAD'")[0]
    assert attempts == 3 and cause
    assert sum(b'"n":1}' in d.body and d.status == 500 for d in hook.receiver.deliveries) == 3
