# SPDX-License-Identifier: Apache-2.0
"""sinks.py - the destinations of a test, each with its configuration and what it received."""

import dataclasses
import os

from . import consumers, relay
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
        return consumers.count_lines(self.path)

    def receipts(self, torn: int = 0) -> list[Receipt]:
        return consumers.read_file(self.path, torn)


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
        consumers.declare_queue(self.broker.url, self.queue)
        return relay.rabbitmq(self.name, self.broker, self.queue, **extra)

    def count(self) -> int:
        return consumers.queue_length(self.broker.url, self.queue)

    def receipts(self, torn: int = 0) -> list[Receipt]:
        return consumers.drain_queue(self.broker.url, self.queue)


@dataclasses.dataclass
class KafkaSink:
    """The Kafka adapter, producing to one topic."""
    name: str
    broker: object
    topic: str

    def config(self, **extra) -> dict:
        return relay.kafka(self.name, self.broker, self.topic, **extra)

    def count(self) -> int:
        return consumers.topic_length(self.broker.bootstrap, self.topic)

    def receipts(self, torn: int = 0) -> list[Receipt]:
        return consumers.read_topic(self.broker.bootstrap, self.topic)


def open_events(db) -> list[tuple]:
    """What the database says is not delivered: (destination, events), none when all is settled."""
    return db.run(
        "SELECT destination, sum(n) FROM ("
        " SELECT destination, events AS n FROM outbox.backlog"
        " UNION ALL SELECT l.destination, count(*) FROM outbox.delivery d JOIN outbox.lane l USING (lane)"
        "  WHERE d.state NOT IN ('DELIVERED', 'DISCARDED') GROUP BY 1) x"
        " GROUP BY destination HAVING sum(n) > 0 ORDER BY destination")


def wait_settled(db, sinks: list, timeout: float = 60) -> None:
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
