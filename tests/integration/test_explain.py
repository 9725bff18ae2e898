# SPDX-License-Identifier: Apache-2.0
"""`postrider explain` shows what the destinations really get, sends nothing and keeps secrets."""

import json

import pytest
import yaml

from harness.relay import run
from harness.sinks import wait_settled

EX_USAGE, EX_DATA, EX_UNAVAILABLE, EX_CONFIG = 64, 65, 69, 78
ENVELOPES = ["canonical", "payload", "cloudevents-structured", "cloudevents-binary"]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CANARIES = ["canary-dsn", "canary-sasl", "canary-amqp", "canary-hook-path", "canary-hook-token",
            "Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAwMDA="]


def publish(db) -> str:
    """One event with everything that can go wrong on the way."""
    return db.value("SELECT outbox.publish('order.paid', 'agg/€ \"7\"', %s::json, 'order', version => 3,"
                    " headers => %s, occurred_at => '2026-01-02 03:04:05.678901Z')::text",
                    '{ "n":1.0,\n\t"n":2, "text":"\\u00e9 ü 😀" }',
                    json.dumps({"traceparent": TRACE, "x-tenant": "blue", "n": 12}))


def explain(postrider, path: str, *args: str) -> dict[str, dict]:
    """The JSON answer, by destination."""
    done = run(postrider, "explain", "-c", str(path), "--json", *args)
    assert done.returncode == 0, done
    return {d["destination"]: d for d in json.loads(done.stdout)["destinations"]}


def sends(destination: dict) -> dict[str, str]:
    """What is sent, as names and values; header lines of HTTP become "header name"."""
    lines = {}
    for line in destination["sends"]:
        name, value = line["name"], line["value"]
        if name == "header":
            name, _, value = value.partition(": ")
            name = "header " + name.lower()
        assert name not in lines, f"{name} twice"
        lines[name] = value
    return lines


def headers_of(lines: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("header "): value for name, value in lines.items() if name.startswith("header ")}


@pytest.fixture
def relayed(db, relay_of, postrider):
    """relayed(sink, envelope): what explain says about one event, after it was delivered."""
    def go(sink, envelope: str) -> dict[str, str]:
        event_id = publish(db)
        relay = relay_of([sink], extra={"envelope": envelope})
        wait_settled(db, [sink])
        destination = explain(postrider, relay.config_path, event_id)[sink.name]
        assert destination["matches"] and destination["envelope"] == envelope
        assert destination["routes"] == [{"index": 0, "matches": True, "reason": None}]
        return sends(destination)
    return go


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_the_line_of_stdout(relayed, file, envelope):
    lines = relayed(file, envelope)
    with open(file.path, "rb") as f:
        assert f.read() == lines["line"].encode() + b"\n"
    assert lines["output"] == file.path


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_the_request_of_webhook(relayed, hook, envelope):
    lines = relayed(hook, envelope)
    got, = hook.receiver.accepted
    assert got.body == lines["body"].encode()
    assert lines["endpoint"] == hook.receiver.url.removesuffix("/hook")
    want = headers_of(lines)
    assert want.pop("webhook-signature") == "v1,(made when it is sent)"
    assert want.pop("webhook-timestamp").isdigit()
    # HTTP headers travel as Latin-1; these carry UTF-8.
    assert want == {name: got.headers[name].encode("latin-1").decode() for name in want}
    # Nothing but what every HTTP client adds is left out.
    assert set(got.headers) - set(want) <= {"host", "accept", "accept-encoding", "user-agent", "content-length",
                                            "webhook-signature", "webhook-timestamp"}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_the_message_of_rabbitmq(relayed, queue, envelope):
    lines = relayed(queue, envelope)
    (got, body), = queue.broker.consume(queue.queue)
    assert body == lines["body"].encode()
    assert (lines["exchange"], lines["routing_key"]) == ("", queue.queue)
    assert (got.message_id, got.content_type) == (lines["message_id"], lines["content_type"])
    assert (got.type, str(got.timestamp), str(got.delivery_mode)) == (
        lines["type"], lines["timestamp"], lines["delivery_mode"])
    assert got.headers == headers_of(lines)


@pytest.mark.kafka
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_the_record_of_kafka(relayed, topic, envelope):
    lines = relayed(topic, envelope)
    got, = topic.broker.consume_all(topic.topic)
    assert (got.topic, got.key, got.value) == (lines["topic"], lines["key"].encode(), lines["body"].encode())
    assert lines["timestamp"] == "(when it is sent)" and got.timestamp_ms > 0
    assert [(name, value.decode()) for name, value in got.headers] == list(headers_of(lines).items())


def test_nothing_is_sent_or_changed(db, relay_of, postrider, file, hook, queue):
    event_id = publish(db)
    relay = relay_of([file, hook, queue], start=False)
    explained = explain(postrider, relay.config_path, event_id)
    assert all(d["matches"] and d["sends"] for d in explained.values())
    assert (file.count(), len(hook.receiver.deliveries), queue.count()) == (0, 0, 0)
    for table in ("lane", "delivery"):
        assert db.value(f"SELECT count(*) FROM outbox.{table}") == 0


