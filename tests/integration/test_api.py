# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of a running relay: who may, what it answers, what it refuses."""

import hashlib
import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import weakref

import pytest

from harness import ports
from harness.relay import run
from harness.sinks import wait_settled
from harness.wait import wait_until

SOME_ID = "00000000-0000-7000-8000-000000000000"
EVENT = re.compile("^/v1/events/.*")
QUICK = {"retry": {"initial": "1ms", "max": "5ms", "max_attempts": 1}}


class Api:
    """A relay with an API, its tokens and a client."""

    def __init__(self, relay_of, folder, destinations, **settings):
        self.port = ports.take()
        weakref.finalize(self, ports.release, self.port)
        self.answers: list[dict] = []
        self.tokens = {"reader": secrets.token_urlsafe(32), "writer": secrets.token_urlsafe(32)}
        self.token_file = os.path.join(folder, "tokens")
        self.write_tokens()
        self.relay = relay_of(destinations, api={"listen": f"127.0.0.1:{self.port}", "token_file": self.token_file},
                              **settings)

    def write_tokens(self) -> None:
        with open(self.token_file + ".new", "w", encoding="ascii") as f:
            f.write("# name scope sha256\n")
            for name, token in self.tokens.items():
                scope = "read,write" if name == "writer" else "read"
                f.write(f"{name} {scope} {hashlib.sha256(token.encode()).hexdigest()}\n")
        os.replace(self.token_file + ".new", self.token_file)

    def __call__(self, method: str, path: str, body=None, who: str | None = "writer", token: str | None = None,
                 headers: dict | None = None):
        """(status, headers, body as JSON)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = dict(headers or {})
        if who or token:
            sent["Authorization"] = f"Bearer {token or self.tokens[who]}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        found = {k.lower(): v for k, v in response.getheaders()}
        answer = json.loads(text) if text else None
        self.answers.append({"method": method, "path": EVENT.sub("/v1/events/{eventId}", path.split("?")[0]),
                             "status": response.status, "body": answer,
                             **({"request": json.loads(body)} if response.status == 200 and body else {})})
        return response.status, found, answer


@pytest.fixture
def api(relay_of, tmp_path, hook):
    return Api(relay_of, tmp_path, [hook], extra={**QUICK})


def publish(db, n: int = 1, type: str = "order.paid") -> list[str]:
    return [row[0] for row in db.run(
        "SELECT outbox.publish(%s, 'k-' || i, '{}', 'order')::text FROM generate_series(1, %s) i ORDER BY i", type, n)]


def dead(db) -> int:
    return db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'DEAD'")


def assert_problem(answer, status: int, detail: str = "") -> None:
    got, headers, body = answer
    assert got == status, body
    assert headers["content-type"] == "application/problem+json"
    assert body["status"] == status and body["type"] == f"urn:postrider:problem:{body['code']}" and body["title"]
    assert body["request_id"] == headers["x-request-id"]
    assert detail in body.get("detail", "")


@pytest.mark.parametrize("who,token,headers", [
    (None, None, None), (None, "wrong", None), (None, None, {"Authorization": "Basic eDp5"}),
    (None, None, {"Authorization": "Bearer "})])
def test_without_a_known_token_nothing_is_told(api, who, token, headers):
    for method, path in (("GET", "/v1/status"), ("POST", "/v1/dead:replay"), ("GET", "/nothing")):
        answer = api(method, path, who=who, token=token, headers=headers)
        assert_problem(answer, 401)
        assert answer[1]["www-authenticate"] == "Bearer"


def test_a_refused_body_is_not_read(api):
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as s:
        s.sendall(b"POST /v1/dead:replay HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 60000\r\n\r\n{")
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_foreign_host_is_refused(api):
    for host in ("evil.example", f"evil.example:{api.port}", "localhost.evil.example"):
        assert_problem(api("GET", "/v1/status", headers={"Host": host}), 421, "Host")
    for host in ("localhost", f"LOCALHOST:{api.port}", "127.0.0.1", "[::1]:80"):
        assert api("GET", "/v1/status", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("extra", [b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                                   b"Content-Length: 2\r\nContent-Length: 3\r\n",
                                   b"Content-Length: 1048577\r\n"])
def test_what_the_server_itself_refuses_is_a_problem(api, extra):
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as s:
        s.sendall(b"POST /v1/dead:replay HTTP/1.1\r\nHost: localhost\r\n" + extra + b"\r\n{}")
        answer = http.client.HTTPResponse(s)
        answer.begin()
        body = json.loads(answer.read())
    assert answer.status == (413 if b"1048577" in extra else 400)
    assert body["code"] == ("too-large" if b"1048577" in extra else "bad-request")
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_methods_of_a_path_are_told(api):
    answer = api("DELETE", "/v1/dead")
    assert_problem(answer, 405)
    assert answer[1]["allow"] == "GET, HEAD"
    assert api("GET", "/v1/dead:replay")[1]["allow"] == "POST"


def test_scopes(api):
    assert api("GET", "/v1/status", who="reader")[0] == 200
    assert_problem(api("POST", "/v1/dead:replay", {"filter": {"cause": "timeout"}}, who="reader"), 403, "write")


def test_tokens_change_without_a_restart(api):
    old = api.tokens["writer"]
    api.tokens["writer"] = secrets.token_urlsafe(32)
    api.write_tokens()
    assert api("GET", "/v1/status")[0] == 200
    assert api("GET", "/v1/status", token=old)[0] == 401
    with open(api.token_file, "a", encoding="ascii") as f:
        f.write(f"somebody read {api.tokens['writer']}\n")
    assert api("GET", "/v1/status")[0] == 200, "a mistake leaves the old tokens in force"
    wait_until(lambda: "api.tokens_refused" in api.relay.log(), "the mistake is logged")
    assert api.tokens["writer"] not in api.relay.log()


def test_the_answers_are_those_of_the_commands(db, api, hook, postrider):
    hook.receiver.answer = lambda d: 422 if b"order.bad" in d.body else 204
    good, bad = publish(db)[0], publish(db, type="order.bad")[0]
    wait_until(lambda: dead(db) == 1, "one is dead")
    wait_until(lambda: hook.count() == 1, "one is delivered")

    def command(*args):
        return json.loads(run(postrider, *args, "--json", "--dsn", db.dsn).stdout)

    status = api("GET", "/v1/status")[2]
    assert status["lanes"][0]["destination"] == "hook" and status["lanes"][0]["dead"] == 1
    assert status.keys() == command("status").keys()
    assert [(g["cause"], g["count"]) for g in api("GET", "/v1/stuck")[2]["groups"]] == [("rejected_4xx", 1)]
    assert [e["eventId"] for e in api("GET", "/v1/stuck?events=5&destination=hook")[2]["events"]] == [bad]
    assert api("GET", "/v1/stuck?olderThan=1h")[2] == {"groups": []}
    assert api("GET", f"/v1/events/{good}")[2]["destinations"][0]["state"] == "PUBLISHED"
    event = api("GET", f"/v1/events/{bad}")[2]
    assert event["destinations"][0]["cause"] == "rejected_4xx"
    assert event["destinations"] == command("trace", bad)["destinations"]
    assert api("GET", "/v1/dead?type=order.*&cause=rejected_4xx&since=2020-01-01T00:00:00%2B00:00")[2] == \
        command("dead", "list")
    assert api("GET", "/v1/dead?type=nothing")[2] == {"deadLetters": [], "next": None}
    assert "payload" not in json.dumps([status, event])


def test_pages_of_dead_letters(db, api, hook):
    hook.receiver.status = 422
    ids = publish(db, 5)
    wait_until(lambda: dead(db) == 5, "all are dead")
    found, after = [], ""
    while after is not None:
        page = api("GET", "/v1/dead?limit=2" + (f"&after={after}" if after else ""))[2]
        found += [d["eventId"] for d in page["deadLetters"]]
        after = page["next"]
    assert found == ids


def test_replay_and_discard(db, api, hook):
    hook.receiver.status = 422
    ids = publish(db, 20)
    wait_until(lambda: dead(db) == 20, "all are dead")
    hook.receiver.status = 204
    look = api("POST", "/v1/dead:replay", {"filter": {"destination": "hook"}, "dryRun": True})[2]
    assert (look["matched"], look["affected"], look["dryRun"]) == (20, 0, True)
    assert look["groups"][0]["cause"] == "rejected_4xx" and dead(db) == 20

    gone = api("POST", "/v1/dead:discard", {"filter": {"eventId": ids[:3]}})[2]
    assert (gone["affected"], gone["complete"]) == (3, True)
    sent = api("POST", "/v1/dead:replay", {"filter": {"destination": "hook"}, "rate": 1000})[2]
    assert (sent["matched"], sent["affected"], sent["complete"]) == (17, 17, True)
    wait_settled(db, [hook])
    assert hook.count() == 17
    assert db.run("SELECT operation, action, actor, affected, per_second FROM outbox.audit ORDER BY 1") == [
        (gone["operation"], "dead.discard", "api writer", 3, None),
        (sent["operation"], "dead.replay", "api writer", 17, 1000)]


@pytest.mark.parametrize("body,pointer,code", [
    ({}, "/filter", "missing-member"), ({"filter": None}, "/filter", "missing-member"),
    ({"filter": {}}, "/filter", "invalid-value"), ({"filter": "x"}, "/filter", "invalid-value"),
    ([], "", "invalid-request"), ({"filter": {"nothing": "x"}}, "/filter/nothing", "unknown-member"),
    ({"filter": {"a/b~": "x"}}, "/filter/a~1b~0", "unknown-member"),
    ({"filter": {"type": 3}}, "/filter/type", "invalid-value"), ({"filter": {"type": ""}}, "/filter/type", "invalid-value"),
    ({"filter": {"cause": None}}, "/filter/cause", "invalid-value"),
    ({"filter": {"type": "x" * 1025}}, "/filter/type", "invalid-value"),
    ({"filter": {"type": ["x"]}}, "/filter/type", "invalid-value"),
    ({"filter": {"eventId": "x"}}, "/filter/eventId", "invalid-value"),
    ({"filter": {"eventId": []}}, "/filter/eventId", "invalid-value"),
    ({"filter": {"eventId": [SOME_ID] * 1001}}, "/filter/eventId", "invalid-value"),
    ({"filter": {"eventId": [SOME_ID, 7]}}, "/filter/eventId/1", "invalid-value"),
    ({"filter": {"since": "soon"}}, "/filter/since", "invalid-value"),
    ({"filter": {"until": "infinity"}}, "/filter/until", "invalid-value"),
    ({"filter": {"until": "2026-02-30T00:00:00Z"}}, "/filter/until", "invalid-value"),
    ({"filter": {"cause": "x"}, "dryRun": "yes"}, "/dryRun", "invalid-value"),
    ({"filter": {"cause": "x"}, "rate": 0}, "/rate", "invalid-value"),
    ({"filter": {"cause": "x"}, "rate": 1.5}, "/rate", "invalid-value"),
    ({"filter": {"cause": "x"}, "rate": 2 ** 31}, "/rate", "invalid-value"),
    ({"filter": {"cause": "x"}, "force": True}, "/force", "unknown-member"),
    ('{"filter":{"cause":"a"},"filter":{"cause":"b"}}', "/filter", "duplicate-key"),
    ('{"filter":{"cause":"a","cause":"b"}}', "/filter/cause", "duplicate-key"),
    ('{"filter":{"cause":"a"}} x', "", "invalid-json"), ('{"filter":{"cause":"a\\u0000"}}', "/filter/cause", "invalid-json"),
    (b'{"filter":{"cause":"\xff"}}', "/filter/cause", "invalid-utf8"),
    ("[" * 5000, None, "too-deep"), ("", "", "invalid-json")])
@pytest.mark.parametrize("action", ["replay", "discard"])
def test_bad_bodies_are_pointed_at(api, action, body, pointer, code):
    if action == "discard" and isinstance(body, dict) and "rate" in body:
        code = "unknown-member"  # rate goes with replay only
    answer = api("POST", f"/v1/dead:{action}", body)
    syntax = code in ("duplicate-key", "invalid-json", "invalid-utf8", "too-deep")
    assert_problem(answer, 400 if syntax else 422)
    [error] = answer[2]["errors"]
    assert error["code"] == code == answer[2]["code"] and pointer in (None, error["pointer"])


def test_all_mistakes_of_a_body_are_told_at_once(api):
    body = {"filter": {"type": 1, "since": "x"}, "dryRun": 1, "x": 1}
    answer = api("POST", "/v1/dead:replay", body)
    assert_problem(answer, 422, "4 mistakes")
    assert [e["pointer"] for e in answer[2]["errors"]] == ["/filter/type", "/filter/since", "/dryRun", "/x"]


@pytest.mark.parametrize("path,detail", [
    ("/v1/dead?limit=0", "limit"), ("/v1/dead?limit=1&limit=2", "twice"), ("/v1/dead?x=1", 'no parameter "x"'),
    ("/v1/dead?cause=%00", "proper text"), ("/v1/dead?cause=%ff", "proper text"), ("/v1/dead?cause=%2", "proper"),
    ("/v1/dead?cause=", "empty"), ("/v1/dead?after=x", "next"), ("/v1/dead?since=soon", "RFC 3339"), ("/v1/dead?eventId=x", "UUID"),
    ("/v1/stuck?olderThan=soon", "duration"), ("/v1/stuck?events=x", "events"), ("/v1/status?x", "no parameter"),
    ("/v1/events/x", "UUID"), ("/v1/dead?cause=';DROP%20TABLE%20outbox.lane--&type=%27", None)])
def test_bad_parameters(api, path, detail):
    if detail is None:
        assert api("GET", path)[2] == {"deadLetters": [], "next": None}
    else:
        assert_problem(api("GET", path), 400, detail)


def test_the_rest(db, api):
    assert_problem(api("GET", "/v1/nothing"), 404)
    assert_problem(api("GET", "/v1/events/00000000-0000-7000-8000-000000000000"), 404)
    assert_problem(api("DELETE", "/v1/dead"), 405)
    assert_problem(api("GET", "/v1/dead:replay"), 405)
    assert_problem(api("POST", "/v1/dead:replay", "{}", headers={"Content-Type": "text/plain"}), 415)
    assert api("GET", "/v1/status")[1]["cache-control"] == "no-store"
    db.run("ALTER SCHEMA outbox RENAME TO elsewhere")
    assert_problem(api("GET", "/v1/dead"), 503)
    db.run("ALTER SCHEMA elsewhere RENAME TO outbox")


def test_a_change_without_rights_says_nothing_of_sql(db, api):
    db.run("REVOKE EXECUTE ON FUNCTION outbox.dead_letters(jsonb) FROM PUBLIC")
    db.run("ALTER FUNCTION outbox.dead_letters(jsonb) RENAME TO gone")
    answer = api("GET", "/v1/dead")
    assert_problem(answer, 503)
    assert "outbox" not in json.dumps(answer[2])


@pytest.fixture
def contract(root) -> str:
    folder = os.path.join(root, "tests", "contract")
    assert os.path.isdir(os.path.join(folder, "node_modules")), "run npm ci in tests/contract first"
    return folder


def node(contract: str, *args: str) -> str:
    done = subprocess.run(args, cwd=contract, text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_document_passes_spectral_and_redocly(contract):
    node(contract, "npm", "run", "--silent", "openapi")


def test_the_answers_match_the_document(db, api, hook, contract, tmp_path):
    hook.receiver.answer = lambda d: 422 if b"order.bad" in d.body else 204
    good, bad = publish(db)[0], publish(db, 3, type="order.bad")
    wait_until(lambda: dead(db) == 3, "three are dead")
    for path in ("/v1/status", "/v1/stuck", "/v1/stuck?events=9", f"/v1/events/{good}", f"/v1/events/{bad[0]}",
                 "/v1/dead", "/v1/dead?limit=1", "/v1/dead?limit=0", "/v1/events/x",
                 "/v1/events/00000000-0000-7000-8000-000000000000"):
        api("GET", path)
    api("GET", "/v1/status", who=None)
    api("POST", "/v1/dead:replay", {"filter": {"eventId": bad}, "dryRun": True})
    api("POST", "/v1/dead:replay", {"filter": {"eventId": bad[0], "destination": "hook"}, "rate": 5})
    api("POST", "/v1/dead:discard", {"filter": {"type": "order.*", "since": "2020-01-01T00:00:00Z"}})
    api("POST", "/v1/dead:discard", {"filter": {}})
    api("POST", "/v1/dead:discard", {"filter": {"cause": "x"}}, who="reader")
    api("POST", "/v1/dead:discard", "{}", headers={"Content-Type": "text/plain"})
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(a) + "\n" for a in api.answers))
    assert " 0 faults" in node(contract, "node", "validate_answers.mjs", str(path))


@pytest.mark.parametrize("settings,text", [
    ({"listen": "0.0.0.0:0", "token_file": "x"}, "speaks no TLS"), ({"listen": "127.0.0.1:0"}, "token_file"),
    ({"listen": "here", "token_file": "x"}, "expected an address"),
    ({"listen": "127.0.0.1:0", "token_file": "/does/not/exist"}, "could not open")])
def test_it_does_not_start_unsafe(relay_of, file, settings, text):
    relay = relay_of([file], start=False, api=settings)
    relay.start(wait=False)
    assert relay.wait_exit() != 0
    assert text in relay.log()
