# SPDX-License-Identifier: Apache-2.0
"""stage.py - what the scenarios stand on: servers, the loaded log, the relay, the programs.

Servers start on first use and stay up to the end, so that a relay and the program it is compared
with meet the same ones. A drained lane is deleted and the same log is drained again: nothing is
loaded twice.
"""

import contextlib
import datetime
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from harness.kafka import Kafka, KafkaUnavailable
from harness.postgres import Postgres, SUPERUSER
from harness.rabbitmq import RabbitMQ
from harness.relay import Relay
from harness.wait import wait_until

PAYLOAD = 300
KEYS = 10007
HEADERS = 7     # that the Kafka adapter adds to an event of this log

LOAD = """
INSERT INTO outbox.event (type, aggregate_type, aggregate_id, payload)
SELECT 'ORDER_CHANGED', 'order', 'order-' || n::bigint * 7919 %% %s,
       (rpad('{"n":' || n || ',"text":"', %s, 'x') || '"}')::json
FROM generate_series(%s, %s) n
"""


def body_size() -> int:
    """Bytes of an event of this log in the canonical envelope."""
    event = {"eventId": "0190a2b4-1111-7222-8333-123456789abc", "type": "ORDER_CHANGED",
             "occurredAt": "2026-01-01T00:00:00.000000Z", "aggregateId": "order-1234", "payload": 0,
             "version": 1, "aggregateType": "order"}
    return len(json.dumps(event, separators=(",", ":"))) - 1 + PAYLOAD


class Skipped(RuntimeError):
    """A scenario cannot run here."""


class Stage:
    """Use as a context manager: everything that was started ends with it."""

    def __init__(self, build: str, events: int):
        self.build, self.events = build, events
        self.folder = tempfile.mkdtemp(prefix="postrider-bench-")
        self._stack = contextlib.ExitStack()
        self._servers: dict[str, object] = {}
        self._n = 0

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_exc) -> None:
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name: str) -> str:
        """Path of a program of the build."""
        places = {"postrider": "postrider", "kafka_bare": "tests/brokers/kafka_bare"}
        return os.path.join(self.build, places.get(name, f"tests/bench/{name}"))

    def run(self, name: str, *args) -> dict:
        """Runs a program to its end; returns the JSON object it printed, and its processor time."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.program(name), *map(str, args)], capture_output=True, text=True,
                              check=False, timeout=3600)
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed: {done.stdout}{done.stderr}"[-2000:])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**json.loads(done.stdout), "cpu_seconds": cost}

    def unique(self, name: str) -> str:
        self._n += 1
        return f"{name}{self._n}"

    # Servers -------------------------------------------------------------------------------------

    def _server(self, name: str, make):
        if name not in self._servers:
            say(f"starting {name}")
            self._servers[name] = self._stack.enter_context(make())
        return self._servers[name]

    def postgres(self) -> Postgres:
        return self._server("PostgreSQL", lambda: Postgres(settings={
            "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}))

    def kafka(self) -> Kafka:
        if os.environ.get("POSTRIDER_NO_KAFKA"):
            raise Skipped("left out: POSTRIDER_NO_KAFKA is set")
        try:
            return self._server("Apache Kafka", Kafka)
        except KafkaUnavailable as e:
            raise Skipped(str(e)) from e

    def rabbitmq(self) -> RabbitMQ:
        return self._server("RabbitMQ", RabbitMQ)

    def database(self, name: str = "empty"):
        """A migrated database; the one named "log" holds the events to drain."""
        def make():
            db = self.postgres().create_database(name)
            subprocess.run([self.program("postrider"), "migrate", "--dsn", db.dsn], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            if name == "log":
                self._load(db)
            return contextlib.nullcontext(db)
        return self._server(f"database {name}", make)

    def _load(self, db) -> None:
        with contextlib.closing(db.connect()) as c, c.cursor() as cursor:
            for first in range(0, self.events, 1000):
                last = min(first + 1000, self.events) - 1
                cursor.execute(LOAD, (KEYS, PAYLOAD - 2, first, last))
                c.commit()
        db.run("VACUUM ANALYZE outbox.event")
        db.run("CHECKPOINT")

    def socket_dsn(self, db) -> str:
        """The database over the Unix socket."""
        server = self.postgres()
        return f"postgresql://{SUPERUSER}@/{db.name}?host={server.folder}&port={server.port}"

    # Relay ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def relay(self, db, destinations: list[dict], wait: bool = False, settings: dict | None = None, **source):
        """A relay of its own lanes; it ends in good order, and the lanes are gone afterwards."""
        folder = os.path.join(self.folder, self.unique("relay"))
        os.mkdir(folder)
        r = Relay(self.program("postrider"), folder, self.socket_dsn(db), destinations,
                  source={"lease": "10s", "poll_max": "100ms", **source}, **(settings or {}))
        try:
            r.started_at = time.time()
            yield r.start(wait=wait)
            r.term()
        finally:
            r.__exit__()
            db.run("DELETE FROM outbox.lane")
            db.run("DELETE FROM outbox.delivery")

    def drain(self, destination: dict) -> dict:
        """Drains the log to one destination: events a second from the claim to the last settle."""
        db = self.database("log")
        newest = db.value("SELECT max(xid)::text::bigint FROM outbox.event")
        with self.relay(db, [{"name": "drain", **destination}]) as r:
            end = wait_until(lambda: settled_at(db, newest), "the log is drained", timeout=3600, every=0.1)
            begin = claimed_at(r)
            cost = cpu_seconds(r.pid)
            delivered = int(r.metric("postrider_delivered_total", lane="drain"))
        if delivered < self.events:
            raise RuntimeError(f"{delivered} of {self.events} events were delivered")
        return {"events": delivered, "per_second": self.events / (end - begin), "cpu_seconds": cost}


def settled_at(db, newest: int) -> float | None:
    """When the only lane was settled up to the transaction `newest`; None if it is not."""
    rows = db.run("SELECT extract(epoch FROM updated_at) FROM outbox.lane"
                  " WHERE win IS NULL AND pg_snapshot_xmin(snap)::text::bigint > %s", newest)
    return float(rows[0][0]) if rows else None


def claimed_at(relay: Relay) -> float:
    """When the relay said that it has its first lane, in seconds of the epoch."""
    for record in relay.log_records():
        if record["event"] == "lane.claimed":
            return datetime.datetime.fromisoformat(record["ts"].replace("Z", "+00:00")).timestamp()
    raise RuntimeError("no lane was claimed")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, in the kernel's nanoseconds."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process in MB: now, and at its highest."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        text = f.read()
    return tuple(int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) / 1024
                 for name in ("VmRSS", "VmHWM"))


def say(text: str) -> None:
    """Progress, for the one who waits."""
    print(f"  {text}", file=sys.stderr, flush=True)
