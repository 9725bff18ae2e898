# SPDX-License-Identifier: Apache-2.0
"""writers.py - applications that write events, and the ground truth of what they committed.

Each transaction locks its aggregate's row, counts its sequence up, publishes through
outbox.publish() and inserts one row per event into `truth`: whatever committed, and nothing else,
is in that table, commits whose reply was lost included. The relay knows nothing of it.

Committed sequences of an aggregate run 1, 2, 3 without a gap, since a rollback takes its counts
back; the checker relies on that.
"""

import contextlib
import dataclasses
import hashlib
import json
import random
import threading
import time
import uuid

import psycopg2

SCHEMA = """
CREATE TABLE aggregate (id text PRIMARY KEY, aseq int NOT NULL DEFAULT 0);
CREATE TABLE truth (
  event_id uuid PRIMARY KEY,
  agg      text NOT NULL,
  aseq     int NOT NULL,
  sha      bytea NOT NULL,
  UNIQUE (agg, aseq)
);
"""


@dataclasses.dataclass(frozen=True)
class Committed:
    """One event of the ground truth."""
    event_id: str
    agg: str
    aseq: int
    sha: bytes


@dataclasses.dataclass(frozen=True)
class Mix:
    """What the transactions of one writer look like; shares are between 0 and 1."""
    hold: tuple[float, float] = (0.0, 0.5)   # seconds between the first insert and the end
    events: tuple[int, int] = (1, 6)         # per transaction
    size: tuple[int, int] = (50, 2000)       # bytes of filling
    aggregates: int = 200
    rollback: float = 0.05
    savepoint: float = 0.10                  # with events inside that are rolled back
    early_xid: float = 0.25                  # the id is taken before the aggregate is locked
    prepared: float = 0.02                   # half of them committed, half rolled back
    pause: float = 0.0                       # seconds between transactions
    type: str = "order.changed"


def payload_text(rng: random.Random, aseq: int, size: int) -> str:
    """JSON that a relay which parses and prints again would change."""
    filling = "".join(rng.choices("abcdefgh äß€😀", k=size))
    odd = rng.choice(['1.0', '1e2', '12345678901234567890', '-0', '0.10', '"\\u00e9\\/"'])
    return (f'{{ "aseq": {aseq},"odd":{odd} , "dup":1,"dup":2,\t'
            f'  "filling":{json.dumps(filling, ensure_ascii=False)}}}')


class Writers:
    """A group of writing threads. Use as a context manager: they stop at its end."""

    def __init__(self, db, threads: int = 16, mix: Mix = Mix(), seed: int = 1):
        self.db, self.mix = db, mix
        self.transactions = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._loop, args=(random.Random(f"{seed}/{i}"),),
                                          name=f"writer-{i}", daemon=True) for i in range(threads)]

    @staticmethod
    def prepare(db) -> None:
        """Creates the tables of the ground truth."""
        db.run(SCHEMA)

    def start(self) -> "Writers":
        for i in range(self.mix.aggregates):
            self.db.run("INSERT INTO aggregate (id) VALUES (%s) ON CONFLICT DO NOTHING", f"agg-{i}")
        for t in self._threads:
            t.start()
        return self

    def stop(self) -> None:
        """Lets every open transaction end and waits for that. Raises what a writer met."""
        self._stop.set()
        for t in self._threads:
            t.join(timeout=180)
        assert not any(t.is_alive() for t in self._threads), "a writer hangs"
        assert not self.failures, self.failures[:3]

    def __enter__(self) -> "Writers":
        return self.start()

    def __exit__(self, *_exc) -> None:
        self.stop()

    def _loop(self, rng: random.Random) -> None:
        connection = None
        gid, tries = None, 20
        while tries and not (self._stop.is_set() and gid is None):
            try:
                if connection is None or connection.closed:
                    connection = self.db.connect()
                if gid is not None:
                    _give_up(connection, gid)
                    gid = None
                    continue
                gid = str(uuid.uuid4())
                _transaction(connection, rng, self.mix, gid)
                gid = None
                self.transactions += 1
            except (psycopg2.OperationalError, psycopg2.InterfaceError):  # the database is away: a test's business
                if connection is not None:
                    connection.close()
                connection = None
                tries -= self._stop.is_set()
                time.sleep(0.1)
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append(repr(e))
                return
            self._stop.wait(self.mix.pause)
        if connection is not None:
            connection.close()


def _give_up(connection, gid: str) -> None:
    """Of a transaction whose end was lost with the connection: one that is prepared holds its locks until
    somebody decides."""
    for xid in connection.tpc_recover():
        if xid.gtrid == gid:
            connection.tpc_rollback(xid)
    connection.rollback()


def _transaction(connection, rng: random.Random, mix: Mix, gid: str) -> None:
    agg = f"agg-{rng.randrange(mix.aggregates)}"
    prepared = rng.random() < mix.prepared
    if prepared:
        connection.tpc_begin(connection.xid(1, gid, "writer"))
    with contextlib.closing(connection.cursor()) as cursor:
        if rng.random() < mix.early_xid:
            cursor.execute("SELECT pg_current_xact_id()")
            time.sleep(rng.uniform(0, mix.hold[1]) / 4)
        for _ in range(rng.randint(*mix.events)):
            if rng.random() < mix.savepoint:
                cursor.execute("SAVEPOINT bait")
                publish(cursor, agg, rng, mix)
                cursor.execute("ROLLBACK TO SAVEPOINT bait")
            publish(cursor, agg, rng, mix)
        time.sleep(rng.uniform(*mix.hold))
    rollback = rng.random() < (0.5 if prepared else mix.rollback)
    if prepared:
        connection.tpc_prepare()
        time.sleep(rng.uniform(*mix.hold))
        connection.tpc_rollback() if rollback else connection.tpc_commit()
    else:
        connection.rollback() if rollback else connection.commit()


def publish(cursor, agg: str, rng: random.Random, mix: Mix = Mix()) -> str:
    """Writes the next event of `agg` and its truth inside the open transaction; returns its id."""
    cursor.execute("UPDATE aggregate SET aseq = aseq + 1 WHERE id = %s RETURNING aseq", (agg,))
    aseq = cursor.fetchone()[0]
    text = payload_text(rng, aseq, rng.randint(*mix.size))
    cursor.execute(
        "WITH e AS (SELECT outbox.publish(%s, %s, %s::json, aggregate_type => 'order') AS id)"
        " INSERT INTO truth SELECT id, %s, %s, %s FROM e RETURNING event_id",
        (mix.type, agg, text, agg, aseq, hashlib.sha256(text.encode()).digest()))
    return cursor.fetchone()[0]


def committed(db) -> list[Committed]:
    """The ground truth as it is now."""
    return [Committed(str(event_id), agg, aseq, bytes(sha)) for event_id, agg, aseq, sha in
            db.run("SELECT event_id, agg, aseq, sha FROM truth ORDER BY agg, aseq")]
