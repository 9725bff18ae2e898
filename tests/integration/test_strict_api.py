# SPDX-License-Identifier: Apache-2.0
"""What a careless or hostile client of the HTTP API gets: a refusal that names the mistake, and nothing done."""

import base64
import contextlib
import os
import random
import threading
import time

import pytest
import yaml

from harness.api import Answer, ApiClient, partners
from harness.secrets import KeyRing
from harness.wait import wait_until

BASE = "/webhooks/subscriptions"
HUGE = "9" * 25


@pytest.fixture
def api(relay_of, tmp_path, build, postrider):
    client = ApiClient(tmp_path)
    ring = KeyRing(build, postrider, tmp_path)
    client.relay = relay_of([partners()], api=client.settings, webhooks={"key_ring": ring.path})
    yield client
    for exchange in client.exchanges:
        assert exchange["status"] != 500 and "SQLSTATE" not in str(exchange["body"]), exchange


@pytest.fixture
def sub(api, endpoint):
    """The path of a subscription."""
    answer = api("POST", BASE, {"url": endpoint.url()})
    assert answer.status == 201, answer
    return f"{BASE}/{answer.body['id']}"


def cursor(name: str, key: str) -> str:
    return base64.urlsafe_b64encode(f"1:{name}:{key}".encode()).decode().rstrip("=")


# ---- a query where there is none ------------------------------------------------------------------------------------

@pytest.mark.parametrize("method,path,body", [
    ("POST", "{sub}/recover", {}), ("POST", "{sub}/test", {}), ("POST", "{sub}/verify", {}),
    ("POST", "{sub}/secret/rotate", {}), ("PATCH", "{sub}", {"status": "paused"}), ("DELETE", "{sub}", None),
    ("POST", BASE, {"url": "https://example.com/"}), ("PUT", "/webhooks/event-types", {"data": []}),
    ("POST", "/webhooks/dead-letters/redrive", {"filter": {"cause": "timeout"}}),
    ("POST", "/webhooks/deliveries/dlv_1_1_1/redeliver", None),
    ("POST", "/v1/dead:replay", {"filter": {"cause": "timeout"}}),
    ("POST", "/v1/dead:discard", {"filter": {"cause": "timeout"}})])
def test_a_change_is_not_made_past_its_query(api, db, endpoint, sub, method, path, body):
    """?dry_run=true in the query of a request whose body can hold it must not be passed over."""
    before = db.run("SELECT * FROM outbox.audit"), db.run("SELECT * FROM outbox.subscription")
    answer = api(method, path.replace("{sub}", sub) + "?dry_run=true", body, if_match="*")
    assert (answer.status, answer.code) == (400, "bad-request") and '"dry_run"' in answer.body["detail"]
    assert (db.run("SELECT * FROM outbox.audit"), db.run("SELECT * FROM outbox.subscription")) == before
    assert not endpoint.seen


@pytest.mark.parametrize("path,name", [
    ("{sub}/recover", "dry_run"), ("{sub}/recover", "since"), ("{sub}/recover", "event_types"),
    ("{sub}/recover", "rate_per_second"), ("/webhooks/dead-letters/redrive", "dry_run"),
    ("/webhooks/dead-letters/redrive", "rate_per_second"), ("/v1/dead:replay", "dryRun"), ("/v1/dead:replay", "rate"),
    ("/v1/dead:discard", "dryRun")])
def test_what_limits_a_change_is_not_lost_in_a_null(api, sub, path, name):
    body = {name: None, **({} if "recover" in path else {"filter": {"cause": "timeout"}})}
    answer = api("POST", path.replace("{sub}", sub), body)
    assert answer.status == 422 and answer.faults() == {f"/{name}": "invalid-value"}


def test_a_redelivery_takes_no_members(api):
    path = "/webhooks/deliveries/dlv_1_1_1/redeliver"
    assert api("POST", path, {"dry_run": True}).faults() == {"/dry_run": "unknown-member"}
    assert api("POST", path, "{").code == "invalid-json"
    assert api("POST", path, {}).status == api("POST", path).status == 404


# ---- pages and parameters -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path,name,good,bad", [
    (BASE, "subscriptions", "1", [HUGE, "1.2", "", ".", "-1"]),
    ("{sub}/deliveries", "deliveries", "1", [HUGE, "1.1.1", "1."]),
    ("{sub}/attempts", "attempts", "1", [HUGE, "1.1", "x"]),
    ("/webhooks/dead-letters", "dead-letters", "1.1.1", [f"{HUGE}.1.1", f"1.{HUGE}.1", "1.2147483648.1", "1", "1..1",
                                                         "1.1.1.1"])])
def test_cursors_that_were_tampered_with(api, sub, path, name, good, bad):
    path = path.replace("{sub}", sub)
    assert api("GET", f"{path}?cursor={cursor(name, good)}").status == 200
    for key in bad:
        answer = api("GET", f"{path}?cursor={cursor(name, key)}")
        assert (answer.status, answer.code) == (400, "invalid-cursor"), (key, answer)


