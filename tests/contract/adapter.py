# SPDX-License-Identifier: Apache-2.0
"""adapter.py - runs an adapter by drive_adapter and reads what it reports."""

import collections
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
from typing import Callable

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("POSTRIDER_BUILD", os.path.join(ROOT, "build")))
OUTCOMES = ["delivered", "retry", "rejected", "unavailable", "unroutable"]
CAUSES = ["none", "unreachable", "timeout", "tls", "auth", "destination_blocked", "topic_missing",
          "no_route", "queue_full", "too_large", "invalid_payload", "rejected_4xx", "failed_5xx",
          "redirect", "rate_limited", "gone_410", "blocked_address", "secret_undecryptable",
          "adapter_fault", "unknown"]
MAYBE_DELIVERED = 1


@dataclasses.dataclass(frozen=True)
class Run:
    """What drive_adapter printed: one completion a line, then the totals."""
    completions: list[dict]
    totals: dict
    checks: list[dict] = dataclasses.field(default_factory=list)  # what check_target() said
    explained: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # what explain() said

    @property
    def outcomes(self) -> collections.Counter:
        return collections.Counter(OUTCOMES[c["outcome"]] for c in self.completions)

    @property
    def causes(self) -> collections.Counter:
        return collections.Counter(CAUSES[c["cause"]] for c in self.completions)

    @property
    def only(self) -> dict:
        """The completion, if there was exactly one, with words for outcome and cause."""
        assert len(self.completions) == 1, self.completions
        one = self.completions[0]
        return one | {"outcome": OUTCOMES[one["outcome"]], "cause": CAUSES[one["cause"]]}


def command(kind: str, events: int, seconds: int, body_bytes: int, options: dict) -> list[str]:
    return [os.path.join(BUILD, "tests", "contract", "drive_adapter"),
            os.path.join(BUILD, "adapters", f"postrider-{kind}.so"),
            str(events), str(seconds), str(body_bytes)] + \
        [f"{k}={one}" for k, v in options.items() for one in (v if isinstance(v, list) else [v])]


class Driven:
    """A running drive_adapter."""

    def __init__(self, process: subprocess.Popen, output: str):
        self._process, self._output = process, output

    def completed(self, events: int = 1) -> bool:
        """Whether so many events have ended; more than one is told of with target.step only."""
        with open(self._output, encoding="utf-8") as output:
            return sum('"outcome"' in line for line in output) >= events

    def step(self) -> None:
        """Makes the next event due (target.step)."""
        self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Ends it as if its time were over."""
        self._process.send_signal(signal.SIGTERM)


def _run(words: list[str], env: dict, meanwhile: Callable[[Driven], None] | None) -> tuple[int, str, str]:
    """Status, output and errors."""
    with tempfile.NamedTemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=out, stderr=errors, env=env)
        try:
            if meanwhile is not None:
                meanwhile(Driven(process, out.name))
            process.wait(timeout=180)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        errors.seek(0)
        return process.returncode, out.read(), errors.read()


def drive(kind: str, options: dict, events: int = 1, seconds: int = 0, body_bytes: int = 200,
          env: dict | None = None, descriptors: int = 0, meanwhile: Callable[[Driven], None] | None = None) -> Run:
    """Runs to the end; an adapter that refuses its options raises ValueError with the text.
    `descriptors` is how many files the process may open, 0 as many as it can get; `meanwhile` is called once it
    runs."""
    limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
    status, output, errors = _run(limit + command(kind, events, seconds, body_bytes, options),
                                  os.environ | (env or {}), meanwhile)
    if status != 0:
        raise ValueError(errors.strip())
    lines = [json.loads(line) for line in output.splitlines()]
    run = Run([line for line in lines[:-1] if "outcome" in line], lines[-1],
              [line for line in lines if "check" in line],
              [(line["explain"], line["value"]) for line in lines if "explain" in line])
    assert run.totals["breaches"] == 0
    assert run.totals["open"] == 0, "a ticket was never completed"
    return run
