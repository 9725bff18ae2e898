# SPDX-License-Identifier: Apache-2.0
"""An outbox that comes back in another cluster, or in one whose counter went back, loses nothing."""

import os
import shutil
import subprocess

import pytest

from harness.postgres import Database, Postgres, bindir
from harness.relay import Relay
from harness.sinks import assert_delivered, file_sink, wait_settled
from harness.wait import wait_until
from harness.writers import Mix, Writers, committed

STEADY = Mix(hold=(0, 0.02), events=(1, 6), size=(50, 300), aggregates=200)


def write(db, events: int, seed: int) -> None:
    """Commits at least so many more events."""
    before = db.value("SELECT count(*) FROM truth")
    with Writers(db, 8, STEADY, seed) as writers:
        wait_until(lambda: writers.failures or db.value("SELECT count(*) FROM truth") >= before + events,
                   f"{events} events are written", timeout=180)


def burn_transactions(db, n: int) -> None:
    """Makes the cluster's counter run ahead."""
    db.run(f"DO $$ BEGIN FOR i IN 1..{n} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")


def dump(db, path: str, *options: str) -> str:
    subprocess.run([os.path.join(bindir(), "pg_dump"), "-d", db.dsn, "-f", path, *options], check=True)
    return path


def load(dsn: str, path: str) -> None:
    subprocess.run(["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", path], check=True,
                   stdout=subprocess.DEVNULL)


def roles(server: Postgres, path: str) -> str:
    subprocess.run([os.path.join(bindir(), "pg_dumpall"), "--roles-only", "--no-role-passwords",
                    "-d", server.dsn(), "-f", path], check=True)
    # The superuser exists in every cluster of the harness.
    with open(path, encoding="utf-8") as f:
        lines = [line for line in f if " postrider" not in line]
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)
    return path


def deliver(postrider, folder, db, sink, *more) -> str:
    """A relay carries everything; `more` is called while it runs. Returns its log."""
    os.makedirs(folder)
    with Relay(postrider, folder, db.dsn, [sink.config()]) as relay:
        for step in more:
            step(relay)
        wait_settled(db, [sink])
        assert relay.term() == 0
        return relay.log()


def rest(db, already) -> list:
    """What is committed and is not among the receipts."""
    seen = {r.event_id for r in already}
    return [c for c in committed(db) if c.event_id not in seen]


def assert_exactly(receipts, events) -> None:
    """Each of `events` once, and nothing else, in the order of each aggregate."""
    assert sorted(r.event_id for r in receipts) == sorted(c.event_id for c in events)
    place = {r.event_id: i for i, r in enumerate(receipts)}
    last: dict[str, int] = {}
    for c in events:  # by aggregate and sequence
        assert place[c.event_id] > last.get(c.agg, -1), f"{c.agg} is out of order at {c.aseq}"
        last[c.agg] = place[c.event_id]


@pytest.fixture
def old_cluster(migrate):
    """Its counter is far ahead of a fresh cluster's."""
    with Postgres(fsync=False) as server:
        db = server.create_database("events")
        migrate(db)
        Writers.prepare(db)
        burn_transactions(db, 20000)
        yield db


@pytest.mark.slow
def test_dump_into_a_fresh_cluster_delivers_the_rest(old_cluster, postrider, tmp_path):
    """3,000 events are delivered before the dump and 3,000 are pending in it; the new cluster has a
    lower counter and another identifier. Pending and new ones arrive once, the old ones not again."""
    before, after = file_sink(tmp_path, "before"), file_sink(tmp_path, "after")
    before.name = after.name = "file"
    write(old_cluster, 3000, 1)
    deliver(postrider, tmp_path / "old", old_cluster, before)
    done = before.receipts()
    write(old_cluster, 3000, 2)
    text = dump(old_cluster, str(tmp_path / "dump.sql"))
    with Postgres(fsync=False) as fresh:
        load(fresh.dsn(), roles(old_cluster.server, str(tmp_path / "roles.sql")))
        db = fresh.create_database("events")
        load(db.dsn, text)
        counter = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        assert db.value(counter) < old_cluster.value(counter)
        pending = len(rest(db, done))
        assert pending >= 3000
        log = deliver(postrider, tmp_path / "new", db, after, lambda _: write(db, 500, 3))
        assert "lane.rebase" in log
        got = after.receipts()
        print(f"{len(done)} delivered before, {pending} pending in the dump, {len(got)} delivered after")
        assert_exactly(got, rest(db, done))
        assert_delivered(db, [_Both(before, after)])


class _Both:
    """Two files, one after the other, as one sink."""
    name = "both"

    def __init__(self, first, second):
        self._sinks = (first, second)

    def receipts(self, torn: int = 0):
        return [r for s in self._sinks for r in s.receipts(torn)]


@pytest.mark.slow
def test_counter_behind_the_cursor_is_noticed(own_cluster_copy, postrider, tmp_path):
    """A copy of the cluster made earlier comes back and gets a newer dump of the outbox: the identifier
    is the same, the counter is behind the cursor. What was pending in the dump arrives, nothing waits."""
    db, come_back = own_cluster_copy
    before, after = file_sink(tmp_path, "before"), file_sink(tmp_path, "after")
    before.name = after.name = "file"
    burn_transactions(db, 20000)
    write(db, 1000, 1)
    deliver(postrider, tmp_path / "old", db, before)
    done = before.receipts()
    write(db, 1000, 2)
    text = dump(db, str(tmp_path / "dump.sql"), "--clean", "--if-exists")
    ahead = db.value("SELECT max(pg_snapshot_xmax(snap)::text::bigint) FROM outbox.lane")
    identifier = "SELECT system_identifier FROM pg_control_system()"
    was = db.value(identifier)
    come_back()
    load(db.dsn, text)
    assert db.value(identifier) == was
    assert db.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") < ahead
    assert "lane.rebase" in deliver(postrider, tmp_path / "new", db, after, lambda _: write(db, 300, 3))
    assert_exactly(after.receipts(), rest(db, done))


@pytest.mark.slow
def test_copy_taken_earlier_goes_on(own_cluster_copy, postrider, tmp_path):
    """The cluster comes back as it was: cursor and events went back together. What is in it and was
    not settled then arrives; what is written from now on arrives, too, though it may carry
    transaction ids and sequence numbers that were used before."""
    db, come_back = own_cluster_copy
    before, after = file_sink(tmp_path, "before"), file_sink(tmp_path, "after")
    before.name = after.name = "file"
    pending = len(committed(db))
    assert pending > 100
    write(db, 500, 2)
    deliver(postrider, tmp_path / "old", db, before)
    come_back()
    assert len(committed(db)) == pending
    deliver(postrider, tmp_path / "new", db, after, lambda _: write(db, 500, 3))
    assert_exactly(after.receipts(), committed(db))


@pytest.fixture
def own_cluster_copy(migrate):
    """A database with 200 events that no relay has seen, and a function that puts the whole cluster
    back to this moment."""
    with Postgres(fsync=False) as server:
        db = Database(server, server.create_database("events").name)
        migrate(db)
        Writers.prepare(db)
        write(db, 200, 9)
        data, copy = os.path.join(server.folder, "data"), os.path.join(server.folder, "copy")
        server.halt()
        subprocess.run(["cp", "-a", data, copy], check=True)
        server.start()

        def come_back() -> None:
            server.halt()
            shutil.rmtree(data)
            os.rename(copy, data)
            server.start()
        yield db, come_back
