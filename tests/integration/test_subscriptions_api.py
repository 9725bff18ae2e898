# SPDX-License-Identifier: Apache-2.0
"""Subscriptions by the HTTP API: what is kept, what is refused and where the mistake is, what is sent."""

import base64
import contextlib
import datetime
import http.client
import json
import os
import re
import secrets
import subprocess
import threading
import time

import pytest

from harness.api import ApiClient, agree, partners
from harness.receiver import verify
from harness.secrets import KeyRing
from harness.wait import wait_until

BASE = "/webhooks/subscriptions"
UUID = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def ring(build, postrider, tmp_path):
    return KeyRing(build, postrider, tmp_path)


@pytest.fixture
def api(relay_of, tmp_path, ring):
    client = ApiClient(tmp_path)
    client.relay = relay_of([partners()], api=client.settings,
                            webhooks={"key_ring": ring.path, "signing_key": new_signing_key()})
    return client


@pytest.fixture
def made(api, endpoint):
    """made(url=..., ...) creates a subscription and returns its answer's body."""
    def make(**members) -> dict:
        answer = api("POST", BASE, {"url": endpoint.url(), **members})
        assert answer.status == 201, answer
        return answer.body
    return make


def at(sub: dict, tail: str = "") -> str:
    return f"{BASE}/{sub['id']}{tail}"


def new_signing_key() -> str:
    return "whsk_" + base64.b64encode(secrets.token_bytes(32)).decode()


def new_secret(n: int = 32) -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(n)).decode()


def busy_endpoint(endpoint) -> tuple[threading.Event, threading.Event]:
    """The endpoint tells when it has begun, and answers when it is told to."""
    started, done = threading.Event(), threading.Event()

    def answer(headers, body):
        started.set()
        done.wait(60)
        return agree(headers, body)

    endpoint.answers["/hook"] = answer
    return started, done


# ---- what is kept ---------------------------------------------------------------------------------------------------

def test_a_subscription_made_before_its_lane_gets_what_comes_after_it(relay_of, tmp_path, ring, db, endpoint):
    client = ApiClient(tmp_path)
    answers = []
    with contextlib.closing(db.connect()) as c, c.cursor() as cursor:
        cursor.execute("LOCK TABLE outbox.lane IN SHARE MODE")
        client.relay = relay_of([{**partners(), "start_from": "now"}], start=False, api=client.settings,
                                webhooks={"key_ring": ring.path})
        client.relay.start(wait=False)
        wait_until(lambda: "api.listening" in client.relay.tail(), "the API listens")
        thread = threading.Thread(target=lambda: answers.append(client("POST", BASE, {"url": endpoint.url()})))
        thread.start()
        wait_until(lambda: answers or db.value(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outbox.lane'::regclass") >= 2,
            "it answers or waits, as the lane does")
        if answers:
            db.run("SELECT outbox.publish('order.paid', 'k', '1')")
        c.commit()
        thread.join()
    assert answers[0].status == 201
    db.run("SELECT outbox.publish('order.paid', 'k', '2')")
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery")
               == db.value("SELECT count(*) FROM outbox.event"), "all that came after it is queued")


def test_a_new_subscription_shows_its_secret_once(api, endpoint, db, ring):
    answer = api("POST", BASE, {"url": endpoint.url()})
    sub = answer.body
    assert answer.status == 201
    assert re.fullmatch("sub_[0-9a-f]{32}", sub["id"])
    assert answer.headers["location"] == at(sub) and answer.etag == '"v1"'
    assert len(base64.b64decode(sub["secret"].removeprefix("whsec_"))) == 32
    assert ring.open_all(db) == {sub["secrets"][0]["key_id"]: sub["secret"]}
    shown = api("GET", at(sub))
    assert shown.body == {k: v for k, v in sub.items() if k != "secret"}
    assert shown.etag == '"v1"'
    for text in (shown.text, api("GET", BASE).text, api.relay.log().encode()):
        assert sub["secret"].encode() not in text
    assert sub["status"] == "active" and sub["event_types"] == ["*"] and sub["destination"] == "partners"
    assert sub["disable_after_seconds"] == 432000 and sub["signature"] == {"schemes": ["v1"]}
    assert db.run("SELECT action, actor, filter->>'id' FROM outbox.audit") == [
        ("subscription.create", "api writer", sub["id"])]


def test_everything_that_is_given_comes_back(api, endpoint, db):
    given = {
        "url": endpoint.url("/x?y=1"), "destination": "partners", "uid": "tenant-7", "status": "paused",
        "event_types": ["order.*", "TASK_DECIDED"], "description": "für „alle“",
        "filter": {"payload.amount": {"$gte": 0.1, "$lt": 12345678901234567890.125}},
        "metadata": {"team": "a", "x/y": "z"}, "headers": {"X-Tenant": "7"}, "ordering": "none",
        "retry": {"schedule_seconds": [0, 5, 300]}, "timeout_ms": 2500,
        "limits": {"max_in_flight": 3, "rate_per_second": 0.5, "burst": 2},
        "signature": {"schemes": ["v1", "v1a"]}, "keep_responses": True, "disable_after_seconds": None,
        "start_from": "now"}
    body = json.dumps({**given, "secret": new_secret(64)}).replace("1.2345678901234567e+19", "12345678901234567890.125")
    sub = api("POST", BASE, body).body
    shown = api("GET", at(sub)).body
    assert {k: shown[k] for k in given} == given
    assert shown["tls"] == {"ca_ref": None, "cert_ref": None} and shown["status_reason"] is None
    assert "12345678901234567890.125" in db.value("SELECT filter::text FROM outbox.subscription")


def test_lists_are_paged_and_narrowed(api, made, db):
    names = [made(uid=f"u{i}", metadata={"team": "a" if i % 2 else "b"}, description=str(i))["uid"] for i in range(7)]
    path, seen, pages = f"{BASE}?limit=3", [], 0
    while path:
        answer = api("GET", path)
        seen += [s["uid"] for s in answer.body["data"]]
        pages += 1
        link = answer.headers.get("link")
        assert answer.body["has_more"] == (link is not None) == (answer.body["next_cursor"] is not None)
        path = re.fullmatch('<(.*)>; rel="next"', link).group(1) if link else None
    assert (seen, pages) == (names, 3)

    def found(query: str) -> list[str]:
        answer = api("GET", f"{BASE}?{query}")
        assert answer.status == 200, answer
        return [s["uid"] for s in answer.body["data"]]

    db.run("UPDATE outbox.subscription SET status = 'disabled', status_reason = 'manual' WHERE uid = 'u3'")
    db.run("INSERT INTO outbox.subscription_health (subscription, consecutive_failures)"
           " SELECT subscription, 2 FROM outbox.subscription WHERE uid = 'u2'")
    db.run("UPDATE outbox.subscription SET event_types = '{order.*}' WHERE uid = 'u5'")
    db.run("UPDATE outbox.subscription SET url = 'https://a.example/100%' WHERE uid = 'u6'")
    assert found("metadata%5Bteam%5D=a") == ["u1", "u3", "u5"]
    assert found("metadata[team]=a&status=disabled") == ["u3"]
    assert found("uid=u4") == ["u4"] and found("uid=nobody") == []
    assert found("health=failing") == ["u2"]
    assert found("event_type=task.done") == [n for n in names if n != "u5"]
    assert found("event_type=order.paid") == names
    assert found("url_contains=100%25") == ["u6"]
    assert found("created_after=2999-01-01T00:00:00Z") == [] and found("created_after=2020-01-01T00:00:00Z") == names
    assert found("destination=partners&limit=250") == names and found("destination=x") == []
    link = api("GET", f"{BASE}?limit=1&metadata[team]=b").headers["link"]
    assert found(re.search(r"\?(.*)>", link).group(1)) == ["u2"]


