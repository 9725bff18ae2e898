# SPDX-License-Identifier: Apache-2.0
"""Exactly the committed events reach every destination, whatever way a transaction ended."""

import contextlib
import random
import uuid

import pytest

from harness.sinks import assert_delivered, wait_settled
from harness.wait import wait_until
from harness.writers import Mix, Writers, committed, publish

RNG = random.Random(7)


@pytest.fixture
def written(db):
    """One transaction of each kind has ended; returns the ids that must be delivered."""
    ids: list[str] = []
    db.run("INSERT INTO aggregate SELECT 'agg-' || n FROM generate_series(0, 4) n")
    with contextlib.closing(db.connect()) as c:
        with c.cursor() as cursor:
            ids.append(publish(cursor, "agg-0", RNG))
        c.commit()

        with c.cursor() as cursor:
            publish(cursor, "agg-0", RNG)
        c.rollback()

        with c.cursor() as cursor:
            ids.append(publish(cursor, "agg-1", RNG))
            cursor.execute("SAVEPOINT s")
            publish(cursor, "agg-1", RNG)
            cursor.execute("ROLLBACK TO SAVEPOINT s")
            ids.append(publish(cursor, "agg-1", RNG))
            cursor.execute("SAVEPOINT t")
            ids.append(publish(cursor, "agg-1", RNG))
            cursor.execute("RELEASE SAVEPOINT t")
        c.commit()

        for agg, commit in (("agg-2", True), ("agg-3", False)):
            gid = c.xid(1, str(uuid.uuid4()), agg)
            c.tpc_begin(gid)
            with c.cursor() as cursor:
                event_id = publish(cursor, agg, RNG)
            c.tpc_prepare()
            if commit:
                c.tpc_commit()
                ids.append(event_id)
            else:
                c.tpc_rollback()
    return ids


def settled_ids(db) -> set[str]:
    return {e.event_id for e in committed(db)}


def test_exactly_committed_events_at_file_and_webhook(db, written, relay_of, file, hook):
    relay_of([file, hook])
    wait_settled(db, [file, hook])
    assert settled_ids(db) == set(written)
    assert_delivered(db, [file, hook])
    assert all(d.verified for d in hook.receiver.deliveries)


def test_exactly_committed_events_at_rabbitmq(db, written, relay_of, queue):
    relay_of([queue])
    wait_settled(db, [queue])
    assert_delivered(db, [queue])
    assert len(written) == 5


@pytest.mark.kafka
def test_exactly_committed_events_at_every_destination(db, written, relay_of, file, hook, queue, topic):
    sinks = [file, hook, queue, topic]
    relay_of(sinks)
    wait_settled(db, sinks)
    assert settled_ids(db) == set(written)
    assert_delivered(db, sinks)


@pytest.mark.kafka
def test_mixed_writers_beside_a_running_relay(db, relay_of, file, hook, queue, topic):
    """Commits, rollbacks, savepoints and prepared transactions of 8 writers while the relay reads."""
    sinks = [file, hook, queue, topic]
    relay_of(sinks)
    mix = Mix(hold=(0, 0.05), rollback=0.25, savepoint=0.3, prepared=0.2, aggregates=40)
    with Writers(db, threads=8, mix=mix) as writers:
        wait_until(lambda: writers.transactions >= 300 or writers.failures, "300 transactions", 180)
    wait_settled(db, sinks)
    assert_delivered(db, sinks)


def test_prepared_transaction_waits_for_its_commit(db, relay_of, file):
    """While it is prepared its event is not sent, later ones are; COMMIT PREPARED lets it go."""
    db.run("INSERT INTO aggregate VALUES ('agg-0'), ('agg-1')")
    relay_of([file])
    with contextlib.closing(db.connect()) as slow, contextlib.closing(db.connect()) as fast:
        slow.tpc_begin(slow.xid(1, str(uuid.uuid4()), "late"))
        with slow.cursor() as cursor:
            late = publish(cursor, "agg-0", RNG)
        slow.tpc_prepare()
        with fast.cursor() as cursor:
            soon = publish(cursor, "agg-1", RNG)
        fast.commit()
        wait_until(lambda: file.count() == 1, "the later event is delivered")
        assert [r.event_id for r in file.receipts()] == [soon]
        slow.tpc_commit()
    wait_until(lambda: file.count() == 2, "the prepared event is delivered after its commit")
    assert [r.event_id for r in file.receipts()] == [soon, late]
    wait_settled(db, [file])
    assert_delivered(db, [file])
