# SPDX-License-Identifier: Apache-2.0
"""test_webhook_examples.py - the receivers of docs/webhooks, in five languages: they take real deliveries, refuse
forgeries, and take no request twice."""

import base64
import collections
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from adapter import BUILD, ROOT, drive

EXAMPLES = os.path.join(ROOT, "docs", "webhooks", "examples")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
LANGUAGES = ["c", "python", "node", "go", "java"]


class Example:
    """A receiver from the examples, as a process that prints `new ID` and `repeat ID`."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"WEBHOOK_SECRET": SECRET})
        self.port = int(self.process.stdout.readline().split()[-1])

    def ask(self, body, headers) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/hook", body, headers)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def send(self, body, headers) -> int:
        return self.ask(body, headers)[0]

    def post(self, body, secret=SECRET, age=0, event_id="evt_1", **change) -> int:
        return self.send(body, sign(body, secret, age, event_id) | change)

    def stop(self) -> collections.Counter:
        self.process.terminate()
        output, _ = self.process.communicate(timeout=60)
        return collections.Counter(line.split()[0] for line in output.splitlines())


def sign(body, secret=SECRET, age=0, event_id="evt_1"):
    stamp = str(int(time.time()) - age)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": event_id, "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(mac).decode()}


def needs(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: this receiver is NOT tested (deploy/install-deps.sh tests)")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """built(language): how to start its receiver, which is compiled once."""
    folder, commands = tmp_path_factory.mktemp("receivers"), {}

    def build_c() -> list[str]:
        if "asan" in BUILD or "tsan" in BUILD:
            pytest.skip("the library was built with a sanitizer")
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I",
                        os.path.join(ROOT, "include"), os.path.join(EXAMPLES, "receive.c"),
                        os.path.join(BUILD, "core", "webhooks", "libpostrider_signature.a"), "-lmicrohttpd",
                        "-lcrypto", "-o", str(folder / "receive_c")], check=True)
        return [str(folder / "receive_c")]

    def build_go() -> list[str]:
        needs("go")
        subprocess.run(["go", "build", "-o", str(folder / "receive_go"), os.path.join(EXAMPLES, "receive.go")],
                       check=True, cwd=folder,
                       env=os.environ | {"GOTOOLCHAIN": "local", "GOCACHE": str(folder / "cache"), "GOFLAGS": "",
                                         "GOPROXY": "off", "CGO_ENABLED": "0"})
        return [str(folder / "receive_go")]

    def build_java() -> list[str]:
        needs("java", "javac")
        subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", str(folder), os.path.join(EXAMPLES, "Receive.java")],
                       check=True)
        return ["java", "-cp", str(folder), "Receive"]

    def node() -> list[str]:
        needs("node")
        return ["node", os.path.join(EXAMPLES, "receive.mjs")]

    def python() -> list[str]:
        return [sys.executable, os.path.join(EXAMPLES, "receive.py")]

    makers = {"c": build_c, "python": python, "node": node, "go": build_go, "java": build_java}

    def command(language: str) -> list[str]:
        if language not in commands:
            commands[language] = makers[language]()
        return commands[language]
    return command


@pytest.fixture
def start(built, tmp_path):
    """start(language, *arguments): a running receiver; it ends with the test."""
    running = []

    def make(language: str, *arguments: str) -> Example:
        more = [str(tmp_path / "seen.db")] if language == "python" else list(arguments)
        running.append(Example([*built(language), "0", *more]))
        return running[-1]
    yield make
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(params=LANGUAGES)
def example(request, start):
    return start(request.param)


def test_takes_deliveries_and_recognises_repeats(example):
    options = {"url": f"http://127.0.0.1:{example.port}/hook", "secret": SECRET, "allow_http": "true",
               "allow_cidrs": "127.0.0.1", "max_in_flight": "4", "timeout": "30s"}
    for _ in range(2):  # drive_adapter gives the same ids each time
        assert drive("webhook", options, events=200, seconds=120).outcomes["delivered"] == 200
    assert example.stop() == {"new": 200, "repeat": 200}


def test_takes_deliveries_while_the_secret_changes(example):
    options = {"url": f"http://127.0.0.1:{example.port}/hook", "secret": OTHER, "previous_secret": SECRET,
               "allow_http": "true", "allow_cidrs": "127.0.0.1", "timeout": "30s"}
    assert drive("webhook", options, events=5, seconds=120).outcomes["delivered"] == 5
    assert example.stop() == {"new": 5}


def test_refuses_forgeries(example):
    assert example.post(b"{}") == 204
    assert example.post(b"{}", secret=OTHER) == 401
    assert example.post(b"{}", age=330) == 401
    assert example.post(b"{}", age=-330) == 401
    for header in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        signed = sign(b"{}", event_id="evt_2")
        del signed[header]
        assert example.send(b"{}", signed) == 401
        assert example.post(b"{}", event_id="evt_2", **{header: ""}) == 401
    assert example.post(b"{}", **{"webhook-id": "evt_2"}) == 401
    for timestamp in ("hello", "-1", "0x10", "1e9", "9" * 40, "99999999999"):
        assert example.post(b"{}", **{"webhook-timestamp": timestamp}) == 401
    right = sign(b"{}")["webhook-signature"]
    for signature in ("v1,", "v1", right[:-1], right[:20], right.replace("v1,", "v2,"), right.removeprefix("v1,"),
                      sign(b"{ }")["webhook-signature"]):
        assert example.post(b"{}", **{"webhook-signature": signature}) == 401
    assert example.stop() == {"new": 1}


@pytest.mark.parametrize("around", ["{} {right}", "{right} {}", "{} {right} {}", "v2,AAAA {right} v1a,AAAA"])
def test_one_good_signature_is_enough(example, around):
    signed = sign(b"{}")
    wrong = sign(b"{}", OTHER)["webhook-signature"]
    signed["webhook-signature"] = around.replace("{}", wrong).replace("{right}", signed["webhook-signature"])
    assert example.send(b"{}", signed) == 204


def test_a_recorded_request_is_taken_once(example):
    recorded = sign(b'{"pay":1}', age=60)
    assert [example.send(b'{"pay":1}', recorded) for _ in range(3)] == [204] * 3
    # A retry is signed anew, and is the same event.
    assert example.post(b'{"pay":1}') == 204
    assert example.stop() == {"new": 1, "repeat": 3}


def test_answers_the_handshake(example):
    """Only who has the secret is answered, and the id is still free for the event."""
    body = b'{"type":"verification","challenge":"chl_0123456789abcdef0123456789abcdef"}'
    assert example.ask(body, sign(body, OTHER)) == (401, b"")
    assert example.ask(body, {}) == (401, b"")
    for _ in range(2):
        status, answer = example.ask(body, sign(body))
        assert (status, json.loads(answer)) == (200, {"challenge": "chl_0123456789abcdef0123456789abcdef"})
    for event in (b'{"type":"paid","challenge":"c"}', b'["verification"]', b'{"type":"verif', b"[" * 100_000,
                  b'{"eventId":"e","type":"verification","payload":{}}'):
        event_id = f"evt_{len(event)}"
        assert example.ask(event, sign(event, event_id=event_id)) == (204, b"")
    assert example.post(b"{}") == 204
    assert example.stop() == {"new": 6}


def test_a_trial_has_no_effect(example):
    assert example.ask(b"{}", sign(b"{}") | {"webhook-test": "true"}) == (200, b"")
    assert example.post(b"{}", secret=OTHER, **{"webhook-test": "true"}) == 401
    assert example.post(b"{}") == 204
    assert example.stop() == {"new": 1}


@pytest.mark.parametrize("length", ["-1", "-99999999999", "1x", "9" * 30])
def test_a_length_that_is_none_is_refused_at_once(example, length):
    with socket.create_connection(("127.0.0.1", example.port), timeout=60) as connection:
        connection.sendall(f"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        first = connection.recv(1000)
    assert first == b"" or first.split()[1] in (b"400", b"401", b"413")
    assert example.post(b"{}") == 204


def test_refuses_a_body_that_is_too_large(example):
    try:
        status = example.post(b"x" * ((1 << 20) + 1))
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it answered before it had read everything, and closed
    assert status == 413
    assert example.post(b"x" * (1 << 20), event_id="evt_2") == 204
    assert example.stop() == {"new": 1}


@pytest.mark.parametrize("language", [x for x in LANGUAGES if x != "python"])
def test_a_full_store_makes_the_sender_wait(start, language):
    """Forgetting a young id would let its recording pass as new."""
    example = start(language, "3")
    assert [example.post(b"{}", event_id=f"evt_{i}") for i in range(4)] == [204, 204, 204, 503]
    assert example.post(b"{}", event_id="evt_0") == 204
    assert example.post(b"{}", event_id="evt_3") == 503
    assert example.stop() == {"new": 3, "repeat": 1}


def test_python_forgets_what_is_old_and_keeps_ids_over_a_restart(start, tmp_path):
    example = start("python")
    assert example.post(b"{}") == 204
    assert example.stop() == {"new": 1}
    with sqlite3.connect(tmp_path / "seen.db") as database:
        database.execute("INSERT INTO seen VALUES ('evt_old', 0)")
    example = start("python")
    assert example.post(b"{}") == 204
    assert example.post(b"{}", event_id="evt_2") == 204
    assert example.stop() == {"new": 1, "repeat": 1}
    with sqlite3.connect(tmp_path / "seen.db") as database:
        assert database.execute("SELECT id FROM seen ORDER BY at").fetchall() == [("evt_1",), ("evt_2",)]
        assert database.execute("SELECT count(*) FROM inbox").fetchone() == (2,)
