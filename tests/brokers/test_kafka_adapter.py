# SPDX-License-Identifier: Apache-2.0
"""The Kafka adapter against a real Apache Kafka and against librdkafka's mock cluster.

adapter_drive plays the relay: one event a key in flight, everything not settled is offered again.
Run by ctest, or by hand: POSTRIDER_BUILD=build pytest tests/brokers
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness.kafka import Kafka, KafkaMock, KafkaUnavailable  # noqa: E402
from harness.wait import wait_until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("POSTRIDER_BUILD", "build"))
DRIVE = BUILD / "tests/brokers/adapter_drive"
ADAPTER = BUILD / "adapters/postrider-kafka.so"
MOCK = BUILD / "tests/brokers/kafka_mock"

# enum rider_cause, as in the driver's output
UNREACHABLE, TIMEOUT, AUTH, BLOCKED = "1", "2", "4", "5"
TOPIC_MISSING, NO_ROUTE, TOO_LARGE, INVALID = "6", "7", "9", "10"


class Drive:
    """A running adapter_drive."""

    def __init__(self, bootstrap, *args, n=10000, k=1000, s=300, t=120, types="Test"):
        words = [str(DRIVE), "-n", str(n), "-k", str(k), "-s", str(s), "-t", str(t), "-a", types,
                 str(ADAPTER), f"bootstrap.servers={bootstrap}", *args]
        self.log: list[str] = []
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stderr:
            self.log.append(f"{time.monotonic():.3f} {line.rstrip()}")

    def saw(self, text):
        """Whether the driver wrote `text` to its log."""
        return any(text in line for line in self.log)

    def result(self, ok=True):
        """Waits for the end and returns the counts; `ok`: everything was settled."""
        out = self._process.stdout.read()
        status = self._process.wait()
        self._reader.join()
        assert out, self.log
        counts = json.loads(out)
        print(counts)
        assert counts["wrong"] == 0, counts
        assert (status == 0) == ok, (counts, self.log)
        return counts


def check_records(records, n, k, duplicates=False):
    """Every event arrived, in order per key (a replay may repeat), each key in one partition."""
    last, homes, seen = {}, {}, {}
    for r in records:
        body = json.loads(r.value)
        key = body["key"]
        assert r.key.decode() == key
        assert homes.setdefault(key, r.partition) == r.partition
        assert body["seq"] <= last.get(key, -1) + 1, f"gap at {key}"
        if not duplicates:
            assert body["seq"] == last.get(key, -1) + 1, f"repeat at {key}"
        last[key] = max(last.get(key, -1), body["seq"])
        assert seen.setdefault((key, body["seq"]), r.value) == r.value
    assert len(seen) == n
    assert len(last) == k
    return len(records) - n


@pytest.fixture(scope="module")
def kafka():
    try:
        broker = Kafka()
    except KafkaUnavailable as e:
        pytest.skip(f"NO KAFKA: {e}")
    with broker:
        yield broker


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
    assert records[0].timestamp_ms == 1700000000000


def test_keys_land_where_java_puts_them(kafka):
    from kafka.partitioner.default import murmur2
    kafka.create_topic("partitions", 7)
    Drive(kafka.bootstrap, "topic=partitions", n=500, k=500).result()
    for r in kafka.consume_all("partitions"):
        assert r.partition == (murmur2(r.key) & 0x7fffffff) % 7


def test_kill_and_restart_lose_nothing(kafka):
    kafka.create_topic("kills", 4)
    n, k = 300000, 5000
    drive = Drive(kafka.bootstrap, "topic=kills", n=n, k=k, t=240)
    for _ in range(2):
        time.sleep(0.7)
        kafka.kill()
        wait_until(lambda: drive.saw("health down"), "health is down within 10 s", 10)
        kafka.start()
    time.sleep(0.5)
    kafka.restart()
    counts = drive.result()
    assert counts["delivered"] == n and counts["rejected"] == 0 and counts["retry"] == 0
    print("duplicates", check_records(kafka.consume_all("kills"), n, k, duplicates=True))


def test_unknown_topic_parks_only_its_events(kafka):
    kafka.create_topic("u.known", 2)
    drive = Drive(kafka.bootstrap, "topic=u.{aggregateType}", n=4000, k=1000, types="known,later")
    wait_until(lambda: drive.saw("health degraded cause 6"), "the missing topic is noticed", 10)
    kafka.create_topic("u.later", 2)
    counts = drive.result()
    assert set(counts["causes"]) == {TOPIC_MISSING}
    assert counts["delivered"] == 4000 and counts["unavailable"] == 0
    check_records(kafka.consume_all("u.known"), 2000, 500)
    check_records(kafka.consume_all("u.later"), 2000, 500)


def test_deleted_topic_is_missed_and_found_again(kafka):
    kafka.create_topic("deleted", 2)
    Drive(kafka.bootstrap, "topic=deleted", n=100, k=100).result()
    kafka.delete_topic("deleted")
    drive = Drive(kafka.bootstrap, "topic=deleted", n=100, k=100)
    wait_until(lambda: drive.saw("health degraded cause 6"), "the topic is missed", 10)
    kafka.create_topic("deleted", 3)
    assert drive.result()["delivered"] == 100


def test_auto_created_topic():
    with Kafka(auto_create=True) as kafka:
        counts = Drive(kafka.bootstrap, "topic=auto.{aggregateType}", n=1000, k=100,
                       types="a,b,c").result()
        assert counts["delivered"] == 1000 and counts["unroutable"] == 0


def test_invalid_topic_name_is_no_route(kafka):
    kafka.create_topic("i.good", 1)
    counts = Drive(kafka.bootstrap, "topic=i.{aggregateType}", n=200, k=100, types="good,a b",
                   t=5).result(ok=False)
    assert counts["delivered"] == 100 and set(counts["causes"]) == {NO_ROUTE}


def test_too_large_for_the_producer_is_rejected(kafka):
    kafka.create_topic("large", 1)
    counts = Drive(kafka.bootstrap, "topic=large", n=20, k=20, s=5 << 20).result()
    assert counts["rejected"] == 20 and set(counts["causes"]) == {TOO_LARGE}
    counts = Drive(kafka.bootstrap, "topic=large", n=10, k=10, s=900000).result()
    assert counts["delivered"] == 10


def test_too_large_for_the_topic_spares_its_neighbours(kafka):
    """A batch over the limit is made of messages below it: all are delivered, each alone."""
    kafka.create_topic("small", 1, max_message_bytes="4000")
    counts = Drive(kafka.bootstrap, "topic=small", n=2000, k=2000).result()
    assert counts["delivered"] == 2000 and counts["rejected"] == 0
    check_records(kafka.consume_all("small"), 2000, 2000)
    counts = Drive(kafka.bootstrap, "topic=small", n=5, k=5, s=5000).result()
    assert counts["rejected"] == 5 and set(counts["causes"]) == {TOO_LARGE}


def test_a_broker_that_is_down_at_start(kafka):
    kafka.create_topic("later", 1)
    kafka.stop()
    drive = Drive(kafka.bootstrap, "topic=later", n=1000, k=100)
    wait_until(lambda: drive.saw("health down cause 1"), "health is down", 10)
    kafka.start()
    assert drive.result()["delivered"] == 1000


def test_forbidden_topic_parks_only_its_events():
    from kafka.admin import (ACL, ACLFilter, ACLOperation, ACLPermissionType, KafkaAdminClient,
                             ResourcePattern, ResourceType)
    denied = ACL("User:ANONYMOUS", "*", ACLOperation.ALL, ACLPermissionType.DENY,
                 ResourcePattern(ResourceType.TOPIC, "acl.secret"))
    with Kafka(settings={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true"}) as kafka:
        kafka.create_topic("acl.open", 1)
        kafka.create_topic("acl.secret", 1)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.create_acls([denied])
        drive = Drive(kafka.bootstrap, "topic=acl.{aggregateType}", n=2000, k=200,
                      types="open,secret")
        wait_until(lambda: drive.saw(f"health degraded cause {AUTH}"), "the denial is seen", 10)
        admin.delete_acls([ACLFilter("User:ANONYMOUS", "*", ACLOperation.ANY,
                                     ACLPermissionType.ANY,
                                     ResourcePattern(ResourceType.TOPIC, "acl.secret"))])
        counts = drive.result()
        admin.close()
    assert counts["delivered"] == 2000 and set(counts["causes"]) == {AUTH}


def test_wrong_password_is_named_and_not_shown(kafka):
    kafka.create_topic("sasl", 1)
    sasl = ["topic=sasl", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
            "sasl.username=rider"]
    counts = Drive(kafka.sasl_bootstrap, *sasl, f"sasl.password={kafka.PASSWORD}", n=100,
                   k=10).result()
    assert counts["delivered"] == 100
    drive = Drive(kafka.sasl_bootstrap, *sasl, "sasl.password=battery staple",
                  "message.timeout.ms=2000", n=100, k=10, t=6)
    wait_until(lambda: drive.saw(f"health down cause {AUTH}"), "the refusal is seen", 10)
    counts = drive.result(ok=False)
    assert counts["delivered"] == 0 and set(counts["causes"]) == {AUTH}
    assert not drive.saw("staple")


# --- injected faults: the mock cluster


def drive_one_error(mock, code, count):
    mock.create_topic("t", 1)
    mock.fail_requests(code, count)
    return Drive(mock.bootstrap, "topic=t", n=1, k=1).result()


@pytest.mark.parametrize("code", [3, 6, 7, 19, 20, 56])
def test_transient_errors_are_retried_inside(mock, code):
    assert drive_one_error(mock, code, 2)["delivered"] == 1


@pytest.mark.parametrize("code, cause", [(10, TOO_LARGE), (2, INVALID), (87, INVALID),
                                         (44, INVALID)])
def test_a_rejected_message_is_dead_at_once(mock, code, cause):
    counts = drive_one_error(mock, code, 2)
    assert counts["rejected"] == 1 and counts["retry"] == 0 and counts["causes"] == {cause: 1}


def test_a_rejected_batch_is_sent_one_by_one(mock):
    mock.create_topic("t", 1)
    mock.fail_requests(87, 1)
    counts = Drive(mock.bootstrap, "topic=t", n=500, k=500).result()
    assert counts["delivered"] == 500


def test_forbidden_by_the_broker(mock):
    counts = drive_one_error(mock, 29, 1)
    assert counts["delivered"] == 1 and counts["unroutable"] >= 1
    assert set(counts["causes"]) == {AUTH}


@pytest.mark.parametrize("code, cause", [(3, TOPIC_MISSING), (29, AUTH)])
def test_closed_topic_in_metadata_heals(mock, code, cause):
    mock.create_topic("m.good", 1)
    mock.create_topic("m.bad", 1)
    mock.fail_topic("m.bad", code)
    # The mock lists partitions beside the error, which no broker does: the library keeps waiting.
    drive = Drive(mock.bootstrap, "topic=m.{aggregateType}", "message.timeout.ms=5000", n=2000,
                  k=200, types="good,bad")
    wait_until(lambda: drive.saw(f"health degraded cause {cause}"), "the cause is seen", 15)
    mock.fail_topic("m.bad", 0)
    counts = drive.result()
    assert counts["delivered"] == 2000 and set(counts["causes"]) == {cause}


def test_fatal_error_makes_a_new_producer(mock):
    mock.create_topic("f", 4)
    Drive(mock.bootstrap, "topic=f", n=10, k=10).result()
    drive = Drive(mock.bootstrap, "topic=f", n=100000, k=5000)
    wait_until(lambda: drive.saw("health up"), "messages flow", 10)
    mock.fail_requests(45, 1)  # OUT_OF_ORDER_SEQUENCE_NUMBER
    counts = drive.result()
    assert drive.saw("producer lost")
    assert counts["delivered"] == 100000 and counts["rejected"] == counts["retry"] == 0


def test_all_brokers_down_and_up(mock):
    mock.create_topic("d", 2)
    drive = Drive(mock.bootstrap, "topic=d", "message.timeout.ms=3000", n=100000, k=5000)
    wait_until(lambda: drive.saw("health up"), "messages flow", 10)
    mock.down()
    wait_until(lambda: drive.saw("health down cause 1"), "health is down", 10)
    time.sleep(5)
    mock.up()
    counts = drive.result()
    assert counts["delivered"] == 100000 and counts["rejected"] == counts["retry"] == 0
    assert set(counts["causes"]) <= {UNREACHABLE, TIMEOUT} and counts["unavailable"] > 0


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
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and text in done.stderr