@pytest.fixture
def config(tmp_path):
    """config(destinations, routes): a file that names servers which do not exist."""
    def write(destinations: list[dict], routes: list[dict]) -> str:
        path = tmp_path / "postrider.yaml"
        path.write_text(yaml.safe_dump({
            "source": {"dsn": "postgresql://postrider:canary-dsn@127.0.0.1:1/nothing"},
            "destinations": destinations, "routes": routes}, sort_keys=False))
        path.chmod(0o600)
        return str(path)
    return write


def test_secrets_are_not_shown(config, postrider, tmp_path):
    path = config([
        {"name": "file", "adapter": "stdout", "options": {"path": str(tmp_path / "out")}},
        {"name": "topic", "adapter": "kafka", "options": {
            "bootstrap.servers": "127.0.0.1:1", "topic": "t", "security.protocol": "sasl_plaintext",
            "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "canary-sasl"}},
        {"name": "queue", "adapter": "rabbitmq", "options": {
            "url": "amqp://u:canary-amqp@127.0.0.1:1", "exchange": "e"}},
        {"name": "hook", "adapter": "webhook", "options": {
            "url": "https://example.test/canary-hook-path?token=canary-hook-token",
            "secret": "whsec_" + CANARIES[-1]}},
    ], [{"match": {"type": ["*"]}, "to": ["file", "topic", "queue", "hook"]}])
    for options in ([], ["--json"]):
        done = run(postrider, "explain", "-c", path, "--sample", "order.paid", "--payload", '"shown"', *options)
        assert done.returncode == 0, done
        assert done.stdout.count("shown") >= 4
        for canary in CANARIES:
            assert canary not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_the_reason_when_nothing_matches(config, postrider):
    names = ["typed", "kind", "both", "unrouted"]
    path = config([{"name": name, "adapter": "stdout"} for name in names] + [
        {"name": "morgue", "adapter": "stdout"}, {"name": "frail", "adapter": "stdout", "dead_letter": "morgue"}], [
        {"match": {"type": ["TASK_*", "x"]}, "to": ["typed"]},
        {"match": {"aggregate_type": ["user"]}, "to": ["kind", "both"]},
        {"match": {"type": ["order.*"]}, "to": ["both"]},
    ])
    sample = ["--sample", "order.paid", "--aggregate-type", "order"]
    said = explain(postrider, path, *sample)
    assert [said[name]["matches"] for name in names] == [False, False, True, False]
    assert said["typed"]["routes"] == [
        {"index": 0, "matches": False, "reason": 'type "order.paid" fits none of: TASK_*, x'}]
    assert said["both"]["routes"] == [
        {"index": 1, "matches": False, "reason": 'aggregateType "order" fits none of: user'},
        {"index": 2, "matches": True, "reason": None}]
    assert said["unrouted"]["routes"] == []
    assert all(not said[name]["sends"] for name in names if name != "both")
    text = run(postrider, "explain", "-c", path, *sample).stdout
    assert "both (stdout): sent, matched by routes[2]\n" in text
    assert "typed (stdout): not sent, no route matches\n  routes[0]" in text
    assert "unrouted (stdout): not sent, no route leads here\n" in text
    assert 'morgue (stdout): not sent, no route leads here, unless it is dead for "frail"\n' in text


def test_a_terminal_is_not_obeyed(config, postrider):
    path = config([{"name": "out", "adapter": "stdout"}], [{"match": {"type": ["*"]}, "to": ["out"]}])
    done = run(postrider, "explain", "-c", path, "--sample", "a\x1b[2Jb\x7f", "--aggregate-id", "\x1b]0;x\x07")
    assert done.returncode == 0 and "a\\x1b[2Jb\\x7f" in done.stdout
    assert not set(done.stdout) & {"\x1b", "\x07", "\x7f"}


def test_what_is_wrong_has_its_status(db, relay_of, config, postrider, file):
    relay = relay_of([file], start=False)
    none = config([{"name": "out", "adapter": "stdout"}], [{"match": {"type": ["*"]}, "to": ["out"]}])
    unknown = "00000000-0000-0000-0000-000000000000"
    for path, args, status, text in [
            (relay.config_path, [unknown], EX_DATA, "no event"),
            (relay.config_path, ["R-1"], EX_DATA, "not an event id"),
            (relay.config_path, [], EX_USAGE, "EVENT-ID or --sample"),
            (relay.config_path, [unknown, "--sample", "x"], EX_USAGE, "not both"),
            (relay.config_path, [unknown, "--payload", "1"], EX_USAGE, "go with --sample"),
            (none, [unknown], EX_UNAVAILABLE, "could not connect"),
            (none + ".missing", [unknown], EX_CONFIG, "could not open")]:
        done = run(postrider, "explain", "-c", path, *args)
        assert done.returncode == status and text in done.stderr and done.stdout == "", done


def test_an_adapter_that_refuses_is_a_problem_of_its_destination(config, postrider):
    path = config([{"name": "hook", "adapter": "webhook", "options": {
        "url": "http://example.test/", "secret": "whsec_" + CANARIES[-1]}}, {"name": "out", "adapter": "stdout"}],
        [{"match": {"type": ["*"]}, "to": ["hook", "out"]}])
    done = run(postrider, "explain", "-c", path, "--sample", "t", "--json")
    assert done.returncode == EX_CONFIG, done
    hook, out = json.loads(done.stdout)["destinations"]
    assert "allow_http" in hook["problem"] and hook["sends"] == []
    assert out["problem"] is None and out["sends"]