@pytest.mark.parametrize("query,code", [
    ("cursor=x", "invalid-cursor"), ("cursor=MTpkZWxpdmVyaWVzOjE", "invalid-cursor"), ("limit=0", "invalid-parameter"),
    ("limit=251", "invalid-parameter"), ("limit=x", "invalid-parameter"), ("status=gone", "invalid-parameter"),
    ("health=fine", "invalid-parameter"), ("created_after=soon", "invalid-parameter"), ("nothing=1", "bad-request"),
    ("metadata[]=1", "bad-request"), ("metadata[a=1", "bad-request"), ("uid=%00", "bad-request")])
def test_bad_lists(api, query, code):
    answer = api("GET", f"{BASE}?{query}")
    assert (answer.status, answer.code) == (400, code)


def test_etags(api, made):
    sub = made()
    assert api("GET", at(sub), if_none_match='"v1"').status == 304
    assert api("GET", at(sub), if_none_match='"v0", "v1"').status == 304
    assert api("GET", at(sub), if_none_match='"v2"').status == 200
    assert api("PATCH", at(sub), {"description": "x"}).code == "precondition-required"
    assert api("PATCH", at(sub), {"description": "x"}, if_match='"v2"').code == "precondition-failed"
    assert api("PATCH", at(sub), {"description": "x"}, if_match='W/"v1"').status == 412
    answer = api("PATCH", at(sub), {"description": "x"}, if_match='"v1"')
    assert (answer.status, answer.etag, answer.body["version"]) == (200, '"v2"', 2)
    assert api("DELETE", at(sub), if_match='"v1"').status == 412
    assert api("DELETE", at(sub), if_match='"v2"').status == 204


def test_an_order_comes_to_what_waits(api, made, db, endpoint):
    sub, other = made(ordering="none", status="paused"), made(url=endpoint.url("/o"), ordering="none", status="paused")
    db.run("SELECT outbox.publish('order.paid', 'k-' || (i % 3), '{}', 'order') FROM generate_series(1, 9) i")
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'PENDING'") == 18, "all may go")
    db.run("UPDATE outbox.delivery SET state = 'DISCARDED' WHERE seq = 1")
    assert api("PATCH", at(sub), {"ordering": "key"}, if_match="*").status == 200

    def states(s: dict) -> list[tuple]:
        return db.run("SELECT d.seq, d.state FROM outbox.delivery d JOIN outbox.subscription s USING (subscription)"
                      " WHERE s.id = %s AND d.seq > 1 ORDER BY 1", s["id"])

    assert states(sub) == [(seq, "PENDING" if seq <= 4 else "HELD") for seq in range(2, 10)]
    assert states(other) == [(seq, "PENDING") for seq in range(2, 10)]
    assert api("PATCH", at(sub), {"status": "active"}, if_match="*").status == 200
    wait_until(lambda: len(endpoint.at()) == 8, "all of it is sent")


