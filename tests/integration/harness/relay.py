# SPDX-License-Identifier: Apache-2.0
"""relay.py - one `postrider run` process under test: its file, its logs, its signals, its metrics."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from typing import Any

import yaml

from . import ports
from .wait import Hopeless, wait_until


def stdout_file(name: str, path: str, **extra) -> dict:
    """A destination that appends one JSON line an event to a file."""
    return {"name": name, "adapter": "stdout", "options": {"path": path}, **extra}


def webhook(name: str, receiver, **extra) -> dict:
    """A destination that posts to one fixed URL of a harness.receiver.Receiver."""
    options = {"url": receiver.url, "secret": receiver.secret, "allow_http": True,
               "allow_cidrs": "127.0.0.0/8", **extra.pop("options", {})}
    return {"name": name, "adapter": "webhook", "options": options, **extra}


def rabbitmq(name: str, broker, queue: str, **extra) -> dict:
    """A destination that publishes to one durable queue through the default exchange."""
    options = {"url": broker.url, "exchange": "", "routing_key": queue, **extra.pop("options", {})}
    return {"name": name, "adapter": "rabbitmq", "options": options, **extra}


def kafka(name: str, broker, topic: str, **extra) -> dict:
    """A destination that produces to one topic, keyed by the aggregate."""
    options = {"bootstrap.servers": broker.bootstrap, "topic": topic, **extra.pop("options", {})}
    return {"name": name, "adapter": "kafka", "options": options, **extra}


class _Plain(yaml.SafeDumper):
    """Writes an object that occurs twice twice: the relay refuses anchors."""

    def ignore_aliases(self, data) -> bool:
        return True


class Relay:
    """Use as a context manager: it is killed at the end if it still runs.

    `destinations` are dicts as in the configuration file; without `routes` every event goes to
    every destination. `settings` are merged over the top level of the file.
    """

    def __init__(self, binary: str, folder: str, dsn: str, destinations: list[dict],
                 routes: list[dict] | None = None, **settings: Any):
        self.binary, self.folder = binary, str(folder)
        self.config_path = os.path.join(self.folder, "postrider.yaml")
        self.log_path = os.path.join(self.folder, "postrider.log")
        self.stdout_path = os.path.join(self.folder, "postrider.out")
        self.ops_port = ports.take()
        self.process: subprocess.Popen | None = None
        self.config = {
            "source": {"dsn": dsn, "lease": "2s", "poll_max": "100ms"},
            "destinations": [{"start_from": "beginning", **d} for d in destinations],
            "routes": routes or [{"match": {"type": ["*"]}, "to": [d["name"] for d in destinations]}],
            "ops": {"listen": f"127.0.0.1:{self.ops_port}"},
            "log": {"format": "json", "level": "info"},
        }
        for name, value in settings.items():
            if isinstance(value, dict):
                self.config.setdefault(name, {}).update(value)
            else:
                self.config[name] = value
        self.write_config()

    def write_config(self, text: str | None = None) -> None:
        """Writes `config`, or `text` as it is, where the relay reads it."""
        # At once, as it should be done: a relay may be reading.
        new = self.config_path + ".new"
        with open(new, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text if text is not None else yaml.dump(self.config, Dumper=_Plain, sort_keys=False))
        os.replace(new, self.config_path)

    # Process -------------------------------------------------------------------------------------

    def start(self, wait: bool = True, env: dict[str, str] | None = None) -> "Relay":
        with open(self.log_path, "ab") as log, open(self.stdout_path, "ab") as out:
            self.process = subprocess.Popen(
                [self.binary, "run", "-c", self.config_path], stdin=subprocess.DEVNULL,
                stdout=out, stderr=log, cwd=self.folder, env={**os.environ, **(env or {})})
        if wait:
            wait_until(self._is_up, "the relay is ready", timeout=90)
        return self

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise Hopeless(f"the relay ended with {self.process.returncode}: {self.log()[-1500:]}")
        return self.ready()

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill9(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=60)

    def hup(self) -> None:
        self.signal(signal.SIGHUP)

    def term(self, timeout: float = 60) -> int:
        """Asks it to drain and end; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout)

    def wait_exit(self, timeout: float = 60) -> int:
        return self.process.wait(timeout=timeout)

    def __enter__(self) -> "Relay":
        return self if self.running() else self.start()

    def __exit__(self, *_exc) -> None:
        if self.running():
            self.kill9()
        ports.release(self.ops_port)

    # What it says --------------------------------------------------------------------------------

    def log(self) -> str:
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self, size: int = 6000) -> str:
        """The end of the log; empty before the first start."""
        return self.log()[-size:] if os.path.exists(self.log_path) else ""

    def log_records(self) -> list[dict]:
        """The JSON lines of the log; a line that is none fails the test."""
        return [json.loads(line) for line in self.log().splitlines() if line]

    def events(self, *names: str) -> list[dict]:
        """The log's records of these events; a line that a kill has torn is none."""
        found = []
        for line in self.log().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record["event"] in names:
                found.append(record)
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an ops route. Raises OSError when nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=30) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def metrics(self) -> str:
        status, text = self.get("/metrics")
        assert status == 200
        return text

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of `name` that carry `labels`."""
        total, found = 0.0, False
        for line in self.metrics().splitlines():
            m = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)(?: \d+)?", line)
            if not m:
                continue
            have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m.group(1) or ""))
            if all(have.get(k) == v for k, v in labels.items()):
                total, found = total + float(m.group(2)), True
        if not found:
            raise KeyError(f"{name}{labels} is not among the metrics")
        return total


def run(binary: str, *args: str, stdin: str | None = None, env: dict[str, str] | None = None,
        timeout: float = 120) -> subprocess.CompletedProcess:
    """One command of postrider, output captured."""
    return subprocess.run([binary, *args], input=stdin, text=True, capture_output=True,
                          timeout=timeout, check=False, env={**os.environ, **(env or {})})
