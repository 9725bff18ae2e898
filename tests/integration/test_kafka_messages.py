# SPDX-License-Identifier: Apache-2.0
"""Records as Kafka stores them, from an SQL call to an independent client: Debezium's router as the
yardstick, CloudEvents, tombstones, partitions, time, header bytes."""

import json
import pathlib
import time

import pytest

from harness import relay as cfg
from harness.kafka import Kafka
from harness.relay import run
from harness.sinks import wait_settled
from harness.wait import wait_until

from conftest import unique

pytestmark = pytest.mark.kafka

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "brokers" / "debezium" / "golden.jsonl"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEBEZIUM = {"headers": "debezium", "topic": "outbox.event.{aggregateType}"}
# What each option of Debezium's router is called here.
ROUTERS = {
    "plain": {},
    "placed": {"table.fields.additional.placement": "type:header:eventType"},
    "moved": {"route.topic.replacement": "events.${routedByValue}"},
    "tombs": {"route.tombstone.on.empty.payload": "true"},
}
OPTIONS = {
    "plain": DEBEZIUM,
    "placed": {**DEBEZIUM, "header.eventType": "{type}"},
    "moved": {**DEBEZIUM, "topic": "events.{aggregateType}"},
    "tombs": {**DEBEZIUM, "tombstone_on_null": True},
}


class Named:
    """A destination of which only the name matters to wait_settled()."""

    def __init__(self, name: str):
        self.name = name


def publish(db, type: str, aggregate_id: str, payload: str, aggregate_type: str = "order", **more) -> str:
    names = ", ".join(f"{name} => %s" for name in more)
    return db.value(f"SELECT outbox.publish(%s, %s, %s::json, %s{', ' + names if names else ''})::text",
                    type, aggregate_id, payload, aggregate_type, *more.values())


@pytest.fixture
def carried(db, relay_of, kafka_server):
    """carried(options, **destination): runs a relay until all is settled; the records of the topic."""
    def go(options: dict, partitions: int = 4, **destination):
        topic = unique("messages")
        kafka_server.create_topic(topic, partitions)
        relay_of([cfg.kafka("stream", kafka_server, topic, options=options, **destination)])
        wait_settled(db, [Named("stream")])
        return kafka_server.consume_all(topic)
    return go


def test_the_same_as_debezium_s_router(db, relay_of, kafka_server):
    """golden.jsonl was written by the router itself, see RouterGolden.java."""
    cases = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]
    for topic in {c["record"]["topic"] for c in cases}:
        kafka_server.create_topic(topic, 7)
    by_router = {name: [c for c in cases if c["router"] == router] for name, router in ROUTERS.items()}
    assert sum(map(len, by_router.values())) == len(cases) and all(by_router.values())
    for case in cases:
        row = case["row"]
        publish(db, row["type"], row["aggregateid"], "null" if row["payload"] is None else row["payload"],
                row["aggregatetype"], event_id=row["id"])
    relay_of([cfg.kafka(name, kafka_server, "", options=options, envelope="payload")
              for name, options in OPTIONS.items()],
             routes=[{"match": {"type": sorted({c["row"]["type"] for c in by_router[name]})}, "to": [name]}
                     for name in OPTIONS])
    wait_settled(db, [Named(name) for name in OPTIONS])
    got = {}
    for r in kafka_server.consume_all(*{c["record"]["topic"] for c in cases}):
        got[dict(r.headers)["id"].decode()] = {
            "topic": r.topic, "key": r.key.decode(), "partition": r.partition,
            "headers": [[name, value.decode()] for name, value in r.headers],
            "value": r.value if r.value is None else r.value.decode()}
    assert got == {c["row"]["id"]: c["record"] for c in cases}


@pytest.mark.parametrize("headers", ["all", "id"])
def test_binary_cloudevents_are_headers(db, carried, headers):
    """CloudEvents Kafka binding 1.0, section 3.2."""
    event_id = publish(db, "order.paid", "42", '{"total": 1.0}', headers=json.dumps({"traceparent": TRACE}))
    got, = carried({"headers": headers}, envelope="cloudevents-binary")
    sent = {name: value.decode() for name, value in got.headers}
    assert len(sent) == len(got.headers) and got.value == b'{"total": 1.0}' and got.key == b"42"
    assert {name: sent[name] for name in ("ce_id", "ce_specversion", "ce_type", "ce_subject", "content-type")} \
        == {"ce_id": event_id, "ce_specversion": "1.0", "ce_type": "order.paid", "ce_subject": "42",
            "content-type": "application/json"}
    assert sent["ce_source"] and sent["ce_time"].endswith("Z")
    assert sent["eventId"] == event_id and sent["traceparent"] == TRACE
    assert ("type" in sent) == (headers == "all")


@pytest.mark.parametrize("headers", ["all", "id"])
def test_structured_cloudevents_have_their_content_type(db, carried, headers):
    """Section 3.3: without it nobody could tell that it is one."""
    event_id = publish(db, "order.paid", "42", '{"total": 1.0}', headers=json.dumps({"traceparent": TRACE}))
    got, = carried({"headers": headers}, envelope="cloudevents-structured")
    sent = {name: value.decode() for name, value in got.headers}
    assert sent["content-type"].startswith("application/cloudevents+json")
    assert sent["traceparent"] == TRACE and not [name for name in sent if name.startswith("ce_")]
    body = json.loads(got.value)
    assert (body["id"], body["type"], body["data"], body["specversion"]) == (
        event_id, "order.paid", {"total": 1.0}, "1.0")