def test_only_one_of_two_changes_wins(api, made):
    sub, statuses = made(), []
    threads = [threading.Thread(target=lambda i=i: statuses.append(
        api("PATCH", at(sub), {"description": str(i)}, if_match='"v1"').status)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(statuses) == [200] + [412] * 7
    assert api("GET", at(sub)).body["version"] == 2


def test_patches_are_merged(api, made, db):
    sub = made(metadata={"a": "1", "b": "2"}, uid="one", limits={"max_in_flight": 3, "burst": 5},
               filter={"type": "x"}, disable_after_seconds=60)
    answer = api("PATCH", at(sub), {"metadata": {"a": None, "c": "3"}, "uid": None, "limits": {"burst": None},
                                    "filter": {"type": None, "version": 1}, "disable_after_seconds": None},
                 if_match="*")
    assert answer.status == 200, answer
    assert answer.body["metadata"] == {"b": "2", "c": "3"} and answer.body["uid"] is None
    assert answer.body["limits"] == {"max_in_flight": 3, "rate_per_second": None, "burst": None}
    assert answer.body["filter"] == {"version": 1} and answer.body["disable_after_seconds"] is None
    assert db.value("SELECT filter_path::text FROM outbox.subscription") == 'exists ($."version"?(@ == 1))'
    assert db.run("SELECT action FROM outbox.audit ORDER BY 1") == [("subscription.create",), ("subscription.update",)]


def test_states(api, made, db):
    sub = made()

    def become(status: str):
        return api("PATCH", at(sub), {"status": status}, if_match="*")

    assert (become("paused").body["status"], become("active").body["status"]) == ("paused", "active")
    gone = become("disabled").body
    assert (gone["status"], gone["status_reason"]) == ("disabled", "manual")
    assert db.value("SELECT missed_snap IS NOT NULL FROM outbox.subscription")
    db.run("INSERT INTO outbox.subscription_health (subscription, consecutive_failures, failing_since)"
           " SELECT subscription, 9, now() - interval '9 days' FROM outbox.subscription")
    back = become("active").body
    assert (back["status"], back["status_reason"]) == ("active", None)
    assert back["status_changed_at"] > gone["status_changed_at"]
    assert db.value("SELECT consecutive_failures FROM outbox.subscription_health") == 0
    assert become("pending_verification").faults() == {"/status": "invalid-value"}
    assert become("gone").faults() == {"/status": "invalid-value"}


def test_deleting(api, made, db, endpoint):
    endpoint.answers["/hook"] = 503
    sub, other = made(), made(url=endpoint.url("/other"))
    db.run("SELECT outbox.publish('order.paid', 'k-' || i, '{}', 'order') FROM generate_series(1, 20) i")
    wait_until(lambda: len(endpoint.at("/other")) == 20, "the other one gets all")
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery WHERE state NOT IN ('DELIVERED', 'DISCARDED')")
               >= 20, "the failing one waits")
    assert api("DELETE", at(sub)).status == 204
    for answer in (api("GET", at(sub)), api("DELETE", at(sub)), api("GET", at(sub, "/health")),
                   api("PATCH", at(sub), {}, if_match="*"), api("POST", at(sub, "/secret/rotate")),
                   api("POST", at(sub, "/test")), api("POST", at(sub, "/verify"))):
        assert (answer.status, answer.code) == (404, "not-found"), answer
    wait_until(lambda: db.run("SELECT DISTINCT d.state, d.cause FROM outbox.delivery d JOIN outbox.subscription s"
                              " USING (subscription) WHERE s.id = %s", sub["id"]) == [("DISCARDED", "cancelled")],
               "what waited is given up")
    assert db.value("SELECT deleted_at IS NOT NULL FROM outbox.subscription WHERE id = %s", sub["id"])
    assert [s["id"] for s in api("GET", BASE).body["data"]] == [other["id"]]
    event = db.value("SELECT outbox.publish('order.paid', 'k', '{}', 'order')::text")

    def came(path: str) -> bool:
        return event in [headers["webhook-id"] for headers, _ in endpoint.at(path)]

    wait_until(lambda: came("/other"), "the other one goes on")
    assert not came("/hook")


# ---- what is refused ------------------------------------------------------------------------------------------------

URLS = [("http://", "invalid-url"), ("https:///path", "invalid-url"), ("https://user:pw@a.example/", "invalid-url"),
        ("https://user@a.example/", "invalid-url"), ("ftp://a.example/", "invalid-url"), ("a.example", "invalid-url"),
        ("javascript:alert(1)", "invalid-url"), ("file:///etc/passwd", "invalid-url"),
        ("https://a.example/\\..", "invalid-url"), ("https://a.example/\tx", "invalid-url"),
        ("https://a.example:0/", "invalid-url"), ("https://a.example:x/", "invalid-url"),
        ("https://[fe80::1%25eth0]/", "invalid-url"), ("https://a b/", "invalid-url"),
        ("https://10.0.0.1/", "address-blocked"), ("https://169.254.169.254/latest/", "address-blocked"),
        ("https://[::ffff:10.0.0.1]/", "address-blocked"), ("https://[fd00:ec2::254]/", "address-blocked"),
        ("https://168.63.129.16/", "address-blocked"), ("https://0/", "address-blocked"),
        ("https://167772161/", "address-blocked"), ("https://012.0.0.1/", "address-blocked"),
        ("https://0x0a.1/", "address-blocked"), ("https://10.1/", "address-blocked")]


@pytest.mark.parametrize("url,code", URLS)
def test_bad_urls(api, url, code):
    answer = api("POST", BASE, {"url": url})
    assert (answer.status, answer.faults()) == (422, {"/url": code}), answer
    assert answer.code == code


def test_a_url_without_tls_needs_permission(relay_of, tmp_path, ring):
    client = ApiClient(tmp_path)
    relay_of([partners(options={"allow_http": False})], api=client.settings, webhooks={"key_ring": ring.path})
    assert client("POST", BASE, {"url": "http://a.example/"}).faults() == {"/url": "tls-required"}
    assert client("POST", BASE, {"url": "https://127.0.0.1/"}).status == 201


def test_a_patch_is_judged_like_a_post(api, made):
    sub = made()
    for patch, faults in (({"url": "https://10.0.0.1/"}, {"/url": "address-blocked"}),
                          ({"url": None}, {"/url": "missing-member"}),
                          ({"headers": {"Host": "x"}}, {"/headers/Host": "invalid-header"}),
                          ({"secret": new_secret()}, {"/secret": "read-only-member"}),
                          ({"id": "sub_1"}, {"/id": "read-only-member"}),
                          ({"nothing": None}, {"/nothing": "unknown-member"}),
                          ({"nothing": 1}, {"/nothing": "unknown-member"}),
                          ({"limits": {"burst": 0, "x": 1}}, {"/limits/burst": "invalid-value",
                                                              "/limits/x": "unknown-member"})):
        answer = api("PATCH", at(sub), patch, if_match="*")
        assert (answer.status, answer.faults()) == (422, faults), answer
    assert api("PATCH", at(sub), [], if_match="*").status == 422
    assert api("PATCH", at(sub), {}, if_match="*", content_type="application/json").code == "unsupported-media-type"
    assert api("GET", at(sub)).body["version"] == 1


@pytest.mark.parametrize("secret", [
    "", "x", "whsec_", new_secret(23), new_secret(65), "whsec_" + "!" * 44, new_secret().rstrip("=") + "!",
    new_secret().removeprefix("whsec_"), "whsk_" + base64.b64encode(bytes(32)).decode(), "whsec_" + "_-" * 22], ids=range(10))
def test_bad_secrets(api, made, secret):
    answer = api("POST", BASE, {"url": "https://a.example/", "secret": secret})
    assert answer.status == 422 and list(answer.faults()) == ["/secret"]
    assert secret == "" or secret.encode() not in answer.text.replace(b'"/secret"', b"") or len(secret) < 10
    answer = api("POST", at(made(), "/secret/rotate"), {"secret": secret})
    assert answer.status == 422 and list(answer.faults()) == ["/secret"]


@pytest.mark.parametrize("body,faults", [
    ({}, {"/url": "missing-member"}),
    ({"url": 1}, {"/url": "invalid-value"}),
    ({"url": "https://" + "a" * 2048}, {"/url": "invalid-value"}),
    ({"urll": "x", "url": "https://a.example/"}, {"/urll": "unknown-member"}),
    ({"version": 1}, {"/url": "missing-member", "/version": "read-only-member"}),
    ({"url": "https://a.example/", "event_types": []}, {"/event_types": "invalid-value"}),
    ({"url": "https://a.example/", "event_types": ["a", "b c", ""]},
     {"/event_types/1": "invalid-value", "/event_types/2": "invalid-value"}),
    ({"url": "https://a.example/", "filter": {"x": 1, "payload.a": {"$gt": None}}},
     {"/filter/x": "invalid-filter", "/filter/payload.a/$gt": "invalid-filter"}),
    ({"url": "https://a.example/", "metadata": {"a": 1}}, {"/metadata/a": "invalid-value"}),
    ({"url": "https://a.example/", "headers": {"webhook-id": "x", "a b": "c", "Content-Type": "d", "x": "a\r\nb"}},
     {"/headers/webhook-id": "invalid-header", "/headers/a b": "invalid-header",
      "/headers/Content-Type": "invalid-header", "/headers/x": "invalid-header"}),
    ({"url": "https://a.example/", "limits": {"max_in_flight": 257, "rate_per_second": -1, "burst": 1.5}},
     {"/limits/max_in_flight": "invalid-value", "/limits/rate_per_second": "invalid-value",
      "/limits/burst": "invalid-value"}),
    ({"url": "https://a.example/", "retry": {"schedule_seconds": [1, -1]}, "timeout_ms": 999, "ordering": "strict"},
     {"/retry/schedule_seconds/1": "invalid-value", "/timeout_ms": "invalid-value", "/ordering": "invalid-value"}),
    ({"url": "https://a.example/", "signature": {"schemes": ["v1a"]}}, {"/signature/schemes": "invalid-value"}),
    ({"url": "https://a.example/", "destination": "nowhere"}, {"/destination": "unknown-destination"}),
    ({"url": "https://a.example/", "tls": {"ca_ref": "../x"}}, {"/tls/ca_ref": "invalid-value"}),
    ({"url": "https://a.example/", "start_from": "soon"}, {"/start_from": "invalid-value"}),
    ({"url": "https://a.example/", "start_from": {}}, {"/start_from": "invalid-value"}),
    ({"url": "https://a.example/", "start_from": {"time": "soon"}}, {"/start_from/time": "invalid-value"}),
    ({"url": "https://a.example/", "start_from": {"position": "x"}}, {"/start_from/position": "invalid-value"}),
    ({"url": "https://a.example/", "start_from": {"position": UUID}}, {"/start_from/position": "window-too-large"}),
    ({"url": "https://a.example/", "status": "disabled"}, {"/status": "invalid-value"})])
def test_bad_members_are_pointed_at(api, body, faults):
    answer = api("POST", BASE, body)
    assert answer.status == 422, answer
    for pointer, code in faults.items():
        assert answer.faults().get(pointer) == code, answer
    assert set(answer.faults()) <= set(faults) | {"/start_from"}


@pytest.mark.parametrize("body,code,pointer", [
    ("", "invalid-json", ""), ("{", "invalid-json", ""), ('{"url":"a"} x', "invalid-json", ""),
    ('{"url":"https://a.example/","url":"b"}', "duplicate-key", "/url"),
    ('{"metadata":{"a":"1","a":"2"}}', "duplicate-key", "/metadata/a"),
    ('{"filter":' + "[" * 100000, "too-deep", "/filter" + "/0" * 31),
    (b'{"description":"\xff"}', "invalid-utf8", "/description"),
    (b'{"description":"\xc0\xaf"}', "invalid-utf8", "/description"),
    ('{"description":"\\ud800"}', "invalid-json", "/description"),
    ('{"description":"\\u0000"}', "invalid-json", "/description"),
    ('{"a":[' + "1," * 70000 + "1]}", "too-many-values", None)], ids=range(11))
def test_bad_json_is_pointed_at(api, body, code, pointer):
    answer = api("POST", BASE, body, content_type="application/json")
    assert (answer.status, answer.code) == (400, code)
    assert pointer is None or answer.faults() == {pointer: code}


def test_answers_are_written_in_one_way(api, db, endpoint):
    """Without blanks between members, and with times that sort as texts; texts keep their blanks."""
    sub = api("POST", BASE, {"url": endpoint.url(), "description": 'a : b, "c" , d\\', "metadata": {"x : y": ' "z" , '},
                             "filter": {"payload.a": {"$gte": 1}}}).body
    db.run("UPDATE outbox.subscription SET created_at = '2026-01-02 03:04:05+00'")
    db.run("UPDATE outbox.subscription_secret SET created_at = '2026-01-02 03:04:05.5+00'")
    answer = api("GET", at(sub))
    assert answer.text.strip() == json.dumps(answer.body, separators=(",", ":")).encode()
    assert answer.body["created_at"] == "2026-01-02T03:04:05.000000Z"
    assert answer.body["secrets"][0]["created_at"] == "2026-01-02T03:04:05.500000Z"


def test_the_slowest_rate(api, made):
    assert made(limits={"rate_per_second": 0.01})["limits"]["rate_per_second"] == 0.01
    assert api("POST", BASE, {"url": "https://a.example/", "limits": {"rate_per_second": 0.0099}}).faults() == {
        "/limits/rate_per_second": "invalid-value"}


def test_bodies_of_the_wrong_size_and_type(api):
    assert api("POST", BASE, '{"description":"' + "x" * 1048576 + '"}').status == 413
    assert api("POST", BASE, '{"description":"' + "x" * 1000000 + '"}').status == 422
    for kind in ("text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"):
        assert api("POST", BASE, "{}", content_type=kind).code == "unsupported-media-type"


def test_scopes_of_subscriptions(api, made):
    sub = made()
    assert api("GET", at(sub), who="reader").status == 200
    assert api("GET", at(sub), who="hooks-reader").status == 200
    assert api("POST", BASE, {"url": "https://a.example/"}, who="hooks-writer").status == 201
    assert api("GET", "/v1/status", who="hooks-writer").code == "forbidden"
    for who in ("reader", "hooks-reader"):
        assert api("DELETE", at(sub), who=who).code == "forbidden"
    assert api("GET", at(sub), who=None).code == "unauthorized"
    assert api("PUT", at(sub), {}).headers["allow"] == "GET, HEAD, PATCH, DELETE"


def test_a_uid_is_unique(api, made):
    made(uid="one")
    sub = made(uid="two")
    answer = api("POST", BASE, {"url": "https://a.example/", "uid": "one"})
    assert (answer.status, answer.faults()) == (409, {"/uid": "uid-taken"})
    assert api("PATCH", at(sub), {"uid": "one"}, if_match="*").code == "uid-taken"
    assert api("DELETE", at(sub)).status == 204
    made(uid="two")


def test_a_strict_catalogue_names_what_it_lacks(api, made, db):
    db.run("UPDATE outbox.meta SET strict_types = true")
    db.run("INSERT INTO outbox.event_type (type, version) VALUES ('order.paid', 1)")
    sub = made(event_types=["order.paid", "task.*"])
    answer = api("POST", BASE, {"url": "https://a.example/", "event_types": ["order.paid", "order.piad", "x"]})
    assert (answer.status, answer.code) == (422, "unknown-event-type")
    assert answer.faults() == {"/event_types/1": "unknown-event-type", "/event_types/2": "unknown-event-type"}
    assert api("PATCH", at(sub), {"event_types": ["y"]}, if_match="*").faults() == {
        "/event_types/0": "unknown-event-type"}


# ---- filters --------------------------------------------------------------------------------------------------------

EVENT = {"amount": 100, "price": 0.1, "name": 'Zo"ë', "tags": ["a", "b"], "none": None, "on": True,
         "deep": {"er": {"x": "y"}}, "big": 12345678901234567890}


@pytest.mark.parametrize("filter,takes", [
    ({"type": "order.paid"}, True), ({"type": "order"}, False), ({"type": {"$prefix": "order."}}, True),
    ({"aggregateType": "order", "aggregateId": "k", "version": 1}, True),
    ({"payload.amount": 100}, True), ({"payload.amount": 1e2}, True), ({"payload.amount": "100"}, False),
    ({"payload.amount": {"$gte": 100, "$lte": 100}}, True), ({"payload.amount": {"$gt": 100}}, False),
    ({"payload.amount": {"$lt": 100.5}}, True), ({"payload.price": 0.1}, True),
    ({"payload.big": 12345678901234567890}, True), ({"payload.big": 12345678901234567891}, False),
    ({"payload.name": 'Zo"ë'}, True), ({"payload.name": {"$prefix": 'Zo"'}}, True),
    ({"payload.name": {"$gt": "A"}}, True), ({"payload.tags": "b"}, True), ({"payload.tags": "c"}, False),
    ({"payload.tags": {"$in": ["x", "b"]}}, True), ({"payload.tags": {"$nin": ["x", "b"]}}, False),
    ({"payload.none": None}, True), ({"payload.missing": None}, False), ({"payload.none": {"$exists": True}}, True),
    ({"payload.missing": {"$exists": False}}, True), ({"payload.missing": {"$exists": True}}, False),
    ({"payload.missing": {"$ne": 1}}, True), ({"payload.amount": {"$ne": "100"}}, True),
    ({"payload.amount": {"$ne": 100}}, False), ({"payload.missing": {"$gt": 1}}, False),
    ({"$not": {"payload.missing": {"$gt": 1}}}, True), ({"$not": {"payload.amount": "100"}}, True),
    ({"payload.on": True}, True), ({"payload.on": {"$ne": False}}, True), ({"payload.deep.er.x": "y"}, True),
    ({"payload.deep": {"$exists": True}}, True), ({"headers.tenant": "7"}, True),
    ({"$or": [{"type": "x"}, {"payload.amount": 100}]}, True),
    ({"$and": [{"type": "order.paid"}, {"$or": [{"version": 2}, {"version": 3}]}]}, False),
    ({"payload.amount": {"$in": ["x", 100, None]}}, True),
    ({"type": '") || exists($ ? (@ == "'}, False), ({'payload.") || true || exists($."a': 1}, False),
    ({"payload.name": "\\"}, False), ({"type": {"$prefix": ""}}, True)])
def test_filters_mean_what_they_say(db, build, filter, takes):
    path = subprocess.run([os.path.join(build, "tests", "unit", "test_event_filter"), json.dumps(filter)], text=True,
                          capture_output=True, check=True, timeout=30).stdout.strip()
    db.run("SELECT outbox.publish('order.paid', 'k', %s::json, 'order', 1, '{\"tenant\":\"7\"}'::json)",
           json.dumps(EVENT))
    assert db.value("SELECT outbox.filter_takes(%s::jsonpath, e) FROM outbox.event e", path) is takes


def test_a_filter_decides_what_is_sent(api, made, db, endpoint):
    made(filter={"payload.amount": {"$gte": 100}})
    for amount in (50, 150, 99, 100):
        db.run("SELECT outbox.publish('order.paid', 'k', %s::json, 'order')", json.dumps({"amount": amount}))
    wait_until(lambda: len(endpoint.at()) == 2, "two are sent")
    assert [json.loads(b)["payload"]["amount"] for _, b in endpoint.at()] == [150, 100]


# ---- secrets, tests, handshakes -------------------------------------------------------------------------------------

def test_rotation(api, made, db, endpoint, ring):
    sub = made()
    given = new_secret()
    answer = api("POST", at(sub, "/secret/rotate"), {"secret": given, "overlap_seconds": 3600})
    assert (answer.status, answer.body["secret"], answer.etag) == (200, given, '"v2"')
    assert answer.body["previous_secret_expires_at"]
    listed = api("GET", at(sub)).body["secrets"]
    assert [s["key_id"] for s in listed] == [answer.body["key_id"], sub["secrets"][0]["key_id"]]
    assert listed[0]["expires_at"] is None and listed[1]["expires_at"]
    db.run("SELECT outbox.publish('order.paid', 'k', '{}', 'order')")
    wait_until(lambda: len(endpoint.at()) == 1, "delivered")
    assert endpoint.verified(given) and endpoint.verified(sub["secret"])
    api("POST", at(sub, "/test"))
    for headers, body in endpoint.at():  # of a delivery and of a test
        first = {**headers, "webhook-signature": headers["webhook-signature"].split(" ")[0]}
        assert verify(given, first, body), "the new secret signs first"
    fresh = api("POST", at(sub, "/secret/rotate"), {"overlap_seconds": 0})
    assert fresh.body["previous_secret_expires_at"] is None
    assert [s["key_id"] for s in api("GET", at(sub)).body["secrets"]] == [fresh.body["key_id"]]
    for bad in ({"overlap_seconds": -1}, {"overlap_seconds": 604801}, {"overlap_seconds": "x"}, {"x": 1}):
        assert api("POST", at(sub, "/secret/rotate"), bad).status == 422
    for _ in range(9):
        assert api("POST", at(sub, "/secret/rotate")).status == 200
    assert api("POST", at(sub, "/secret/rotate")).code == "limit-reached"
    assert given not in api.relay.log() and sub["secret"] not in api.relay.log()


def test_rotation_while_events_flow(api, made, db, endpoint):
    """A receiver that learns of a secret some time after its rotation, and drops it when it was told that it expires,
    can verify every request; nothing is lost, and after the overlap the last secret signs alone."""
    known: list[list] = []  # secret, time.time() of its end or None
    unverified: list[float] = []

    def receive(headers, body):
        now = time.time()
        if not any(verify(s, headers, body) for s, end in list(known) if end is None or now < end):
            unverified.append(now)
        return 204, b""

    endpoint.answers["/hook"] = receive
    sub = made(ordering="none")
    known.append([sub["secret"], None])
    stop = threading.Event()

    def write():
        while not stop.wait(0.01):
            db.run("SELECT outbox.publish('order.paid', 'k-' || i, '{}', 'order') FROM generate_series(1, 5) i")

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(5):
        time.sleep(0.3)
        turned = api("POST", at(sub, "/secret/rotate"), {"overlap_seconds": 7}).body
        time.sleep(0.3)
        known.append([turned["secret"], None])
        known[-2][1] = datetime.datetime.fromisoformat(turned["previous_secret_expires_at"]).timestamp()
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.event") > 100, "there was some load")
    stop.set()
    writer.join()

    def wait_sent() -> set[str]:
        events = {i for i, in db.run("SELECT event_id::text FROM outbox.event")}
        wait_until(lambda: {h["webhook-id"] for h, _ in endpoint.at()} >= events, "everything is sent", timeout=120)
        return events

    wait_sent()
    wait_until(lambda: time.time() > known[-2][1], "the last overlap is over")
    db.run("SELECT outbox.publish('order.paid', 'last', '{}', 'order')")
    events = wait_sent()
    signed = [len(h["webhook-signature"].split(" ")) for h, _ in endpoint.at()]
    assert not unverified
    assert max(signed) >= 3 and signed[-1] == 1 and verify(known[-1][0], *endpoint.at()[-1])
    print(f"{len(signed)} requests for {len(events)} events over 5 rotations, {len(unverified)} not verified")


def test_a_rotation_waits_for_nobody_who_refers_to_it(api, made, db):
    sub = made()
    with contextlib.closing(db.connect()) as operation:
        operation.cursor().execute("INSERT INTO outbox.operation (subscription, kind, include)"
                                   " SELECT subscription, 'recover', 'failed' FROM outbox.subscription")
        assert api("POST", at(sub, "/secret/rotate")).status == 200, "who waits is unavailable after ten seconds"
        operation.rollback()


def test_a_test_is_sent_and_told(api, made, db, endpoint):
    sub = made(headers={"X-Tenant": "7"})
    answer = api("POST", at(sub, "/test"), '{"event_type": "order.paid", "data": {"n": 1.50}}')
    attempt = answer.body
    assert (answer.status, attempt["trigger"], attempt["status"], attempt["http_status"]) == (
        200, "test", "delivered", 204), answer
    assert attempt["timing"]["total_ms"] > 0 and attempt["remote"].startswith("127.0.0.1")
    headers, body = endpoint.at()[0]
    assert headers["webhook-test"] == "true" and headers["x-tenant"] == "7" and endpoint.verified(sub["secret"])
    assert b'"payload":{"n": 1.50}' in body and json.loads(body)["type"] == "order.paid"
    assert headers["webhook-id"] == json.loads(body)["eventId"]
    assert db.run("SELECT trigger, seq FROM outbox.attempt") == [("test", None)]
    assert db.value("SELECT count(*) FROM outbox.subscription_health") == 0
    endpoint.answers["/hook"] = 500
    failed = api("POST", at(sub, "/test")).body
    assert (failed["status"], failed["http_status"], failed["error"]["cause"]) == ("retry", 500, "failed_5xx")
    assert api("GET", at(sub, "/health")).body["consecutive_failures"] == 0
    assert api("POST", at(sub, "/test"), {"data": "x" * 300000}).faults() == {"/data": "invalid-value"}
    assert api("POST", at(sub, "/test"), {"event_type": ""}).faults() == {"/event_type": "invalid-value"}


def test_an_answer_may_hold_any_bytes(api, made, db, endpoint):
    endpoint.answers["/hook"] = lambda _headers, _body: (500, b"a\xff\xc3b\x00c")
    sub = made(keep_responses=True)
    answer = api("POST", at(sub, "/test"))
    assert (answer.status, answer.body["status"], answer.body["response_excerpt"]) == (200, "retry", "a??b"), answer
    assert db.value("SELECT response FROM outbox.attempt") == "a??b"


def test_a_test_does_not_reach_what_is_refused(api, made, db):
    sub = made()
    db.run("UPDATE outbox.subscription SET url = 'https://10.0.0.1/'")
    attempt = api("POST", at(sub, "/test")).body
    assert (attempt["status"] != "delivered", attempt["error"]["cause"]) == (True, "blocked_address")


def test_slow_endpoints_keep_nobody_waiting(api, made, endpoint):
    sub, answers = made(timeout_ms=30000), []
    _, done = busy_endpoint(endpoint)
    threads = [threading.Thread(target=lambda: answers.append(api("POST", at(sub, "/test")))) for _ in range(30)]
    for t in threads:
        t.start()
    wait_until(lambda: len(endpoint.at()) == 4 and len(answers) == 26, "four are being tried, the rest is sent away")
    assert all(api("GET", at(sub)).status == 200 for _ in range(3))
    threads.append(threading.Thread(target=lambda: answers.append(api("POST", at(sub, "/test"), who="hooks-writer"))))
    threads[-1].start()
    wait_until(lambda: len(endpoint.at()) == 5, "others have trials left")
    assert len(answers) == 26, "nobody waited for the endpoint"
    done.set()
    for t in threads:
        t.join()
    assert sorted(a.status for a in answers) == [200] * 5 + [429] * 26
    assert all((a.code, a.headers["retry-after"]) == ("too-many-trials", "5") for a in answers if a.status == 429)


def test_the_handshake(api, made, db, endpoint):
    endpoint.answers["/hook"] = agree
    sub = made(verify="challenge")
    assert sub["status"] == "pending_verification"
    db.run("SELECT outbox.publish('order.paid', 'k', '{}', 'order')")
    wait_until(lambda: db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'PENDING' AND subscription > 0"),
               "it queues")
    assert api("PATCH", at(sub), {"status": "active"}, if_match="*").faults() == {"/status": "invalid-value"}
    assert api("POST", at(sub, "/verify")).body == {"verified": True, "method": "challenge"}
    assert api("GET", at(sub)).body["status"] == "active"
    assert json.loads(endpoint.at()[0][1])["type"] == "verification" and endpoint.verified(sub["secret"])
    wait_until(lambda: len(endpoint.at()) == 2, "what was queued is sent")
    assert db.run("SELECT trigger, response FROM outbox.attempt ORDER BY attempt LIMIT 1") == [("verify", None)]


@pytest.mark.parametrize("answer", [
    lambda h, b: (200, b""), lambda h, b: (204, b""), lambda h, b: (200, b'{"challenge":"chl_x"}'),
    lambda h, b: (200, b'{"challenge":"chl_' + b"0" * 32 + b'"}'),
    lambda h, b: (200, b"{"), lambda h, b: (200, json.dumps({"challenge": [json.loads(b)["challenge"]]}).encode()),
    lambda h, b: (403, json.dumps({"challenge": json.loads(b)["challenge"]}).encode())])
def test_who_does_not_agree_gets_nothing(api, made, endpoint, answer):
    endpoint.answers["/hook"] = answer
    sub = made(verify="challenge", keep_responses=True)
    refused = api("POST", at(sub, "/verify"))
    assert (refused.status, refused.code) == (422, "verification-failed")
    assert refused.body["detail"] in ("challenge_failed", "http_4xx")
    assert api("GET", at(sub)).body["status"] == "pending_verification"
    assert api("POST", at(sub, "/test")).code == "not-verified" and len(endpoint.at()) == 1
    assert api("POST", at(sub, "/verify"), {"x": 1}).status == 422
    assert api("PATCH", at(sub), {"status": "disabled"}, if_match="*").status == 200
    assert api("POST", at(sub, "/verify")).code == "subscription-disabled"


def test_no_detour_around_the_handshake(api, made, endpoint):
    endpoint.answers["/hook"] = agree
    sub = made(verify="challenge")

    def patch(**members):
        return api("PATCH", at(sub), members, if_match="*")

    assert patch(status="disabled").status == 200
    for status in ("active", "paused"):
        refused = patch(status=status)
        assert (refused.code, refused.faults()) == ("verification-failed", {"/status": "verification-failed"})
    assert api("GET", at(sub)).body["status"] == "disabled"
    assert patch(description="x").body["status"] == "disabled"
    assert patch(status="pending_verification").body["status"] == "pending_verification"
    assert api("POST", at(sub, "/verify")).status == 200
    assert patch(description="y").body["status"] == "active"
    assert patch(status="disabled").status == 200 and patch(status="active").body["status"] == "active"
    moved = patch(url=endpoint.url("/elsewhere"))
    assert (moved.status, moved.body["status"]) == (200, "pending_verification")
    assert patch(status="active").status == 422 and patch(url=endpoint.url("/x"), status="active").status == 422
    endpoint.answers["/elsewhere"] = agree
    assert api("POST", at(sub, "/verify")).status == 200
    assert api("GET", at(sub)).body["status"] == "active"
    assert patch(url=endpoint.url("/third"), status="disabled").body["status"] == "disabled"
    assert patch(status="active").code == "verification-failed"


def test_a_url_that_comes_during_the_handshake_has_not_agreed(api, made, endpoint):
    def swap_then_agree(headers, body):
        assert api("PATCH", at(sub), {"url": endpoint.url("/other")}, if_match="*").status == 200
        return agree(headers, body)

    endpoint.answers["/hook"] = swap_then_agree
    sub = made(verify="challenge")
    assert api("POST", at(sub, "/verify")).code == "verification-failed"
    assert api("GET", at(sub)).body["status"] == "pending_verification"


def test_health(api, made, db, endpoint):
    sub = made()
    health = api("GET", at(sub, "/health")).body
    assert (health["state"], health["attempts_5m"], health["success_rate_5m"], health["p95_ms"]) == (
        "closed", 0, None, None)
    db.run("SELECT outbox.publish('order.paid', 'k-' || i, '{}', 'order') FROM generate_series(1, 5) i")
    wait_until(lambda: api("GET", at(sub, "/health")).body["attempts_5m"] == 5, "five attempts")
    health = api("GET", at(sub, "/health")).body
    assert health["success_rate_5m"] == 1 and health["p95_ms"] > 0 and health["last_success_at"]
    assert health["backlog"] == {"pending": 0, "in_flight": 0, "retry": 0, "held": 0, "dead": 0}
    endpoint.answers["/hook"] = 500
    db.run("SELECT outbox.publish('order.paid', 'k', '{}', 'order')")
    wait_until(lambda: api("GET", at(sub, "/health")).body["consecutive_failures"] > 0, "a failure counts")
    health = api("GET", at(sub, "/health")).body
    assert health["last_cause"] == "failed_5xx" and 0 < health["success_rate_5m"] < 1
    assert health["backlog"]["retry"] + health["backlog"]["pending"] + health["backlog"]["in_flight"] == 1
    assert health["oldest_undelivered_age_seconds"] >= 0


# ---- once only ------------------------------------------------------------------------------------------------------

def test_a_repeated_post_is_done_once(api, endpoint, db):
    body = {"url": endpoint.url()}
    first = api("POST", BASE, body, idempotency_key="k1")
    again = api("POST", BASE, body, idempotency_key="k1")
    assert first.status == again.status == 201 and first.body == again.body
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert (again.headers["location"], again.etag) == (first.headers["location"], first.etag)
    other = api("POST", BASE, {**body, "description": "x"}, idempotency_key="k1")
    assert (other.status, other.code) == (422, "idempotency-key-reused")
    assert api("POST", BASE, body, idempotency_key="k1", who="hooks-writer").body["id"] != first.body["id"]
    assert api("POST", BASE, body, idempotency_key="x" * 256).status == 400
    assert db.value("SELECT count(*) FROM outbox.subscription") == 2
    sealed = db.value("SELECT string_agg(encode(sealed, 'escape'), '') FROM outbox.idempotency")
    assert first.body["secret"] not in sealed and "whsec_" not in sealed
    sub = first.body
    turned = [api("POST", at(sub, "/secret/rotate"), {}, idempotency_key="k2").body for _ in range(2)]
    assert turned[0] == turned[1]
    tried = [api("POST", at(sub, "/test"), {}, idempotency_key="k3").body["id"] for _ in range(2)]
    assert tried[0] == tried[1] and len(endpoint.at()) == 1
    db.run("UPDATE outbox.idempotency SET created_at = now() - interval '25 hours'")
    assert api("POST", BASE, body, idempotency_key="k1").body["id"] != sub["id"]


def test_a_refusal_is_not_kept(api, endpoint):
    assert api("POST", BASE, {"url": "https://10.0.0.1/"}, idempotency_key="k").status == 422
    assert api("POST", BASE, {"url": endpoint.url()}, idempotency_key="k").status == 201


def test_two_at_once_are_one(api, made, endpoint):
    sub, answers = made(timeout_ms=30000), []
    started, done = busy_endpoint(endpoint)
    thread = threading.Thread(target=lambda: answers.append(api("POST", at(sub, "/test"), {}, idempotency_key="k")))
    thread.start()
    assert started.wait(60)
    busy = api("POST", at(sub, "/test"), {}, idempotency_key="k")
    assert (busy.status, busy.code) == (409, "idempotency-in-progress")
    done.set()
    thread.join()
    assert answers[0].status == 200
    assert api("POST", at(sub, "/test"), {}, idempotency_key="k").body == answers[0].body
    assert len(endpoint.at()) == 1


@pytest.mark.parametrize("tail,key", [("/test", {"idempotency_key": "k"}), ("/test", {}), ("/verify", {})])
def test_nothing_is_held_while_an_endpoint_answers(api, made, db, endpoint, tail, key):
    sub, answers = made(timeout_ms=30000), []
    started, done = busy_endpoint(endpoint)
    thread = threading.Thread(target=lambda: answers.append(api("POST", at(sub, tail), {}, **key)))
    thread.start()
    assert started.wait(60)
    wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                " AND application_name = 'postrider api'") == 0, "the API keeps no connection")
    with contextlib.closing(db.connect()) as migration:
        cursor = migration.cursor()
        for table in ("subscription", "subscription_secret", "idempotency", "attempt"):
            cursor.execute("SET LOCAL lock_timeout = '10s'")  # the lane has each of them now and then, for a moment
            cursor.execute(f"LOCK TABLE outbox.{table} IN ACCESS EXCLUSIVE MODE")
            migration.rollback()
    assert not answers, "the endpoint still has the request"
    done.set()
    thread.join()
    assert answers[0].status == 200


