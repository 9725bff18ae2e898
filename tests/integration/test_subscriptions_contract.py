# SPDX-License-Identifier: Apache-2.0
"""The API of subscriptions says what docs/openapi.yaml says: each operation, each status, each header and body."""

import os
import subprocess
import threading

import pytest

from harness.api import ApiClient, agree, partners
from harness.delivery_calls import DeliveryCalls
from harness.secrets import KeyRing

BASE = "/webhooks/subscriptions"
NOBODY = "sub_" + "0" * 32
PREFIXES = ["/webhooks/", "/.well-known/"]
# Every operation as (method, path below one subscription, body); of POST and PATCH the refusals have much in common.
CHANGES = [("POST", "", {"url": "https://a.example/"}), ("PATCH", "/{id}", {"description": "x"}),
           ("POST", "/{id}/secret/rotate", {}), ("POST", "/{id}/test", {}), ("POST", "/{id}/verify", {})]
READS = ["", "/{id}", "/{id}/health"]


@pytest.fixture
def contract(root) -> str:
    folder = os.path.join(root, "tests", "contract")
    assert os.path.isdir(os.path.join(folder, "node_modules")), "run npm ci in tests/contract first"
    return folder


@pytest.fixture
def api(db, relay_of, tmp_path, build, postrider):
    """The API of a relay that has the rights of outbox_relay and no more."""
    db.run("DO $$ BEGIN CREATE ROLE contract_relay LOGIN IN ROLE outbox_relay;"
           " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    client = ApiClient(tmp_path)
    client.relay = relay_of([partners()], api=client.settings,
                            source={"dsn": db.dsn.replace("//postrider@", "//contract_relay@")},
                            webhooks={"key_ring": KeyRing(build, postrider, tmp_path).path})
    return client


def validate(contract: str, api: ApiClient, path, prefixes=tuple(PREFIXES)) -> str:
    api.save(path)
    done = subprocess.run(["node", "validate_contract.mjs", str(path), *prefixes], cwd=contract, text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answers(api, endpoint) -> dict:
    """What goes well. Returns a subscription."""
    sub = api("POST", BASE, {"url": endpoint.url(), "uid": "one", "filter": {"payload.a": {"$gt": 1}},
                             "metadata": {"a": "b"}, "limits": {"rate_per_second": 2.5},
                             "retry": {"schedule_seconds": [1, 2]}, "timeout_ms": 30000,
                             "start_from": {"time": "2026-01-01T00:00:00Z"}},
              idempotency_key="k").body
    api("POST", BASE, {"url": endpoint.url("/agree"), "verify": "challenge"})
    one = f"{BASE}/{sub['id']}"
    for path in (BASE, BASE + "?limit=1&metadata[a]=b", one, one + "/health", "/webhooks/keys"):
        assert api("GET", path).status == 200
    assert "link" in api("GET", BASE + "?limit=1").headers
    assert api("GET", one, if_none_match='"v1"').status == 304
    assert api("PATCH", one, {"status": "paused", "filter": None}, if_match='"v1"').status == 200
    assert api("POST", one + "/secret/rotate", {"overlap_seconds": 60}).status == 200
    assert api("POST", one + "/test", {"event_type": "a.b", "data": {"x": 1}}).status == 200
    endpoint.answers["/hook"] = 503
    assert api("POST", one + "/test").body["status"] != "delivered"
    assert api("GET", "/.well-known/webhooks-jwks.json", who=None).status == 200
    endpoint.answers["/hook"] = agree
    assert api("POST", one + "/verify", {}).status == 200
    return sub


def refusals(api, one: str) -> None:
    """What any change refuses alike."""
    for method, tail, body in CHANGES:
        path = BASE + tail.format(id=one)
        match = {"if_match": "*"} if method == "PATCH" else {}
        assert api(method, path, "{", **match).status == 400
        assert api(method, path, body, who=None, **match).status == 401
        assert api(method, path, body, who="reader", **match).status == 403
        assert api(method, path, b" " * 1048577, **match).status == 413
        assert api(method, path, body, content_type="text/plain", **match).status == 415
        assert api(method, path, {"nothing": 1}, **match).status == 422
        if tail:
            assert api(method, BASE + tail.format(id=NOBODY), body, **match).status == 404
    for tail in READS:
        assert api("GET", BASE + tail.format(id=one) + "?x=1").status == 400
        assert api("GET", BASE + tail.format(id=one), who=None).status == 401
        if tail:
            assert api("GET", BASE + tail.format(id=NOBODY)).status == 404
    for path in ("/webhooks/keys", "/.well-known/webhooks-jwks.json"):
        assert api("GET", path + "?x=1").status == 400
    assert api("GET", "/webhooks/keys", who=None).status == 401


def conflicts(api, one: str, endpoint) -> None:
    path = f"{BASE}/{one}"
    assert api("POST", BASE, {"url": "https://a.example/", "uid": "one"}).status == 409
    other = api("POST", BASE, {"url": "https://a.example/"}).body
    assert api("PATCH", f"{BASE}/{other['id']}", {"uid": "one"}, if_match="*").status == 409
    assert api("PATCH", path, {"description": "x"}).status == 428
    assert api("PATCH", path, {"description": "x"}, if_match='"v999"').status == 412
    for _ in range(9):
        api("POST", path + "/secret/rotate", {})
    assert api("POST", path + "/secret/rotate", {}).status == 409
    arrived, done = threading.Event(), threading.Event()
    endpoint.answers["/hook"] = lambda h, b: (arrived.set(), done.wait(60), (204, b""))[2]
    slow = threading.Thread(target=lambda: api("POST", path + "/test", {}, idempotency_key="slow"))
    slow.start()
    assert arrived.wait(60)
    assert api("POST", path + "/test", {}, idempotency_key="slow").status == 409
    done.set()
    slow.join()
    assert api("POST", path + "/test", {}, idempotency_key="slow").headers["idempotency-replayed"] == "true"
    assert api("PATCH", path, {"status": "disabled"}, if_match="*").body["status_reason"] == "manual"
    assert api("POST", path + "/verify", {}).status == 409


def crowds(api, one: str, endpoint) -> None:
    """Whoever has four trials going gets no fifth."""
    path = f"{BASE}/{one}"
    arrived, done = threading.Semaphore(0), threading.Event()
    endpoint.answers["/hook"] = lambda h, b: (arrived.release(), done.wait(60), (204, b""))[2]
    slow = [threading.Thread(target=lambda: api("POST", path + "/test", {})) for _ in range(4)]
    for thread in slow:
        thread.start()
    assert all(arrived.acquire(timeout=60) for _ in slow)
    assert api("POST", BASE, {"url": "https://a.example/"}).status == 429
    assert api("PATCH", path, {"url": endpoint.url("/other")}, if_match="*").status == 429
    for tail in ("/test", "/verify"):
        assert api("POST", path + tail, {}).status == 429
    done.set()
    for thread in slow:
        thread.join()


def deletions(api, one: str) -> None:
    path = f"{BASE}/{one}"
    assert api("DELETE", path, who=None).status == 401
    assert api("DELETE", path, who="hooks-reader").status == 403
    assert api("DELETE", path + "?x=1").status == 400
    assert api("DELETE", path, if_match='"v999"').status == 412
    assert api("DELETE", path).status == 204
    assert api("DELETE", path).status == 404


def outages(api, db, one: str, calls: DeliveryCalls) -> None:
    db.run("ALTER SCHEMA outbox RENAME TO elsewhere")
    for method, tail, body in CHANGES:
        match = {"if_match": "*"} if method == "PATCH" else {}
        assert api(method, BASE + tail.format(id=one), body, **match).status == 503
    for tail in READS:
        assert api("GET", BASE + tail.format(id=one)).status == 503
    assert api("DELETE", f"{BASE}/{one}").status == 503
    calls.outages()
    db.run("ALTER SCHEMA elsewhere RENAME TO outbox")


def test_every_operation_and_status_is_as_documented(api, db, endpoint, contract, tmp_path):
    one = answers(api, endpoint)["id"]
    refusals(api, one)
    crowds(api, one, endpoint)
    conflicts(api, one, endpoint)
    calls = DeliveryCalls(api, db, endpoint)
    for step in (calls.answers, calls.refusals, calls.conflicts):
        step()
    outages(api, db, one, calls)
    deletions(api, one)
    print(validate(contract, api, tmp_path / "exchanges.jsonl"))


def test_the_contract_test_can_fail(api, endpoint, contract, tmp_path):
    """An operation that was not tried, and an answer that is not as documented, are found."""
    api("GET", BASE)
    api("POST", BASE, {"url": endpoint.url()})
    api.exchanges[0]["body"]["more"] = 1
    del api.exchanges[1]["headers"]["etag"]
    with pytest.raises(AssertionError) as failure:
        validate(contract, api, tmp_path / "exchanges.jsonl")
    text = str(failure.value)
    assert "GET /webhooks/subscriptions 200: must NOT have additional properties" in text
    assert "POST /webhooks/subscriptions 201: header ETag is missing" in text
    assert "DELETE /webhooks/subscriptions/{id}: never answered with 204" in text
