# SPDX-License-Identifier: Apache-2.0
"""test_webhook_examples.py - the receivers of docs/webhooks take real deliveries and refuse forgeries."""

import base64
import collections
import hashlib
import hmac
import http.client
import os
import shutil
import subprocess
import sys
import time

import pytest

from adapter import BUILD, ROOT, drive

EXAMPLES = os.path.join(ROOT, "docs", "webhooks", "examples")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Example:
    """A receiver from the examples, as a process that prints `new ID` and `repeat ID`."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"WEBHOOK_SECRET": SECRET})
        self.port = int(self.process.stdout.readline().split()[-1])

    def post(self, body, secret=SECRET, age=0, **change):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("POST", "/hook", body, sign(body, secret, age) | change)
        status = connection.getresponse().status
        connection.close()
        return status

    def stop(self) -> collections.Counter:
        self.process.terminate()
        output, _ = self.process.communicate(timeout=10)
        return collections.Counter(line.split()[0] for line in output.splitlines())


def sign(body, secret=SECRET, age=0, event_id="evt_1"):
    stamp = str(int(time.time()) - age)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": event_id, "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(mac).decode()}


@pytest.fixture(params=["python", "node"])
def example(request, tmp_path):
    if request.param == "node" and not shutil.which("node"):
        pytest.skip("node is not installed")
    command = {"python": [sys.executable, os.path.join(EXAMPLES, "receive.py"), "0", str(tmp_path / "seen.db")],
               "node": ["node", os.path.join(EXAMPLES, "receive.mjs"), "0"]}[request.param]
    running = Example(command)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def test_takes_deliveries_and_recognises_repeats(example):
    options = {"url": f"http://127.0.0.1:{example.port}/hook", "secret": SECRET, "allow_http": "true",
               "allow_cidrs": "127.0.0.1", "max_in_flight": "4"}
    for _ in range(2):  # drive_adapter gives the same ids each time
        assert drive("webhook", options, events=200, seconds=20).outcomes["delivered"] == 200
    assert example.stop() == {"new": 200, "repeat": 200}


def test_refuses_forgeries(example):
    assert example.post(b"{}") == 204
    assert example.post(b"{}", secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD") == 401
    assert example.post(b"{}", age=310) == 401
    assert example.post(b"{}", age=-310) == 401
    assert example.post(b"{}", **{"webhook-id": "evt_2"}) == 401
    assert example.post(b"{}", **{"webhook-timestamp": "hello"}) == 401
    assert example.post(b"{}", **{"webhook-signature": "v1,"}) == 401
    assert example.post(b"{}", **{"webhook-signature": sign(b"{ }")["webhook-signature"]}) == 401
    assert example.stop() == {"new": 1}


def test_c_example(tmp_path):
    program = str(tmp_path / "verify")
    library = os.path.join(BUILD, "core", "webhooks", "libpostrider_signature.a")
    if "asan" in BUILD or "tsan" in BUILD:
        pytest.skip("the library was built with a sanitizer")
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(ROOT, "include"),
                    os.path.join(EXAMPLES, "verify.c"), library, "-lcrypto", "-o", program], check=True)

    def run(body, **headers):
        values = sign(b"{}") | headers
        return subprocess.run([program, values["webhook-id"], values["webhook-timestamp"],
                               values["webhook-signature"]], input=body, check=False, capture_output=True,
                              env=os.environ | {"WEBHOOK_SECRET": SECRET}).returncode
    assert run(b"{}") == 0
    assert run(b"{ }") == 1
    assert run(b"{}", **{"webhook-timestamp": "1"}) == 1
