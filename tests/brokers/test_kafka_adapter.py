# SPDX-License-Identifier: Apache-2.0
"""The Kafka adapter under load: a real Apache Kafka, three of them, and librdkafka's mock cluster.

adapter_drive plays the relay: one event a key in flight, everything not settled is offered again.
What each single error leads to is in test_kafka_errors.py.
Run by ctest, or by hand: POSTRIDER_BUILD=build pytest tests/brokers
"""

import subprocess
import time

import pytest

from drive import ADAPTER, DRIVE, MOCK, Drive, check_records
from harness.kafka import Kafka, KafkaCluster, KafkaMock, KafkaUnavailable, consume_all
from harness.wait import wait_until

@pytest.fixture(scope="module")
def kafka():
    try:
        broker = Kafka()
    except KafkaUnavailable as e:
        pytest.skip(f"NO KAFKA: {e}")
    with broker:
        yield broker


@pytest.fixture
def mock_of_three():
    with KafkaMock(str(MOCK), 3) as cluster:
        yield cluster


@pytest.fixture
def mock():
    with KafkaMock(str(MOCK), 1) as cluster:
        yield cluster


# --- a real broker


def test_all_events_in_order_with_headers(kafka):
    kafka.create_topic("events.Test", 4)
    counts = Drive(kafka.bootstrap, "topic=events.{aggregateType}", n=100000, k=5000).result()
    assert counts["delivered"] == 100000 and counts["maybe"] == 0
    records = kafka.consume_all("events.Test")
    assert check_records(records, 100000, 5000) == 0
    names = [name for name, _ in records[0].headers]
    assert names[:7] == ["eventId", "type", "version", "occurredAt", "aggregateType", "aggregateId",
                         "content-type"]
    headers = dict(records[0].headers)
    assert headers["aggregateId"] == records[0].key
    assert headers["occurredAt"].startswith(b"2023-11-14T22:13:20.")
    assert records[0].timestamp_ms > 1700000000000  # when it was sent, not when it occurred


def test_keys_land_where_java_puts_them(kafka):
    from kafka.partitioner.default import murmur2
    kafka.create_topic("partitions", 7)
    Drive(kafka.bootstrap, "topic=partitions", n=500, k=500).result()
    for r in kafka.consume_all("partitions"):
        assert r.partition == (murmur2(r.key) & 0x7fffffff) % 7


