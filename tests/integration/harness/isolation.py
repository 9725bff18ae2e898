# SPDX-License-Identifier: Apache-2.0
"""isolation.py - how long events take to a healthy destination, alone and beside ill ones.

The healthy one is a named pipe: its reader sees each line at once. Events carry the time at which
their commit was sent. Writers and the ill endpoints are processes of their own, so that the reader's
clock waits for nobody.
"""

import dataclasses
import http.server
import json
import multiprocessing
import os
import select
import socket
import threading
import time

import psycopg2

from . import ports
from .receiver import new_secret
from .relay import Relay, stdout_file
from .wait import wait_until

_fork = multiprocessing.get_context("fork")


@dataclasses.dataclass
class Latency:
    """Seconds from sending the commit to the arrival."""
    times: list[float]

    def at(self, share: float) -> float:
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def __str__(self) -> str:
        return (f"n {len(self.times)}, p50 {self.at(.5) * 1000:.1f} ms, p99 {self.at(.99) * 1000:.1f} ms, "
                f"max {self.at(1) * 1000:.1f} ms")


def _write(dsn: str, rate: float, seconds: float) -> None:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    start = time.time()
    for n in range(int(rate * seconds)):
        wait = start + n / rate - time.time()
        if wait > 0:
            time.sleep(wait)
        cursor.execute("SELECT outbox.publish('tick', %s, %s::json)",
                       (f"key-{n % 200}", json.dumps({"at": time.time(), "fill": "x" * 200})))


def _black_hole(port: int) -> None:
    """Accepts and never reads."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as server:
        kept = []
        while True:
            kept.append(server.accept())


def _slow(port: int, delay: float) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):  # pylint: disable=invalid-name
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def _listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 5).close()
    return True


class _Pipe:
    """Reads the healthy destination's lines with their time."""

    def __init__(self, path: str):
        os.mkfifo(path)
        # Both ends: the relay's open then never waits, and its end is not the file's end.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.times: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while not self._end.is_set():
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            data = os.read(self._fd, 1 << 20)
            now = time.time()
            *lines, rest = (rest + data).split(b"\n")
            self.times += [now - json.loads(line)["payload"]["at"] for line in lines]

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        os.close(self._fd)


def _endpoint(name: str, port: int) -> dict:
    return {"name": name, "adapter": "webhook", "options": {
        "url": f"http://127.0.0.1:{port}/hook", "secret": new_secret(), "allow_http": True,
        "allow_cidrs": "127.0.0.0/8"}}


def run(binary: str, folder: str, db, ill: bool, seconds: float, rate: float) -> Latency:
    """One phase, with a relay of its own: the healthy destination beside two others, which take
    everything at once or, with `ill`, are a black hole and an endpoint of 50 ms a request."""
    pipe = _Pipe(os.path.join(folder, "healthy.pipe"))
    dead_port, slow_port = ports.take(), ports.take()
    helpers = [_fork.Process(target=_write, args=(db.dsn, rate / 2, seconds), daemon=True)
               for _ in range(2)]
    destinations = [stdout_file("healthy", os.path.join(folder, "healthy.pipe"))]
    if ill:
        helpers += [_fork.Process(target=_black_hole, args=(dead_port,), daemon=True),
                    _fork.Process(target=_slow, args=(slow_port, 0.05), daemon=True)]
        destinations += [_endpoint("dead", dead_port), _endpoint("slow", slow_port)]
    else:
        destinations += [{"name": name, "adapter": "null"} for name in ("dead", "slow")]
    try:
        with Relay(binary, folder, db.dsn, destinations) as relay:
            for h in helpers[2:]:
                h.start()
            if ill:
                wait_until(lambda: all(_listens(port) for port in (dead_port, slow_port)), "the ill ones listen")
            for h in helpers[:2]:
                h.start()
            for h in helpers[:2]:
                h.join()
            wait_until(lambda: len(pipe.times) >= int(rate / 2 * seconds) * 2, "all have arrived")
            wait_until(relay.ready, "an ill destination is not the relay's readiness")
            if ill:
                wait_until(lambda: relay.metric("postrider_delivered_total", lane="slow") > 5 * seconds,
                           "the slow one takes some")
                assert relay.metric("postrider_delivered_total", lane="dead") == 0
    finally:
        for h in helpers:
            if h.pid is not None:
                h.kill()
                h.join()
        pipe.close()
        for port in (dead_port, slow_port):
            ports.release(port)
    return Latency(pipe.times[int(rate):])  # without the first second
