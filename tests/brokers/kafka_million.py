#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million events through a real Apache Kafka: count, order per key and every byte, read back by
another client (python3-kafka).

usage: POSTRIDER_BUILD=build tests/brokers/kafka_million.py [EVENTS] [--kill]

--kill ends the broker with kill -9 twice on the way; then events may be there twice.
"""

import argparse
import json
import time

from drive import Drive
from harness.kafka import Kafka
from kafka import KafkaConsumer, TopicPartition

SIZE = 300
PARTITIONS = 8


def expected(key: bytes, seq: int) -> bytes:
    """The body as adapter_drive writes it."""
    head = b'{"key":"%s","seq":%d,"pad":"' % (key, seq)
    return head.ljust(SIZE - 2, b"x") + b'"}'


def check(bootstrap: str, topic: str) -> dict:
    """Reads each partition from end to end; raises AssertionError at the first record that is wrong."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False,
                             auto_offset_reset="none", max_poll_records=5000)
    last: dict[bytes, int] = {}
    records = repeats = 0
    for number in range(PARTITIONS):
        part = TopicPartition(topic, number)
        consumer.assign([part])
        end = consumer.end_offsets([part])[part]
        consumer.seek(part, consumer.beginning_offsets([part])[part])
        while consumer.position(part) < end:
            for r in consumer.poll(timeout_ms=1000).get(part, []):
                records += 1
                seq = json.loads(r.value)["seq"]
                before = last.get(r.key, -1)
                assert r.value == expected(r.key, seq), f"bytes of {r.key} {seq}"
                assert seq <= before + 1, f"{r.key}: {seq} after {before}"
                repeats += seq <= before
                last[r.key] = max(before, seq)
    consumer.close(autocommit=False)
    return {"records": records, "distinct": sum(n + 1 for n in last.values()), "keys": len(last),
            "repeats": repeats}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    keys = min(50_000, options.events)
    with Kafka() as kafka:
        kafka.create_topic("million", PARTITIONS)
        drive = Drive(kafka.bootstrap, "topic=million", n=options.events, k=keys, s=SIZE, t=900)
        for _ in range(2 if options.kill else 0):
            time.sleep(2)
            kafka.kill()
            kafka.start()
        counts = drive.result()
        found = check(kafka.bootstrap, "million")
    print(json.dumps({"sent": options.events, **found, "per_second": counts["per_second"]}))
    assert counts["delivered"] == found["distinct"] == options.events and found["keys"] == keys
    assert options.kill or found["repeats"] == 0


if __name__ == "__main__":
    main()
