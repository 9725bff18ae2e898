# SPDX-License-Identifier: Apache-2.0
"""Slow clients of the API are cut off, and meanwhile others are served as if there were none."""

import shutil
import socket
import subprocess
import threading
import time

import pytest

from harness.api import ApiClient, Endpoint, partners
from harness.secrets import KeyRing
from harness.wait import wait_until

LIMIT_S = 30
# More than a busy machine lets anybody wait, and far less than whoever had to wait for a slow client would.
LATE_S = 10
PER_ADDRESS = 192
HEAD = b"POST /webhooks/subscriptions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"


@pytest.fixture
def api(relay_of, tmp_path, build, postrider):
    client = ApiClient(tmp_path)
    client.relay = relay_of([partners()], api=client.settings,
                            webhooks={"key_ring": KeyRing(build, postrider, tmp_path).path})
    return client


class Slow:
    """Connections from an address of their own, each of which sends a byte at every step."""

    def __init__(self, port: int, source: str, begin: bytes, rest: bytes, n: int):
        self.rest, self.at, self.open, self.lived = rest, 0, [], []
        for _ in range(n):
            s = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
            s.setblocking(False)
            s.sendall(begin)
            self.open.append((s, time.monotonic()))

    def step(self) -> None:
        byte = self.rest[self.at % len(self.rest):][:1]
        self.at += 1
        for entry in list(self.open):
            s, since = entry
            try:
                s.send(byte)
                ended = s.recv(4096) == b""
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                self.open.remove(entry)
                self.lived.append(time.monotonic() - since)
                s.close()


def timed(api) -> float:
    begin = time.monotonic()
    assert api("GET", "/webhooks/subscriptions").status == 200
    return time.monotonic() - begin


@pytest.mark.slow
def test_slow_senders_do_not_hurt_others(api):
    """More connections than one address may have, trickling headers and bodies: cut in time, others not delayed."""
    calm = sorted(timed(api) for _ in range(40))
    head = HEAD % api.tokens["writer"].encode()
    slow = [Slow(api.port, "127.0.0.2", b"GET / HTTP/1.1\r\nX-Slow: ", b"x", 130),
            Slow(api.port, "127.0.0.2", head + b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n{",
                 b" ", PER_ADDRESS + 40 - 130)]
    begin, waits = time.monotonic(), []
    while any(s.open for s in slow) and time.monotonic() - begin < LIMIT_S + 30:
        for s in slow:
            s.step()
        waits.append(timed(api))
        time.sleep(0.1)
    lived = sorted(t for s in slow for t in s.lived)
    waits.sort()
    p99 = waits[int(len(waits) * 0.99)]
    print(f"{len(lived)} slow connections cut after {lived[0]:.2f} to {lived[-1]:.1f} s; "
          f"{len(waits)} requests of others: median {waits[len(waits) // 2] * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms "
          f"(without slow ones {calm[20] * 1000:.1f} ms)")
    assert not any(s.open for s in slow)
    assert lived[39] < LATE_S, "beyond what one address may have, connections are closed at once"
    assert LIMIT_S - 1 < lived[-1] < LIMIT_S + LATE_S
    assert waits[len(waits) // 2] < 1 and waits[-1] < LATE_S


@pytest.mark.slow
def test_slow_readers_are_cut_off(api):
    for i in range(250):
        assert api("POST", "/webhooks/subscriptions", {"url": "https://a.example/", "description": "x" * 1900,
                                                       "metadata": {str(j): "y" * 900 for j in range(20)}}).status == 201
    readers = []
    for _ in range(20):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(60)
        s.connect(("127.0.0.1", api.port))
        s.sendall(b"GET /webhooks/subscriptions?limit=250 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
                  % api.tokens["reader"].encode())
        readers.append(s)
    read, ended = len(readers[0].recv(512)), 0.0
    readers[0].settimeout(10)
    begin = time.monotonic()  # the limit runs from the begin of the answer
    while not ended and time.monotonic() - begin < LIMIT_S + 30:
        assert timed(api) < LATE_S
        time.sleep(0.5)
        try:
            piece = readers[0].recv(512)
            read += len(piece)
            ended = time.monotonic() - begin if piece == b"" else 0.0
        except OSError:
            ended = time.monotonic() - begin
        # What has arrived may still be read after the cut.
        if time.monotonic() - begin > LIMIT_S + LATE_S:
            readers[0].settimeout(1)
            try:
                while piece := readers[0].recv(65536):
                    read += len(piece)
            except OSError:
                pass
            ended = time.monotonic() - begin
    assert ended and read < 3_000_000, "the answer never arrived whole"
    for s in readers:
        s.close()


@pytest.mark.slow
def test_slow_trials_do_not_hurt_others(api):
    """Tests of endpoints that do not answer take their time without taking the API's: four of a principal run at once,
    and the rest are told to come again."""
    endpoint, done = Endpoint(), threading.Event()
    endpoint.answers["/hook"] = lambda h, b: (done.wait(60), (204, b""))[1]
    sub = api("POST", "/webhooks/subscriptions", {"url": endpoint.url(), "timeout_ms": LIMIT_S * 1000}).body
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(
        api("POST", f"/webhooks/subscriptions/{sub['id']}/test").status)) for _ in range(12)]
    for t in threads:
        t.start()
    wait_until(lambda: statuses == [429] * 8, "all but four are told to come again")
    begin, waits = time.monotonic(), []
    while len(waits) < 50 and time.monotonic() - begin < LIMIT_S / 3:  # the trials go on for that long
        waits.append(timed(api))
    waits.sort()
    assert len(statuses) == 8, "nobody waited for the endpoint"
    done.set()
    for t in threads:
        t.join()
    endpoint.stop()
    assert waits[len(waits) // 2] < 1 and waits[-1] < LATE_S and sorted(statuses) == [200] * 4 + [429] * 8


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["-H", "-B", "-X"], ids=["slowloris", "slow-body", "slow-read"])
def test_slowhttptest(api, mode):
    assert shutil.which("slowhttptest"), "install it: deploy/install-deps.sh tests"
    attack = subprocess.Popen(
        ["slowhttptest", mode, "-c", "150", "-r", "150", "-i", "1", "-l", "12", "-t",
         "POST" if mode == "-B" else "GET", "-u", f"http://127.0.0.1:{api.port}/webhooks/subscriptions", "-p", "5"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waits = []
    while len(waits) < 30 or (attack.poll() is None and len(waits) < 200):
        waits.append(timed(api))
        time.sleep(0.03)
    attack.kill()
    attack.wait()
    waits.sort()
    print(f"{mode}: {len(waits)} requests, median {waits[len(waits) // 2] * 1000:.1f} ms, "
          f"worst {waits[-1] * 1000:.1f} ms")
    assert waits[len(waits) // 2] < 1 and waits[-1] < LATE_S
