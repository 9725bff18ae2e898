# SPDX-License-Identifier: Apache-2.0
"""Each way in which Kafka can refuse an event, the outcome and the cause it gets, and that the rest
flows. docs/kafka.md prints the table of this file: POSTRIDER_WRITE=1 pytest tests/brokers -k page
renews it.
"""

import os
from typing import Callable, NamedTuple

import pytest

from drive import HERE, MOCK, Drive
from harness.kafka import Kafka, KafkaMock
from harness.wait import wait_until

PAGE = HERE.parents[1] / "docs" / "kafka.md"
ACLS = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true"}


INIT_PRODUCER_ID = 22  # the number of the request, from the protocol's guide


class Case(NamedTuple):
    """One row. `run` returns the driver's counts and how many events must be delivered."""
    what: str
    outcome: str
    cause: str
    then: str
    run: Callable


CASES: list[Case] = []


def case(what: str, outcome: str, cause: str, then: str):
    def add(run: Callable) -> Callable:
        CASES.append(Case(what, outcome, cause, then, run))
        return run
    return add


class Site:
    """What a case may use: a real broker, or a mock cluster of its own."""

    def __init__(self, kafka: Kafka, mock: KafkaMock, name: str, row: Case):
        self.kafka, self.mock, self.name = kafka, mock, name
        self.outcome, self.cause = row.outcome, row.cause

    def topics(self, **config) -> str:
        """NAME.good and NAME.bad on the real broker, `config` for the second; the template."""
        self.kafka.create_topic(f"{self.name}.good", 1)
        self.kafka.create_topic(f"{self.name}.bad", 1, **config)
        return "topic=" + self.name + ".{aggregateType}"

    def both(self, *args, **more):
        """Half of the events are good ones."""
        return Drive(self.kafka.bootstrap, *args, n=200, k=100, types="good,bad", **more).result()

    def wait(self, drive: Drive) -> None:
        """Until the first event has ended as the row says."""
        wait_until(lambda: drive.ended(self.outcome, self.cause), f"{self.outcome} {self.cause}", 60)

    def waits(self, drive: Drive, good: int) -> tuple[dict, int]:
        """The bad events go on waiting when the good ones have arrived."""
        self.wait(drive)
        wait_until(lambda: drive.settled == good, "the rest flows", 60)
        drive.stop()
        return drive.result(ok=False), good

    def mended(self, drive: Drive, mend: Callable) -> dict:
        """The counts after `mend`, with the endings before it: afterwards a slow machine may make events wait for
        too long once more."""
        self.wait(drive)
        before = drive.endings()
        mend()
        return drive.result() | {"endings": before}

    def secured(self, bootstrap: str, *args, password=None):
        """100 events to a listener that does not let us in, offered when that is known; none can be delivered."""
        drive = Drive(bootstrap, f"topic={self.name}", "message.timeout.ms=2000", *args, n=100, k=10, idle=600,
                      pauses=(0,))
        wait_until(lambda: drive.is_down(self.cause), "health is down", 60)
        drive.go_on()
        self.wait(drive)
        drive.stop()
        counts = drive.result(ok=False)
        assert password is None or not drive.saw(password)
        return counts, 0

    def inject(self, code: int, count: int = 1):
        """One event to the mock cluster, whose next `count` answers are an error."""
        self.mock.create_topic("t", 1)
        self.mock.fail_requests(code, count)
        return Drive(self.mock.bootstrap, "topic=t", n=1, k=1).result()


# --- the topic


@case("the topic does not exist", "unroutable", "topic_missing", "delivered once it is created")
def _(s):
    s.kafka.create_topic(f"{s.name}.good", 1)
    drive = Drive(s.kafka.bootstrap, "topic=" + s.name + ".{aggregateType}", n=200, k=100, types="good,bad")
    wait_until(lambda: drive.is_down("topic_missing", "degraded"), "it is noticed", 60)
    return s.mended(drive, lambda: s.kafka.create_topic(f"{s.name}.bad", 1)), 200