def test_a_kill_frees_the_key_of_a_test_after_a_while(api, made, db, endpoint):
    sub = made(timeout_ms=30000)
    started, done = busy_endpoint(endpoint)

    def ask():
        with contextlib.suppress(OSError, http.client.HTTPException):
            api("POST", at(sub, "/test"), {}, idempotency_key="k")

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(60)
    api.relay.kill9()
    thread.join()
    done.set()
    api.relay.start()
    busy = api("POST", at(sub, "/test"), {}, idempotency_key="k")
    assert (busy.status, busy.code, busy.headers["retry-after"]) == (409, "idempotency-in-progress", "1")
    assert api("POST", at(sub, "/test"), {"data": 1}, idempotency_key="k").code == "idempotency-key-reused"
    left = db.value("SELECT claimed_until - clock_timestamp() FROM outbox.idempotency").total_seconds()
    assert 0 < left <= 60
    db.run("UPDATE outbox.idempotency SET claimed_until = clock_timestamp()")
    answers = [api("POST", at(sub, "/test"), {}, idempotency_key="k") for _ in range(2)]
    assert answers[0].status == 200 and answers[1].body == answers[0].body and len(endpoint.at()) == 2


def test_who_leaves_finds_the_answer_later(api, made, endpoint):
    sub = made(timeout_ms=30000)
    started, done = busy_endpoint(endpoint)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", api.port)) as connection:
        connection.request("POST", at(sub, "/test"), headers={
            "Authorization": f"Bearer {api.tokens['writer']}", "Idempotency-Key": "k"})
        assert started.wait(60)
    again = api("POST", at(sub, "/test"), idempotency_key="k")
    assert again.code == "idempotency-in-progress"
    done.set()
    wait_until(lambda: api("POST", at(sub, "/test"), idempotency_key="k").status == 200, "the first has ended")
    assert api("POST", at(sub, "/test"), idempotency_key="k").headers["idempotency-replayed"] == "true"
    assert len(endpoint.at()) == 1


