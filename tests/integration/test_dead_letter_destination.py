# SPDX-License-Identifier: Apache-2.0
"""`dead_letter: NAME`: a dead event also goes to another destination, with its cause in headers."""

import json

import pytest

from harness.sinks import file_sink, open_events
from harness.wait import let_run, wait_until

QUICK = {"initial": "20ms", "max": "50ms", "max_attempts": 2}


def refuse(d) -> int:
    return 422 if b'"poison"' in d.body else 204


def dead(db) -> int:
    return db.value("SELECT count(*) FROM outbox.delivery d JOIN outbox.lane l USING (lane)"
                    " WHERE l.destination = 'hook' AND d.state = 'DEAD'")


@pytest.fixture
def to_graves(relay_of, hook):
    """A relay with `hook`, which refuses poison, and its dead-letter destination. Only `hook` is
    routed to."""
    hook.receiver.answer = refuse

    def make(graves: dict, on_dead: str = "skip", start: bool = True):
        return relay_of([hook.config(retry=QUICK, dead_letter=graves["name"], on_dead=on_dead), graves],
                        routes=[{"match": {"type": ["*"]}, "to": ["hook"]}], start=start)
    return make


def headers_of(properties) -> dict[str, str]:
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in properties.headers.items()}


def test_rabbitmq_gets_the_event_and_its_cause(db, to_graves, hook, queue):
    to_graves(queue.config())
    db.run("SELECT outbox.publish('order.paid', 'a', '{\"is\":\"poison\" }', 'order',"
           " headers => '{\"tenant\":\"x\"}')")
    db.run("SELECT outbox.publish('order.paid', 'a', '{\"is\":\"well\"}', 'order')")
    wait_until(lambda: queue.count() == 1, "the dead letter arrives")
    wait_until(lambda: hook.count() == 1, "its key goes on")
    let_run(1)
    (properties, body), = queue.broker.consume(queue.queue)
    refused = [d for d in hook.receiver.deliveries if d.status == 422]
    assert len(refused) == 2 and {d.body for d in refused} == {body}, "the same bytes"
    assert properties.message_id == refused[0].event_id
    headers = headers_of(properties)
    assert headers["tenant"] == "x"
    assert headers["deadLetterDestination"] == "hook"
    assert headers["deadLetterCause"] == "rejected_4xx"
    assert headers["deadLetterAttempts"] == "2"
    assert "422" in headers["deadLetterError"]
    assert dead(db) == 1, "it is still listed as dead"


@pytest.mark.kafka
def test_kafka_gets_the_cause_in_headers(db, to_graves, topic):
    to_graves(topic.config())
    db.run("SELECT outbox.publish('order.paid', 'a', '{\"is\":\"poison\"}', 'order')")
    wait_until(lambda: topic.count() == 1, "the dead letter arrives", every=0.5)
    record, = topic.broker.consume_all(topic.topic)
    headers = {k: v.decode() for k, v in record.headers}
    assert headers["deadLetterDestination"] == "hook" and headers["deadLetterCause"] == "rejected_4xx"
    assert json.loads(record.value)["payload"] == {"is": "poison"}


def test_only_the_dead_go_there(db, to_graves, hook, tmp_path):
    """200 events, every fourth of them dead: 50 dead letters, each once, and no other event."""
    graves = file_sink(tmp_path, "graves")
    to_graves(graves.config())
    poison = {row[0] for row in db.run(
        "SELECT outbox.publish('t', 'k-' || i % 7, CASE WHEN i % 4 = 0 THEN '\"poison\"' ELSE '1' END::json)"
        "::text, i FROM generate_series(1, 200) i") if row[1] % 4 == 0}
    wait_until(lambda: dead(db) == 50 and hook.count() == 150, "all are settled")
    wait_until(lambda: graves.count() == 50, "all dead letters arrive")
    let_run(1)
    assert sorted(r.event_id for r in graves.receipts()) == sorted(poison)


def test_held_key_waits_while_its_dead_letter_goes(db, to_graves, hook, tmp_path):
    """With on_dead: hold the copy goes out and the key still waits for an operator."""
    graves = file_sink(tmp_path, "graves")
    to_graves(graves.config(), on_dead="hold")
    db.run("SELECT outbox.publish('t', 'a', '\"poison\"')")
    db.run("SELECT outbox.publish('t', 'a', '1')")
    db.run("SELECT outbox.publish('t', 'b', '1')")
    wait_until(lambda: graves.count() == 1 and hook.count() == 1, "the copy and the other key go")
    let_run(1)
    assert hook.count() == 1
    held = wait_until(lambda: db.run("SELECT cause FROM outbox.stuck WHERE destination = 'hook' AND state = 'HELD'"),
                      "its next event is held")
    assert len(held) == 1 and held[0][0].startswith("key_held_by:")


def test_dead_letters_wait_for_a_destination_that_is_down(db, to_graves, hook, queue):
    """They are countable there meanwhile, and nothing else waits."""
    graves = queue.config()
    graves["options"]["url"] = "amqp://guest:guest@127.0.0.1:1/%2F"
    relay = to_graves(graves)
    for i in range(20):
        db.run("SELECT outbox.publish('t', %s, '\"poison\"')", f"k-{i}")
    wait_until(lambda: dead(db) == 20, "all are dead")
    wait_until(lambda: dict(open_events(db)).get("queue") == 20, "and wait to be told")
    db.run("SELECT outbox.publish('t', 'k-1', '1')")
    wait_until(lambda: hook.count() == 1, "others go on")
    relay.config["destinations"][1]["options"]["url"] = queue.broker.url
    relay.write_config()
    relay.hup()
    wait_until(lambda: queue.count() == 20, "they arrive when it is back")


@pytest.mark.slow
def test_kill_loses_no_dead_letter(db, to_graves, hook, tmp_path):
    """The relay is killed three times while 400 events die."""
    graves = file_sink(tmp_path, "graves")
    relay = to_graves(graves.config())
    hook.receiver.delay = 0.005
    ids = {row[0] for row in db.run(
        "SELECT outbox.publish('t', 'k-' || i % 97, '\"poison\"')::text FROM generate_series(1, 400) i")}
    for n in range(3):
        wait_until(lambda want=60 * (n + 1): graves.count() >= want, "some have arrived")
        relay.kill9()
        relay.start(wait=False)
    wait_until(lambda: dead(db) == 400, "all are dead", timeout=120)
    wait_until(lambda: {r.event_id for r in graves.receipts(torn=3)} == ids, "all dead letters arrive")
