# SPDX-License-Identifier: Apache-2.0
"""adapter.py - runs an adapter by drive_adapter and reads what it reports."""

import collections
import dataclasses
import json
import os
import subprocess

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


def drive(kind: str, options: dict, events: int = 1, seconds: int = 0, body_bytes: int = 200,
          env: dict | None = None, descriptors: int = 0) -> Run:
    """Runs to the end; an adapter that refuses its options raises ValueError with the text.
    `descriptors` is how many files the process may open, 0 as many as it can get."""
    limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
    done = subprocess.run(limit + command(kind, events, seconds, body_bytes, options), timeout=180,
                          capture_output=True, text=True, env=os.environ | (env or {}), check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    run = Run([line for line in lines[:-1] if "outcome" in line], lines[-1],
              [line for line in lines if "check" in line],
              [(line["explain"], line["value"]) for line in lines if "explain" in line])
    assert run.totals["breaches"] == 0
    assert run.totals["open"] == 0, "a ticket was never completed"
    return run