def test_a_test_that_cannot_be_made_leaves_its_key_free(api, made, db, endpoint):
    sub = made(timeout_ms=30000)
    _, done = busy_endpoint(endpoint)
    threads = [threading.Thread(target=api, args=("POST", at(sub, "/test"))) for _ in range(4)]
    for t in threads:
        t.start()
    wait_until(lambda: len(endpoint.at()) == 4, "four of a principal are at work")
    assert api("POST", at(sub, "/test"), {}, idempotency_key="k").code == "too-many-trials"
    done.set()
    for t in threads:
        t.join()
    endpoint.answers["/hook"] = 204
    assert api("POST", at(sub, "/test"), {"data": {}}, idempotency_key="k").status == 200
    assert db.value("SELECT count(*) FROM outbox.idempotency") == 1


def test_a_relay_without_the_destination_says_so(api, made, db, endpoint):
    sub = made()
    db.run("UPDATE outbox.subscription SET destination = 'elsewhere'")
    for tail in ("/test", "/verify"):
        answer = api("POST", at(sub, tail), {})
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "5")
    assert not endpoint.seen


# ---- the rest -------------------------------------------------------------------------------------------------------

def test_the_past_is_asked_for(api, made, db):
    db.run("SELECT outbox.publish('order.paid', 'k-' || i, '{}', 'order') FROM generate_series(1, 5) i")
    event = db.value("SELECT event_id::text FROM outbox.event ORDER BY seq OFFSET 2 LIMIT 1")
    made(start_from="beginning")
    made(start_from={"time": "2026-01-01T00:00:00Z"})
    made(start_from={"position": event})
    made(start_from={"position": 4})
    made(start_from="now")
    assert db.run("SELECT kind, include, since IS NOT NULL, from_seq FROM outbox.operation ORDER BY operation") == [
        ("backfill", "missed", False, 0), ("backfill", "missed", True, None), ("backfill", "missed", False, 3),
        ("backfill", "missed", False, 4)]
    assert db.value("SELECT count(*) FROM outbox.subscription WHERE start_from::text = '\"now\"'") == 1