def test_kill_and_restart_lose_nothing(kafka):
    kafka.create_topic("kills", 4)
    n, k = 300000, 5000
    drive = Drive(kafka.bootstrap, "topic=kills", n=n, k=k, t=900, idle=600, pauses=(n // 3, 2 * n // 3))
    for part in range(2):
        wait_until(lambda part=part: drive.settled > part * n // 3 + k, "messages flow", 60)
        kafka.kill()
        wait_until(lambda part=part: drive.times("health down") > part, "health is down", 30)
        kafka.start()
        drive.go_on()
    wait_until(lambda: drive.settled > 2 * n // 3 + k, "messages flow", 60)
    kafka.restart()
    counts = drive.result()
    assert counts["delivered"] == n and counts["rejected"] == 0 and counts["retry"] == 0
    print("duplicates", check_records(kafka.consume_all("kills"), n, k, duplicates=True))


def test_unknown_topic_parks_only_its_events(kafka):
    kafka.create_topic("u.known", 2)
    drive = Drive(kafka.bootstrap, "topic=u.{aggregateType}", n=4000, k=1000, types="known,later")
    wait_until(lambda: drive.is_down("topic_missing", "degraded"), "the missing topic is noticed", 60)
    kafka.create_topic("u.later", 2)
    counts = drive.result()
    assert set(counts["causes"]) == {"topic_missing"}
    assert counts["delivered"] == 4000 and counts["unavailable"] == 0
    check_records(kafka.consume_all("u.known"), 2000, 500)
    check_records(kafka.consume_all("u.later"), 2000, 500)


def test_deleted_topic_is_missed_and_found_again(kafka):
    kafka.create_topic("deleted", 2)
    Drive(kafka.bootstrap, "topic=deleted", n=100, k=100).result()
    kafka.delete_topic("deleted")
    drive = Drive(kafka.bootstrap, "topic=deleted", n=100, k=100)
    wait_until(lambda: drive.is_down("topic_missing", "degraded"), "the topic is missed", 60)
    kafka.create_topic("deleted", 3)
    assert drive.result()["delivered"] == 100


def test_auto_created_topic():
    with Kafka(auto_create=True) as kafka:
        counts = Drive(kafka.bootstrap, "topic=auto.{aggregateType}", "topic.metadata.propagation.max.ms=60000",
                       "message.timeout.ms=90000", n=1000, k=100, types="a,b,c").result()
        assert counts["delivered"] == 1000 and counts["unroutable"] == 0


def test_too_large_for_the_topic_spares_its_neighbours(kafka):
    """A batch over the limit is made of messages below it: all are delivered, each alone."""
    kafka.create_topic("small", 1, max_message_bytes="4000")
    counts = Drive(kafka.bootstrap, "topic=small", n=2000, k=2000).result()
    assert counts["delivered"] == 2000 and counts["rejected"] == 0
    check_records(kafka.consume_all("small"), 2000, 2000)
    counts = Drive(kafka.bootstrap, "topic=small", n=5, k=5, s=5000).result()
    assert counts["rejected"] == 5 and set(counts["causes"]) == {"too_large"}


def test_a_broker_that_is_down_at_start(kafka):
    kafka.create_topic("later", 1)
    kafka.stop()
    drive = Drive(kafka.bootstrap, "topic=later", n=1000, k=100)
    wait_until(lambda: drive.is_down("unreachable"), "health is down", 60)
    kafka.start()
    assert drive.result()["delivered"] == 1000


# --- three real brokers


def test_leaders_move_and_brokers_die_under_load():
    """Each node is killed once; two of three replicas are enough. Nothing is lost, moved or out of order."""
    n, k = 200000, 5000
    with KafkaCluster() as cluster:
        cluster.nodes[0].create_topic("moves", 6)
        wait_until(lambda: cluster.in_sync("moves") == 3, "three replicas are in sync", 120)
        drive = Drive(cluster.bootstrap, "topic=moves", "linger.ms=20", n=n, k=k, t=900, s=300)
        wait_until(lambda: drive.saw("health up"), "messages flow", 60)
        moves = 0
        for node in cluster.nodes[1:] + cluster.nodes[:1]:
            before = cluster.leaders("moves")
            node.kill()
            time.sleep(2)
            node.start(180)
            wait_until(lambda: cluster.in_sync("moves") == 3, "the node has caught up", 120)
            moves += sum(a != b for a, b in zip(before, cluster.leaders("moves")))
        counts = drive.result()
        assert moves >= 3 and counts["delivered"] == n and counts["rejected"] == counts["retry"] == 0
        print("moves", moves, "repeats",
              check_records(consume_all(cluster.bootstrap, "moves", timeout=240), n, k, duplicates=True))


# --- injected faults: the mock cluster


def test_leaders_move_every_50_ms(mock_of_three):
    mock = mock_of_three
    n, k = 20000, 400  # the mock keeps 5 MiB a partition
    mock.create_topic("m", 3)
    drive = Drive(mock.bootstrap, "topic=m", n=n, k=k, s=100, idle=600, pauses=tuple(range(2000, n, 2000)))
    wait_until(lambda: drive.saw("health up"), "messages flow", 60)
    moves = told = 0
    while drive.running():
        if moves < 60:
            mock.move_leader("m", moves % 3, moves % 2 + 1 + (moves // 7) % 2)
            moves += 1
        if drive.idles > told:
            drive.go_on()
            told += 1
        time.sleep(0.05)
    counts = drive.result()
    assert moves > 5 and counts["delivered"] == n and counts["rejected"] == counts["retry"] == 0
    print("moves", moves, "repeats", check_records(mock.consume_all("m"), n, k, duplicates=True))


def test_a_rejected_batch_is_sent_one_by_one(mock):
    mock.create_topic("t", 1)
    mock.fail_requests(87, 1)
    counts = Drive(mock.bootstrap, "topic=t", n=500, k=500).result()
    assert counts["delivered"] == 500


def test_fatal_error_makes_a_new_producer(mock):
    mock.create_topic("f", 4)
    Drive(mock.bootstrap, "topic=f", n=10, k=10).result()
    drive = Drive(mock.bootstrap, "topic=f", n=100000, k=5000, idle=600)
    wait_until(lambda: drive.idles, "messages have arrived", 60)
    mock.fail_requests(45, 1)  # OUT_OF_ORDER_SEQUENCE_NUMBER
    drive.go_on()
    counts = drive.result()
    assert drive.saw("producer lost")
    assert counts["delivered"] == 100000 and counts["rejected"] == counts["retry"] == 0


def test_all_brokers_down_and_up(mock):
    mock.create_topic("d", 2)
    n, k = 100000, 5000
    drive = Drive(mock.bootstrap, "topic=d", "message.timeout.ms=3000", n=n, k=k, idle=600)
    wait_until(lambda: drive.idles, "messages have arrived", 60)
    mock.delay(1, 1000)
    drive.go_on()
    wait_until(lambda: drive.settled > n // 2, "messages flow, all keys are in flight for a second", 60)
    mock.down()
    wait_until(lambda: drive.is_down("unreachable"), "health is down", 60)
    wait_until(lambda: drive.ended("unavailable", "unreachable"), "events have waited for too long", 60)
    mock.delay(1, 0)
    mock.up()
    counts = drive.result()
    assert counts["delivered"] == 100000 and counts["rejected"] == counts["retry"] == 0
    assert set(counts["causes"]) <= {"unreachable", "timeout"} and counts["unavailable"] > 0


def test_full_queue_is_backpressure(mock):
    mock.create_topic("q", 1)
    counts = Drive(mock.bootstrap, "topic=q", "queue.buffering.max.messages=100", n=20000,
                   k=5000).result()
    assert counts["delivered"] == 20000 and counts["causes"] == {}


@pytest.mark.parametrize("words, text", [
    (["enable.idempotence=false"], "retries would duplicate"),
    (["acks=1"], "in-sync replicas"),
    (["message.timeout.ms=0"], "between 1000 and 900000"),
    (["no.such.property=1"], "No such configuration property"),
    (["linger.ms=oops"], "linger.ms"),
    (["plugin.library.paths=x.so"], "foreign code"),
    (["queue.buffering.max.kbytes=10"], "cannot hold one message"),
    (["topic={oops}"], "unknown field"),
])
def test_bad_options_are_named(words, text):
    done = subprocess.run([DRIVE, ADAPTER, "bootstrap.servers=127.0.0.1:1", "topic=t", *words],
                          capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 2 and text in done.stderr
