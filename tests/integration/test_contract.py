# SPDX-License-Identifier: Apache-2.0
"""What the relay really emits keeps the published contracts, judged by other people's code."""

import base64
import json
import os
import subprocess

import pytest

from harness.checker import member_text
from harness.secrets import KeyRing
from harness.sinks import wait_settled
from harness.subscribers import Subscribers
from harness.wait import wait_until

APPROVE = """
SELECT approvals.submit_request('New laptops', 'ann', '{request}');
SELECT approvals.assign_task('{request}', 'bob', '{task}');
SELECT approvals.decide_task('{task}', '{decision}', {comment});
"""


@pytest.fixture(scope="session")
def node(root):
    """node(script, *args): runs a script of tests/contract and returns what it printed."""
    folder = os.path.join(root, "tests", "contract")
    assert os.path.isdir(os.path.join(folder, "node_modules")), "run npm ci in tests/contract first"

    def run(*args: str) -> str:
        done = subprocess.run(args, cwd=folder, text=True, capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


@pytest.fixture
def approvals(db, root):
    """The reference domain, with one approved and one rejected request."""
    db.run_file(os.path.join(root, "config", "approvals", "approvals.sql"))
    for n, (decision, comment) in enumerate([("APPROVED", "'within budget'"), ("REJECTED", "NULL")]):
        db.run(APPROVE.format(request=f"00000000-0000-4000-8000-00000000000{n}",
                              task=f"00000000-0000-4000-9000-00000000000{n}",
                              decision=decision, comment=comment))
    return db


def test_emitted_approvals_match_their_schemas(approvals, relay_of, file, node):
    relay_of([file])
    wait_settled(approvals, [file])
    types: dict[str, list[str]] = {}
    for event in (json.loads(r.body) for r in file.receipts()):
        types.setdefault(event["aggregateId"], []).append(event["type"])
    begin = ["REQUEST_SUBMITTED", "TASK_ASSIGNED", "TASK_DECIDED"]
    assert sorted(types.values()) == [begin + ["REQUEST_APPROVED"], begin + ["REQUEST_REJECTED"]]
    assert "8 valid, 0 invalid" in node("node", "validate.mjs", file.path)


def test_envelope_of_any_event_matches_its_schema(db, relay_of, file, node):
    """With and without aggregate type and trace context, odd names, other versions."""
    db.run("SELECT outbox.publish('order.created', 'a', '[1]')")
    db.run("SELECT outbox.publish(%s, %s, 'null', %s, version => 7, headers => %s,"
           " occurred_at => '2026-01-02 03:04:05.6+05')",
           'type "quoted" \\ ü', 'agg/€ 😀"', 'kind\twith tab',
           json.dumps({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}))
    relay_of([file])
    wait_settled(db, [file])
    assert "2 valid, 0 invalid" in node("node", "validate.mjs", "--allow-unknown-types", file.path)
    plain, odd = (json.loads(r.body) for r in file.receipts())
    assert {"eventId", "type", "occurredAt", "aggregateId", "payload", "version"} <= set(plain)
    assert odd["type"] == 'type "quoted" \\ ü' and odd["aggregateId"] == 'agg/€ 😀"'
    assert odd["aggregateType"] == "kind\twith tab" and odd["version"] == 7
    assert odd["occurredAt"] == "2026-01-01T22:04:05.600000Z"
    assert odd["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


@pytest.mark.parametrize("payload", ['{"a":1.0,"a":2 ,  "b":1e2}', '"\\u00e9\\/"', "12345678901234567890.10",
                                     '{"x":"\\\\u0000"}', "[]", "  true  ".strip()])
def test_payload_is_spliced_byte_for_byte(db, relay_of, file, hook, payload):
    db.run("SELECT outbox.publish('t', 'a', %s::json)", payload)
    relay_of([file, hook])
    wait_settled(db, [file, hook])
    for sink in (file, hook):
        assert member_text(sink.receipts()[0].body.decode(), "payload") == payload


def test_every_destination_gets_the_same_bytes(approvals, relay_of, file, hook, queue):
    relay_of([file, hook, queue])
    wait_settled(approvals, [file, hook, queue])
    bodies = [{r.event_id: r.body for r in sink.receipts()} for sink in (file, hook, queue)]
    assert bodies[0] == bodies[1] == bodies[2] and len(bodies[0]) == 8


def test_other_verifiers_accept_real_webhooks(approvals, relay_of, hook, node, tmp_path):
    """The npm packages standardwebhooks and svix verify what the adapter sent."""
    relay_of([hook])
    wait_until(lambda: hook.count() == 8, "eight webhooks")
    path = tmp_path / "requests.jsonl"
    with open(path, "w", encoding="utf-8") as f:
        for d in hook.receiver.deliveries:
            f.write(json.dumps({"headers": d.headers, "body": base64.b64encode(d.body).decode()}) + "\n")
            assert d.headers["webhook-id"] == json.loads(d.body)["eventId"]
    assert "8 requests agree" in node("node", "verify_signatures.mjs", "requests", str(path),
                                      hook.receiver.secret)


def test_other_verifiers_accept_what_subscriptions_get(db, relay_of, build, postrider, node, tmp_path):
    """Two secrets that overlap and an Ed25519 key: each of the three verifies each request."""
    ring = KeyRing(build, postrider, tmp_path)
    signing_key = subprocess.run([postrider, "secrets", "new-signing-key"], text=True, capture_output=True, check=True,
                                 timeout=120).stdout.strip()
    public = "whpk_" + base64.b64encode(base64.b64decode(signing_key.removeprefix("whsk_"))[32:]).decode()
    (tmp_path / "whsk").write_text(signing_key + "\n", encoding="ascii")
    with Subscribers() as endpoints:
        number, sub, old = ring.subscribe(db, endpoints.url("a"), signatures=["v1", "v1a"])
        db.run("UPDATE outbox.subscription_secret SET expires_at = now() + interval '1 hour'")
        new = ring.add_secret(db, number, sub, "key_" + "1" * 32)
        endpoints.endpoint("a").secrets += [old, new]
        options = {"allow_http": True, "allow_cidrs": "127.0.0.0/8"}
        relay = relay_of([{"name": "partners", "adapter": "webhook", "subscriptions": True, "options": options}],
                         webhooks={"key_ring": ring.path, "signing_key_file": str(tmp_path / "whsk")})
        db.run("SELECT outbox.publish('order.paid', i::text, json_build_object('n', i, 'text', 'ü 😀'), 'order')"
               " FROM generate_series(1, 100) i")
        wait_until(lambda: len(endpoints.accepted()["a"]) == 100, "a hundred webhooks")
        arrivals = endpoints.of("a")
    with open(tmp_path / "requests.jsonl", "w", encoding="utf-8") as f:
        for a in arrivals:
            f.write(json.dumps({"headers": a.headers, "body": base64.b64encode(a.body).decode()}) + "\n")
            assert [e.split(",")[0] for e in a.headers["webhook-signature"].split(" ")] == ["v1", "v1", "v1a"]
    assert f"{len(arrivals)} requests agree" in node("node", "verify_signatures.mjs", "requests",
                                                     str(tmp_path / "requests.jsonl"), new, old, public)
    assert signing_key not in relay.log()


def test_asyncapi_document_is_valid(node):
    node("npm", "run", "--silent", "asyncapi")