def test_what_comes_while_it_is_made_is_not_lost(api, made, db, endpoint):
    """The row is written but not committed while the lane wants to expand an event."""
    made(url=endpoint.url("/other"))
    answers: list = []
    new = threading.Thread(target=lambda: answers.append(
        api("POST", BASE, {"url": endpoint.url(), "start_from": "beginning"})))
    with contextlib.closing(db.connect()) as blocker:
        blocker.cursor().execute("LOCK TABLE outbox.audit IN SHARE MODE")  # the POST stands still behind its INSERT
        new.start()
        wait_until(lambda: db.value("SELECT count(*) FROM pg_locks WHERE relation = 'outbox.audit'::regclass"
                                    " AND NOT granted"), "the POST waits")
        db.run("SELECT outbox.publish('order.paid', 'k', '{}', 'order')")
        time.sleep(1.5)  # ample for the lane to pass the event, if nothing keeps it
        blocker.rollback()
    new.join()
    assert answers[0].status == 201, answers
    wait_until(lambda: len(endpoint.at("/other")) == 1, "the other one gets it")
    wait_until(lambda: len(endpoint.at()) == 1, "the new one gets it too")


def test_public_keys(api, relay_of, tmp_path, ring, endpoint):
    (tmp_path / "other").mkdir()
    client = ApiClient(tmp_path / "other")
    key = new_signing_key()
    relay = relay_of([partners()], api=client.settings, webhooks={"key_ring": ring.path})
    assert client("GET", "/webhooks/keys").body == {"keys": []}
    assert client("GET", "/.well-known/webhooks-jwks.json", who=None).body == {"keys": []}
    assert client("GET", "/webhooks/keys", who=None).status == 401
    asked = {"signature": {"schemes": ["v1", "v1a"]}}
    refused = client("POST", BASE, {"url": endpoint.url(), **asked})
    assert refused.status == 422 and refused.faults() == {"/signature/schemes/1": "invalid-value"}
    sub = client("POST", BASE, {"url": endpoint.url()}).body
    assert client("PATCH", at(sub), asked, if_match="*").faults() == {"/signature/schemes/1": "invalid-value"}
    assert api("PATCH", at(sub), asked, if_match="*").status == 200
    assert client("PATCH", at(sub), {"description": "x"}, if_match="*").status == 200, "only who asks for it is refused"
    relay.config["webhooks"]["signing_key"] = key
    relay.write_config()
    relay.hup()
    wait_until(lambda: client("GET", "/webhooks/keys").body["keys"], "the key is known")
    answer = client("GET", "/.well-known/webhooks-jwks.json", who=None)
    assert answer.body == client("GET", "/webhooks/keys").body
    assert answer.body["keys"][0]["crv"] == "Ed25519" and key not in answer.text.decode()