@pytest.mark.parametrize("query", ["after=x", "after=1", "after=1..1", f"after={HUGE}.1.1", "after=1.2147483648.1",
                                   "after=-1.1.1", "after=%201.1.1"])
def test_positions_that_were_tampered_with(api, query):
    answer = api("GET", f"/v1/dead?{query}")
    assert (answer.status, answer.code) == (400, "invalid-parameter") and "next" in answer.body["detail"]


@pytest.mark.parametrize("tail,detail", [
    ("deliveries?since=soon", "RFC 3339"), ("deliveries?until=infinity", "RFC 3339"),
    ("deliveries?until=2026-01-01", "RFC 3339"), ("deliveries?since=2026-02-29T00:00:00Z", "RFC 3339"),
    ("deliveries?since=2026-01-01T00:00:00+01:00", "RFC 3339"),  # a plus is a blank there
    ("deliveries?status=DEAD", "is one of pending, in_flight, retry"), ("attempts?trigger=x", "is one of schedule"),
    ("attempts?status=failed", "is one of delivered")])
def test_parameters_say_what_they_take(api, sub, tail, detail):
    answer = api("GET", f"{sub}/{tail}")
    assert (answer.status, answer.code) == (400, "invalid-parameter") and detail in answer.body["detail"]
    assert api("GET", f"{sub}/deliveries?since=2026-01-01T00:00:00%2B01:00").status == 200


@pytest.mark.parametrize("query,detail", [
    (f"uid={'x' * 5000}", "too long"), ("metadata[a]=b&metadata[a]=c", "twice"),
    ("metadata[a]=b&metadata%5B%61%5D=c", "twice"), ("uid=%ff", "not proper text")])
def test_parameters_that_cannot_be_read(api, query, detail):
    answer = api("GET", f"{BASE}?{query}")
    assert (answer.status, answer.code) == (400, "bad-request") and detail in answer.body["detail"]


def test_texts_are_as_long_as_the_contract_says(api, root):
    with open(os.path.join(root, "docs", "openapi.yaml"), encoding="utf-8") as file:
        contract = yaml.safe_load(file)
    for path in ("/v1/dead", "/webhooks/dead-letters"):
        for p in contract["paths"][path]["get"]["parameters"]:
            if p.get("schema", {}).get("type") == "string" and not {"format", "pattern"} & p["schema"].keys():
                text = "x" * p["schema"]["maxLength"]
                assert api("GET", f"{path}?{p['name']}={text}").status == 200, p
                assert api("GET", f"{path}?{p['name']}={text}x").status == 400, p
    schemas = contract["components"]["schemas"]
    for path, dry, keys in (("/v1/dead:replay", "dryRun", schemas["Filter"]["properties"]),
                            ("/webhooks/dead-letters/redrive", "dry_run",
                             schemas["Redrive"]["properties"]["filter"]["properties"])):
        for name in (name for name, s in keys.items() if s.get("type") == "string" and "format" not in s):
            text = "x" * keys[name]["maxLength"]
            assert api("POST", path, {"filter": {name: text}, dry: True}).status == 200, name
            assert api("POST", path, {"filter": {name: text + "x"}, dry: True}).status == 422, name


# ---- headers --------------------------------------------------------------------------------------------------------

def test_a_header_of_a_subscription_comes_once(api, endpoint):
    answer = api("POST", BASE, {"url": endpoint.url(), "headers": {"X-A": "1", "x-a": "2"}})
    assert answer.status == 422 and answer.faults() == {"/headers/x-a": "invalid-header"}


def test_an_encoded_body_is_not_read(api):
    answer = api("POST", BASE, b"\x1f\x8b", content_encoding="gzip")
    assert answer.status == 415 and "Content-Encoding" in answer.body["detail"]


def test_lists_of_tags(api, sub):
    """If-Match is a list of tags with any blanks (RFC 9110, 13.1.1), for a PATCH and a DELETE alike."""
    def patch(match: str):
        return api("PATCH", sub, {}, if_match=match)

    assert patch('"x", W/"v1" ,\t"v1" ').etag == '"v2"'
    for stale in ('"v1"', 'W/"v2"', "v2", '"x"v2"', '"v2', '*, "v2"', '"v22"', '""'):
        assert patch(stale).status == 412 and patch(stale).etag == '"v2"', stale
        assert api("DELETE", sub, if_match=stale).code == "precondition-failed", stale
    assert patch(" * ").etag == '"v3"'
    assert api("GET", sub, if_none_match='"a", W/"v3"').status == 304
    assert api("DELETE", sub, if_match='"v1", "v3"').status == 204
    assert api("DELETE", sub, if_match='"v1"').status == 404