@case("an aggregate type makes no topic name (`a b`, `ä`, `/`)", "unroutable", "no_route", "waits")
def _(s):
    s.topics()
    return s.waits(Drive(s.kafka.bootstrap, "topic=" + s.name + ".{aggregateType}", n=400, k=100,
                         types="good,a b,\u00e4,/"), 100)


@case("the partition of the template is not there", "unroutable", "topic_missing", "waits")
def _(s):
    s.kafka.create_topic(s.name, 2)
    return s.waits(Drive(s.kafka.bootstrap, f"topic={s.name}", "partition={aggregateType}", n=200, k=100,
                         types="1,9"), 100)


@case("the topic is forbidden by an ACL", "unroutable", "auth", "delivered once it is allowed")
def _(s):
    from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
    pattern = ResourcePattern(ResourceType.TOPIC, "acl.bad")
    with Kafka(settings=ACLS) as kafka:
        kafka.create_topic("acl.good", 1)
        kafka.create_topic("acl.bad", 1)
        denied = ACLFilter("User:ANONYMOUS", "*", ACLOperation.ANY, ACLPermissionType.ANY, pattern)
        with kafka.admin() as admin:
            admin.create_acls([ACL("User:ANONYMOUS", "*", ACLOperation.ALL, ACLPermissionType.DENY, pattern)])
            wait_until(lambda: admin.describe_acls(denied)[0], "the broker has the denial")
            drive = Drive(kafka.bootstrap, "topic=acl.{aggregateType}", n=2000, k=200, types="good,bad")
            wait_until(lambda: drive.is_down("auth", "degraded"), "the denial is seen", 60)
            counts = s.mended(drive, lambda: admin.delete_acls([denied]))
    return counts, 2000


# --- the event


@case("5 MB or 20 MB, over the producer's `message.max.bytes`", "rejected", "too_large", "dead")
def _(s):
    s.topics()
    for size in (5 << 20, 20 << 20):
        counts = Drive(s.kafka.bootstrap, f"topic={s.name}.bad", n=4, k=4, s=size).result()
        assert counts["rejected"] == 4
    return counts, 0


@case("1 MB, over the topic's `max.message.bytes`", "rejected", "too_large", "dead")
def _(s):
    s.topics()
    return Drive(s.kafka.bootstrap, f"topic={s.name}.bad", "message.max.bytes=3000000", n=3, k=3,
                 s=1 << 20).result(), 0


@case("no key, and the topic is compacted", "rejected", "invalid_payload", "dead")
def _(s):
    return s.both(s.topics(cleanup_policy="compact"), "key="), 100


@case("older than the topic's `message.timestamp.before.max.ms`", "rejected", "invalid_payload", "dead")
def _(s):
    return s.both(s.topics(message_timestamp_before_max_ms="1000"), "timestamp=occurred"), 100


# --- getting in


TLS = ["security.protocol=ssl"]
SASL = ["security.protocol=sasl_ssl", "sasl.username=rider"]


@case("the broker's certificate is of another CA", "unavailable", "tls", "waits")
def _(s):
    return s.secured(s.kafka.sasl_tls_bootstrap, *SASL, "sasl.mechanism=PLAIN", "sasl.password=x",
                     f"ssl.ca.location={s.kafka.tls}/other-ca.pem")


@case("the broker's certificate is for another name", "unavailable", "tls", "waits")
def _(s):
    return s.secured(s.kafka.tls_bootstrap.replace("127.0.0.1", "localhost"), *TLS,
                     f"ssl.ca.location={s.kafka.tls}/ca.pem",
                     f"ssl.certificate.location={s.kafka.tls}/client.crt",
                     f"ssl.key.location={s.kafka.tls}/client.key")


@case("the broker wants a client certificate, we have none", "unavailable", "tls", "waits")
def _(s):
    return s.secured(s.kafka.tls_bootstrap, *TLS, f"ssl.ca.location={s.kafka.tls}/ca.pem")


@case("TLS to a port without it", "unavailable", "tls", "waits")
def _(s):
    return s.secured(s.kafka.bootstrap, *TLS, f"ssl.ca.location={s.kafka.tls}/ca.pem")


