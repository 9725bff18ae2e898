# SPDX-License-Identifier: Apache-2.0
"""webhook_cases.py - what the tests of the webhook adapter have in common."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from adapter import BUILD, ROOT, Run, drive

HERE = os.path.dirname(os.path.abspath(__file__))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
# The receiver is a thread of the tests, which a busy machine stops for seconds: who tests a limit says so.
PATIENT = {"timeout": "30s", "connect_timeout": "30s"}
LOCAL = PATIENT | {"secret": SECRET, "allow_http": "true", "allow_cidrs": "127.0.0.1"}
# A destination with subscriptions: the target brings URL and secret.
TARGET = PATIENT | {"allow_http": "true", "allow_cidrs": "127.0.0.1", "target.secret": SECRET,
                    "target.keep_response": "64"}

sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
from harness import ports  # noqa: E402,F401
from harness.certificates import Authority  # noqa: E402,F401
from harness.wait import wait_until  # noqa: E402


def options(receiver, path, **more):
    return LOCAL | {"url": f"{receiver.base}/{path}"} | more


def target(url: str, more: dict | None = None) -> dict:
    return TARGET | {"target.url": url} | (more or {})


def signature(secret, request):
    """The v1 entry by Python's hmac alone, from the text of the specification."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed + request.body, hashlib.sha256).digest()).decode()


def stop_when(condition):
    """For drive(meanwhile=...)."""
    def meanwhile(driven):
        wait_until(condition, "it may be stopped", 60)
        driven.stop()
    return meanwhile


def need_npm() -> None:
    if not os.path.isdir(os.path.join(HERE, "node_modules", "standardwebhooks")) or not shutil.which("node"):
        pytest.skip("npm packages of tests/contract are not installed")


def judge_by_npm(tmp_path, requests, keys):
    """Every request is verified by the npm packages standardwebhooks and svix with each whsec_ key, and
    by node:crypto with each whpk_ key."""
    need_npm()
    dump = tmp_path / "requests.jsonl"
    with open(dump, "w", encoding="utf-8") as file:
        for request in requests:
            file.write(json.dumps({"headers": request.headers,
                                   "body": base64.b64encode(request.body).decode()}) + "\n")
    done = subprocess.run(["node", os.path.join(HERE, "verify_signatures.mjs"), "requests", str(dump), *keys],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(requests)} requests" in done.stdout


class DualStackCanary:
    """Listens on [::] for both families and collects whoever connects."""

    def __init__(self, port: int = 0):
        self.port = port
        self._accepted, self._own = [], []

    def __enter__(self) -> "DualStackCanary":
        self._listener = socket.create_server(("::", self.port), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        return self

    def _collect(self):
        try:
            while True:
                connection, peer = self._listener.accept()
                connection.close()
                self._accepted.append(peer)
        except OSError:
            pass

    @property
    def accepted(self) -> list:
        """Whoever has connected until now; connections are accepted in their order, so the last is our own."""
        with socket.create_connection(("::1", self.port)) as own:
            wait_until(lambda: own.getsockname()[:2] in [peer[:2] for peer in self._accepted], "all are accepted")
            self._own.append(own.getsockname()[:2])
        return [peer for peer in list(self._accepted) if peer[:2] not in self._own]

    def __exit__(self, *_exc):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def drive_with_resolver(addresses: str, settings: dict, interfaces: str = "", slow: int = 3, **how) -> Run:
    """Names have these addresses; "a;b" changes the answer after the first question. A name that begins with "slow"
    takes `slow` seconds. The host has no interface until the file `interfaces` is there."""
    if "asan" in BUILD or "tsan" in BUILD:
        pytest.skip("sanitizers bring a getaddrinfo of their own")
    preload = {"LD_PRELOAD": os.path.join(BUILD, "tests", "contract", "fake_resolver.so"),
               "FAKE_ADDRESSES": addresses, "FAKE_SLOW": str(slow)} | ({"FAKE_INTERFACES": interfaces} if interfaces else {})
    return drive("webhook", settings, env=preload, **how)
