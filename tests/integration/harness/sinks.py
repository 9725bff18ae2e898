# SPDX-License-Identifier: Apache-2.0
"""sinks.py - the destinations of a test, each with its configuration and what it received.

Brokers are read after the run, from the first message on: what they stored is what was delivered,
and no redelivery to a consumer can be taken for a duplicate of the relay.
"""

import dataclasses
import json
import os

from . import relay
from .checker import Receipt, check
from .wait import wait_until
from .writers import committed


@dataclasses.dataclass
class FileSink:
    """The stdout adapter, writing to a file."""
    name: str
    path: str

    def config(self, **extra) -> dict:
        return relay.stdout_file(self.name, self.path, **extra)

    def count(self) -> int:
        """Complete lines so far; 0 while the file does not exist."""
        try:
            with open(self.path, "rb") as f:
                return sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
        except FileNotFoundError:
            return 0

    def receipts(self, torn: int = 0) -> list[Receipt]:
        """A kill can tear a line: at most `torn` may be no JSON."""
        with open(self.path, "rb") as f:
            lines = f.read().split(b"\n")
        assert lines.pop() == b"", f"{self.path} ends in the middle of a line"
        receipts, broken = [], []
        for line in lines:
            try:
                receipts.append(Receipt(json.loads(line)["eventId"], line))
            except ValueError:
                broken.append(line[:80])
        assert len(broken) <= torn, f"{len(broken)} torn lines in {self.path}: {broken[:3]}"
        return receipts


@dataclasses.dataclass
class WebhookSink:
    """The webhook adapter, posting to a receiver."""
    name: str
    receiver: object

    def config(self, **extra) -> dict:
        return relay.webhook(self.name, self.receiver, **extra)

    def count(self) -> int:
        return len(self.receiver.accepted)

    def receipts(self, torn: int = 0) -> list[Receipt]:
        return self.receiver.receipts()


@dataclasses.dataclass
class RabbitSink:
    """The RabbitMQ adapter, publishing to one durable queue."""
    name: str
    broker: object
    queue: str

    def config(self, **extra) -> dict:
        self.broker.declare(self.queue)
        return relay.rabbitmq(self.name, self.broker, self.queue, **extra)

    def count(self) -> int:
        return self.broker.length(self.queue)

    def receipts(self, torn: int = 0) -> list[Receipt]:
        """Takes the messages off the queue: ask once."""
        return [Receipt(properties.message_id or "", body)
                for properties, body in self.broker.consume(self.queue)]


@dataclasses.dataclass
class KafkaSink:
    """The Kafka adapter, producing to one topic of four partitions."""
    name: str
    broker: object
    topic: str

    def config(self, **extra) -> dict:
        if self.topic not in self.broker.topics():
            self.broker.create_topic(self.topic, partitions=4)
        return relay.kafka(self.name, self.broker, self.topic, **extra)

    def count(self) -> int:
        return len(self.broker.consume_all(self.topic))

    def receipts(self, torn: int = 0) -> list[Receipt]:
        """Order holds inside a partition, and so for each key."""
        return [Receipt(dict(r.headers).get("eventId", b"").decode(), r.value)
                for r in self.broker.consume_all(self.topic)]


def open_events(db) -> list[tuple]:
    """What the database says is not delivered: (destination, events), none when all is settled."""
    return db.run(
        "SELECT destination, sum(n) FROM ("
        " SELECT destination, events AS n FROM outbox.backlog"
        " UNION ALL SELECT l.destination, count(*) FROM outbox.delivery d JOIN outbox.lane l USING (lane)"
        "  WHERE d.state NOT IN ('DELIVERED', 'DISCARDED') GROUP BY 1) x"
        " GROUP BY destination HAVING sum(n) > 0 ORDER BY destination")


def wait_settled(db, sinks: list, timeout: float = 120) -> None:
    """Waits until every lane exists and nothing is open: then all must be with the receivers."""
    def settled() -> bool:
        lanes = {row[0] for row in db.run("SELECT destination FROM outbox.lane")}
        left = open_events(db)
        if left or not {s.name for s in sinks} <= lanes:
            raise AssertionError(f"lanes {sorted(lanes)}, open {left}")
        return True
    wait_until(settled, "every event is settled at every destination", timeout, every=0.2)


def assert_delivered(db, sinks: list, max_duplicates: dict[str, int] | int = 0, torn: int = 0) -> None:
    """Checks every sink against the ground truth of writers.py."""
    truth = committed(db)
    reports = [check(s.name, truth, s.receipts(torn)) for s in sinks]
    for r in reports:
        allowed = max_duplicates if isinstance(max_duplicates, int) else max_duplicates.get(r.name, 0)
        r.assert_clean(allowed)


def file_sink(folder, name: str = "file") -> FileSink:
    return FileSink(name, os.path.join(str(folder), f"{name}.jsonl"))
