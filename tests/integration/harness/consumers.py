# SPDX-License-Identifier: Apache-2.0
"""consumers.py - reads back what destinations stored, with clients the relay does not use.

Brokers are read after the run, from the first message on: what they stored is what was delivered,
and no redelivery to a consumer can be taken for a duplicate of the relay.
"""

import json

import kafka as kafka_client
import pika

from .checker import Receipt


def read_file(path: str, torn: int = 0) -> list[Receipt]:
    """The lines a stdout destination wrote. A kill can tear one: at most `torn` may be no JSON."""
    with open(path, "rb") as f:
        lines = f.read().split(b"\n")
    assert lines.pop() == b"", f"{path} ends in the middle of a line"
    receipts, broken = [], []
    for line in lines:
        try:
            receipts.append(Receipt(json.loads(line)["eventId"], line))
        except ValueError:
            broken.append(line[:80])
    assert len(broken) <= torn, f"{len(broken)} torn lines in {path}: {broken[:3]}"
    return receipts


def count_lines(path: str) -> int:
    """Complete lines so far; 0 while the file does not exist."""
    try:
        with open(path, "rb") as f:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def declare_queue(url: str, queue: str) -> None:
    """A durable queue for a test to publish to."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_declare(queue, durable=True)
    connection.close()


def queue_length(url: str, queue: str) -> int:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        return connection.channel().queue_declare(queue, passive=True).method.message_count
    finally:
        connection.close()


def drain_queue(url: str, queue: str) -> list[Receipt]:
    """Takes every message off a queue, in order."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    receipts = []
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            break
        headers = tuple((str(k), str(v)) for k, v in (properties.headers or {}).items())
        receipts.append(Receipt(properties.message_id or "", body, headers))
    connection.close()
    return receipts


def read_topic(bootstrap: str, topic: str) -> list[Receipt]:
    """Every record of a topic: order holds inside a partition, and so for each key."""
    consumer = kafka_client.KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, consumer_timeout_ms=10000)
    try:
        parts = [kafka_client.TopicPartition(topic, p)
                 for p in sorted(consumer.partitions_for_topic(topic) or [])]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts) if parts else {}
        records: dict = {p: [] for p in parts}
        while any(consumer.position(p) < ends[p] for p in parts):
            for part, batch in consumer.poll(timeout_ms=1000).items():
                records[part] += batch
    finally:
        consumer.close()
    return [_kafka_receipt(r) for p in parts for r in records[p]]


def topic_length(bootstrap: str, topic: str) -> int:
    """Records of a topic, from its offsets; 0 while it does not exist."""
    consumer = kafka_client.KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        parts = [kafka_client.TopicPartition(topic, p)
                 for p in consumer.partitions_for_topic(topic) or []]
        return sum(consumer.end_offsets(parts).values()) if parts else 0
    finally:
        consumer.close()


def _kafka_receipt(record) -> Receipt:
    headers = tuple((name, value.decode()) for name, value in record.headers)
    return Receipt(dict(headers).get("eventId", ""), record.value, headers)