@case("no TLS to a port with it", "unavailable", "unreachable", "waits")
def _(s):
    return s.secured(s.kafka.tls_bootstrap)


@case("wrong password, PLAIN", "unavailable", "auth", "waits")
def _(s):
    return s.secured(s.kafka.sasl_tls_bootstrap, *SASL, "sasl.mechanism=PLAIN",
                     "sasl.password=battery staple", f"ssl.ca.location={s.kafka.tls}/ca.pem", password="staple")


@case("wrong password, SCRAM", "unavailable", "auth", "waits")
def _(s):
    return s.secured(s.kafka.sasl_tls_bootstrap, *SASL, "sasl.mechanism=SCRAM-SHA-512",
                     "sasl.password=battery staple", f"ssl.ca.location={s.kafka.tls}/ca.pem", password="staple")


@case("a mechanism the broker does not offer", "unavailable", "auth", "waits")
def _(s):
    return s.secured(s.kafka.sasl_bootstrap, "security.protocol=sasl_plaintext", "sasl.username=rider",
                     "sasl.password=x", "sasl.mechanism=SCRAM-SHA-256")


# --- the cluster


@case("nobody listens", "unavailable", "unreachable", "delivered when somebody does")
def _(s):
    s.mock.create_topic("t", 1)
    s.mock.down()
    drive = Drive(s.mock.bootstrap, "topic=t", "message.timeout.ms=2000", n=100, k=10, idle=600, pauses=(0,))
    wait_until(lambda: drive.is_down("unreachable"), "health is down", 60)
    drive.go_on()
    return s.mended(drive, s.mock.up), 100


@case("the name does not resolve", "unavailable", "unreachable", "waits")
def _(s):
    return s.secured("kafka.invalid:9092")


@case("too few replicas are in sync for longer than `message.timeout.ms`", "unavailable", "timeout",
      "delivered when there are enough")
def _(s):
    s.mock.create_topic("t", 1)
    s.mock.fail_requests(19, 5000)  # the library tries every 100 ms
    return s.mended(Drive(s.mock.bootstrap, "topic=t", "message.timeout.ms=1500", n=10, k=10), s.mock.clear), 10


@case("acknowledgements are late or lost (possibly persisted)", "unavailable", "unreachable",
      "sent again: perhaps twice there")
def _(s):
    s.mock.create_topic("t", 1)
    drive = Drive(s.mock.bootstrap, "topic=t", "message.timeout.ms=5000", "socket.timeout.ms=1000", n=3000, k=10,
                  idle=600)
    wait_until(lambda: drive.idles, "messages have arrived", 60)
    s.mock.delay(1, 20000)
    drive.go_on()
    counts = s.mended(drive, lambda: s.mock.delay(1, 0))
    assert counts["maybe"] > 0
    return counts, 3000


@case("librdkafka's queue is full", "", "", "offered again: backpressure")
def _(s):
    s.mock.create_topic("t", 1)
    return Drive(s.mock.bootstrap, "topic=t", "queue.buffering.max.messages=100", n=20000,
                 k=5000).result(), 20000


def code(number: int, name: str, outcome: str, cause: str, then: str, count: int = 1):
    """A row for an error code that the mock cluster answers."""
    def run(s):
        return s.inject(number, count), then.startswith("delivered")
    CASES.append(Case(f"{number} {name}", outcome, cause, then, run))