def test_a_reload_keeps_the_api(api, made, endpoint):
    sub, keys = made(), api("GET", "/webhooks/keys").body
    api.relay.config["webhooks"]["signing_key"] = new_signing_key()
    api.relay.write_config()
    api.relay.hup()
    wait_until(lambda: api("GET", "/webhooks/keys").body != keys, "the new key is shown")
    assert api("POST", at(sub, "/test")).body["status"] == "delivered"
    assert api("GET", at(sub), host="api.example").code == "foreign-host"
    api.relay.config["api"]["hosts"] = ["api.example"]
    api.relay.write_config()
    api.relay.hup()
    wait_until(lambda: api("GET", at(sub), host="api.example:443").status == 200, "the new name is known")


def test_a_destination_holds_so_many_and_no_more(api, made, db):
    sub = made()
    db.run("INSERT INTO outbox.subscription (destination, url, status)"
           " SELECT 'partners', 'https://a.example/' || i, 'paused' FROM generate_series(2, 100000) i")
    answer = api("POST", BASE, {"url": "https://a.example/"})
    assert (answer.status, answer.code) == (409, "limit-reached")

    def seconds() -> float:
        begin = time.monotonic()
        assert len(api("GET", BASE + "?limit=250").body["data"]) == 250
        assert api("GET", at(sub)).status == 200
        return time.monotonic() - begin

    assert min(seconds() for _ in range(5)) < 2
    assert api("DELETE", at(sub)).status == 204
    made()