def test_any_version_is_any_version(api, sub):
    """Who sends If-Match: * is not refused because somebody else was first."""
    answers = []
    threads = [threading.Thread(target=lambda i=i: answers.append(
        api("PATCH", sub, {"metadata": {f"k{i}": "x"}}, if_match="*").status)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [200] * 8 and api("GET", sub).body["metadata"] == {f"k{i}": "x" for i in range(8)}


# ---- a database that is busy ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("method,tail,body", [("GET", "", None), ("PATCH", "", {}), ("POST", "/test", {})])
def test_a_database_that_is_locked_is_unavailable(api, db, sub, method, tail, body):
    """What waits behind a migration is told to come again, in ten seconds, and leaves nothing that refuses it then."""
    with contextlib.closing(db.connect()) as migration:
        migration.cursor().execute("LOCK TABLE outbox.subscription IN ACCESS EXCLUSIVE MODE")
        begin = time.monotonic()
        answer = api(method, sub + tail, body, if_match="*", idempotency_key="k")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "5")
        assert time.monotonic() - begin < 30
        migration.rollback()
    assert api(method, sub + tail, body, if_match="*", idempotency_key="k").status == 200


# ---- all of it at once ----------------------------------------------------------------------------------------------

class Clients:
    """Threads that do whatever the API offers, to the same few subscriptions, and note what is odd.

    They go on after their time until every status that they are to see has been seen.
    """

    WANTED = {200, 201, 202, 204, 404, 409, 422}

    def __init__(self, api, endpoint):
        self.api, self.endpoint = api, endpoint
        self.subs: list[str] = []
        self.odd: list[tuple] = []
        self.seen: set[int] = set()

    def _step(self, r: random.Random) -> tuple[str, Answer]:
        sub = r.choice(self.subs or [""])
        key = r.choice(["a", "b", str(r.random())])
        changes = [{"status": s} for s in ("active", "paused", "disabled")]
        changes += [{"ordering": "key"}, {"ordering": "none"}, {"uid": f"u{r.randint(1, 5)}"}, {"filter": None}]
        calls = [
            ("PATCH", sub, r.choice(changes), {"if_match": "*"}), ("DELETE", sub, None, {}),
            ("POST", sub + "/secret/rotate", {"overlap_seconds": r.choice([0, 60])}, {"idempotency_key": key}),
            ("POST", sub + "/test", {}, {"idempotency_key": key}), ("POST", sub + "/verify", {}, {}),
            ("POST", sub + "/recover", {"include": r.choice(["all", "failed"])}, {}),
            ("POST", "/webhooks/dead-letters/redrive", {"filter": {"subscription": "*"}}, {}),
            ("POST", "/v1/dead:" + r.choice(["replay", "discard"]), {"filter": {"destination": "partners"}}, {}),
            ("GET", sub + r.choice(["", "/deliveries", "/attempts", "/health"]), None, {}), ("GET", BASE, None, {})]
        if not self.subs or r.random() < 0.2:
            body = {"url": self.endpoint.url(r.choice(["/hook", "/bad", "/down"])), "retry": {"schedule_seconds": [0]},
                    "uid": r.choice([None, f"u{r.randint(1, 5)}"]), "verify": r.choice(["none", "challenge"])}
            answer = self.api("POST", BASE, body, idempotency_key=key)
            self.subs += [f"{BASE}/{answer.body['id']}"] if answer.status == 201 else []
            return "/secret", answer
        method, path, body, headers = r.choice(calls)
        return path, self.api(method, path, body, **headers)

    def run(self, seed: int, end: float) -> None:
        r = random.Random(seed)
        while time.monotonic() < end or not self.WANTED <= self.seen and time.monotonic() < end + 60:
            path, answer = self._step(r)
            self.seen.add(answer.status)
            if answer.status >= 500 or (b"whsec_" in answer.text and "/secret" not in path):
                self.odd.append((path, answer))


@pytest.mark.slow
def test_many_clients_at_once(api, db, endpoint):
    """No 500, no deadlock, no secret where it does not belong, and no delivery that waits for nothing."""
    endpoint.answers.update({"/bad": 422, "/down": 503})
    clients, end = Clients(api, endpoint), time.monotonic() + 15
    threads = [threading.Thread(target=clients.run, args=(seed, end)) for seed in range(10)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        db.run("SELECT outbox.publish('order.paid', 'k-' || (random() * 9)::int, '{}', 'order')"
               " FROM generate_series(1, 5)")
        time.sleep(0.2)
    for t in threads:
        t.join()
    assert not clients.odd and clients.WANTED <= clients.seen
    assert "deadlock" not in api.relay.log()
    # What a relay itself lets go follows within seconds, when it tidies up.
    wait_until(lambda: db.value(
        "SELECT count(*) FROM outbox.delivery d WHERE d.state = 'HELD' AND NOT EXISTS ("
        "SELECT FROM outbox.delivery y WHERE y.lane = d.lane AND y.subscription = d.subscription AND"
        " y.aggregate_type = d.aggregate_type AND y.aggregate_id = d.aggregate_id AND y.seq < d.seq AND"
        " y.state IN ('PENDING', 'RETRY', 'HELD'))") == 0, "no delivery waits for nothing")