def test_tombstones_have_no_value(db, carried):
    publish(db, "order.paid", "1", '{"n": 1}')
    publish(db, "order.deleted", "1", '{"n": 2}')
    publish(db, "order.void", "1", "null")
    publish(db, "order.paid", "1", '{"n": 3}')
    got = carried({"tombstone": "*.deleted *.gone", "tombstone_on_null": True}, envelope="payload")
    assert [r.value for r in got] == [b'{"n": 1}', None, None, b'{"n": 3}']
    assert {r.key for r in got} == {b"1"} and dict(got[1].headers)["type"] == b"order.deleted"


def test_a_template_may_name_the_partition(db, carried):
    """A number out of range, and what is no number, park their own aggregate."""
    for i in ("0", "2", "3"):
        publish(db, "t", i, "{}")
    got = carried({"partition": "{aggregateId}"})
    assert sorted((r.key, r.partition) for r in got) == [(b"0", 0), (b"2", 2), (b"3", 3)]


def test_a_partition_that_is_not_there_parks_its_aggregate(db, relay_of, kafka_server):
    topic = unique("partitions")
    kafka_server.create_topic(topic, 2)
    for i in ("1", "7", "two"):
        publish(db, "t", i, "{}")
    relay_of([cfg.kafka("stream", kafka_server, topic, options={"partition": "{aggregateId}"})])

    def causes():
        return dict(db.run("SELECT aggregate_id, cause FROM outbox.delivery"
                           " WHERE cause IS NOT NULL AND state <> 'DELIVERED'"))

    wait_until(lambda: causes() == {"7": "topic_missing", "two": "no_route"}, "two are parked")
    wait_until(lambda: kafka_server.consume_all(topic), "the third arrives")
    assert [r.key for r in kafka_server.consume_all(topic)] == [b"1"]


def test_an_empty_key_is_no_key(db, carried):
    for i in range(5):
        publish(db, "t", str(i), "{}")
    got = carried({"key": ""})
    assert len(got) == 5 and {r.key for r in got} == {None}


def test_header_values_are_any_text(db, carried):
    odd = "\u0001\t\n\r\x7f \u00e9\u20ac\U0001f600\u2028\"\\" + "x" * 3000
    publish(db, "t", "1", "{}", headers=json.dumps({"odd": odd, "empty": "", "EVENTID": "forged"}))
    got, = carried({"header.route": "{aggregateType}/{type}"})
    sent = dict(got.headers)
    assert sent["odd"].decode() == odd and sent["empty"] == b"" and sent["route"] == b"order/t"
    assert "EVENTID" not in sent


def test_old_events_outlive_the_retention_unless_told_otherwise(db, relay_of):
    """Brokers delete by a record's time, also what they took a second ago."""
    with Kafka(settings={"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}) as kafka:
        for topic in ("sent", "occurred"):
            kafka.create_topic(topic, 1, retention_ms="3600000")
        old = publish(db, "t", "1", "{}", occurred_at="2020-01-02 03:04:05.678Z")
        began = int(time.time() * 1000)
        relay_of([cfg.kafka(time_of, kafka, time_of, options={} if time_of == "sent" else {"timestamp": time_of})
                  for time_of in ("sent", "occurred")])
        wait_settled(db, [Named("sent"), Named("occurred")])
        wait_until(lambda: kafka.first_offset("occurred") == 1, "the broker deletes the old record", 180)
        assert kafka.consume_all("occurred") == []
        got, = kafka.consume_all("sent")
        assert got.timestamp_ms >= began
        headers = dict(got.headers)
        assert headers["eventId"].decode() == old and headers["occurredAt"] == b"2020-01-02T03:04:05.678000Z"


def test_the_time_may_be_the_event_s(db, carried):
    publish(db, "t", "1", "{}", occurred_at="2020-01-02 03:04:05.678Z")
    got, = carried({"timestamp": "occurred"})
    assert got.timestamp_ms == 1577934245678


@pytest.mark.parametrize("options, text", [
    ({"no.such.property": "1"}, "No such configuration property"),
    ({"linger.ms": "soon"}, "linger.ms"),
    ({"max.in.flight": "6"}, "max.in.flight"),
    ({"security.protocol": "ssl", "ssl.ca.location": "/no/such/file"}, "ssl.ca.location"),
    ({"security.protocol": "sasl_ssl", "sasl.mechanism": "NONSENSE"}, "Unsupported SASL mechanism"),
    ({"compression.codec": "brotli"}, "compression"),
    ({"partition": "two"}, "not a number"),
    ({"header.eventId": "x"}, "sent anyway"),
    ({"header.x": "{nonsense}"}, "unknown field"),
    ({"topic": "{nonsense}"}, "unrecognized field"),
    ({"acks": "1"}, "in-sync replicas"),
])
def test_check_asks_the_library(postrider, tmp_path, options, text):
    """No broker is needed: nothing of this is found at run time only."""
    path = tmp_path / "postrider.yaml"
    path.write_text(json.dumps({
        "source": {"dsn": "postgresql://127.0.0.1:1/none"},
        "destinations": [{"name": "stream", "adapter": "kafka",
                          "options": {"bootstrap.servers": "127.0.0.1:1", "topic": "t", **options}}],
        "routes": [{"to": ["stream"]}]}))
    path.chmod(0o600)
    done = run(postrider, "check", "-c", str(path))
    assert done.returncode == 78 and text in done.stderr, done