for n, text in [(3, "UNKNOWN_TOPIC_OR_PART"), (6, "NOT_LEADER_FOR_PARTITION"), (7, "REQUEST_TIMED_OUT"),
                (19, "NOT_ENOUGH_REPLICAS"), (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
                (56, "KAFKA_STORAGE_ERROR")]:
    code(n, text, "", "", "delivered: librdkafka tries again itself", count=2)
for n, text, why in [(2, "INVALID_MSG", "invalid_payload"), (10, "MSG_SIZE_TOO_LARGE", "too_large"),
                     (44, "POLICY_VIOLATION", "invalid_payload"), (87, "INVALID_RECORD", "invalid_payload")]:
    code(n, text, "rejected", why, "dead", count=2)
code(29, "TOPIC_AUTHORIZATION_FAILED", "unroutable", "auth", "delivered at a later try")
code(35, "UNSUPPORTED_VERSION", "unavailable", "destination_blocked", "delivered at a later try")
code(42, "INVALID_REQUEST", "retry", "unknown", "delivered at a later try")
code(45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "unavailable", "unreachable", "delivered by a new producer")
code(47, "INVALID_PRODUCER_EPOCH", "unavailable", "unreachable", "delivered by a new producer")


@case("31 CLUSTER_AUTHORIZATION_FAILED", "unavailable", "auth", "delivered by a new producer")
def _(s):
    """The producer asks for its id when it connects: the event must be there before that."""
    s.mock.create_topic("t", 1)
    s.mock.fail_requests(31, 1, INIT_PRODUCER_ID)
    s.mock.down()
    drive = Drive(s.mock.bootstrap, "topic=t", n=1, k=1)
    wait_until(lambda: drive.is_down("unreachable"), "the event was offered, and nobody listens", 60)
    s.mock.up()
    return drive.result(), 1


@pytest.fixture(scope="module")
def kafka():
    with Kafka(secured=True) as broker:
        yield broker


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i].what[:40])
def test_the_error_gets_its_outcome_and_the_rest_flows(kafka, number):
    row = CASES[number]
    with KafkaMock(str(MOCK), 1) as mock:
        counts, delivered = row.run(Site(kafka, mock, f"case{number}", row))
    assert counts["delivered"] == delivered
    assert counts["endings"] == ({(row.outcome, row.cause)} if row.outcome else set())


def test_a_token_delivers(kafka):
    """The broker takes unsigned tokens, as Kafka does unless told how to check them."""
    kafka.create_topic("in.token", 2)
    counts = Drive(kafka.sasl_tls_bootstrap, "topic=in.token", "security.protocol=sasl_ssl",
                   "sasl.mechanism=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true",
                   "sasl.oauthbearer.config=principal=rider", f"ssl.ca.location={kafka.tls}/ca.pem",
                   n=2000, k=100).result()
    assert counts["delivered"] == 2000 and counts["causes"] == {}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_passwords_over_tls_deliver(kafka, mechanism, compression):
    name = f"in.{mechanism}.{compression}"
    kafka.create_topic(name, 2)
    counts = Drive(kafka.sasl_tls_bootstrap, f"topic={name}", *SASL, f"sasl.mechanism={mechanism}",
                   f"sasl.password={kafka.PASSWORD}", f"ssl.ca.location={kafka.tls}/ca.pem",
                   f"compression.type={compression}", n=1000, k=100).result()
    assert counts["delivered"] == 1000 and counts["causes"] == {}


def test_a_client_certificate_delivers(kafka):
    kafka.create_topic("in.tls", 2)
    counts = Drive(kafka.tls_bootstrap, "topic=in.tls", *TLS, f"ssl.ca.location={kafka.tls}/ca.pem",
                   f"ssl.certificate.location={kafka.tls}/client.crt",
                   f"ssl.key.location={kafka.tls}/client.key", n=1000, k=100).result()
    assert counts["delivered"] == 1000 and counts["causes"] == {}


def table() -> str:
    rows = ["| What goes wrong | Outcome | Cause | The event is |", "|---|---|---|---|"]
    rows += [f"| {c.what} | {c.outcome or 'none'} | {f'`{c.cause}`' if c.cause else 'none'} | {c.then} |"
             for c in CASES]
    return "\n".join(rows)


def test_the_page_prints_this_table():
    begin, end = "<!-- table: test_kafka_errors.py -->\n", "<!-- end of table -->"
    text = PAGE.read_text("utf-8")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    want = head + begin + table() + "\n" + end + tail
    if os.environ.get("POSTRIDER_WRITE"):
        PAGE.write_text(want, "utf-8")
    assert text == want or os.environ.get("POSTRIDER_WRITE")
