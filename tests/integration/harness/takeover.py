# SPDX-License-Identifier: Apache-2.0
"""takeover.py - how long a lane is without a process that carries it.

Two relays carry one destination by turns. Each writes to a file of its own, so that it is known
who delivered what.
"""

import contextlib
import json
import signal
import time

from . import arrivals, history
from .fleet import Fleet, owners, wait_shared
from .relay import Relay, stdout_file
from .sinks import FileSink, wait_settled
from .wait import let_run, wait_until
from .writers import Mix, Writers, committed

STEADY = Mix(hold=(0, 0), events=(1, 3), aggregates=200, size=(50, 500), pause=0.02, rollback=0,
             savepoint=0, prepared=0)


class Pair:
    """Two relays, one lane. Use as a context manager."""

    def __init__(self, binary: str, folder, db, lease_s: float):
        self.db, self.lease_s = db, lease_s
        self.files = [FileSink("lane", f"{folder}/by-{i}.jsonl") for i in (0, 1)]
        self.fleet = Fleet(binary, folder, db.dsn, [self.files[0].config()], 2,
                           source={"lease": f"{int(lease_s * 1000)}ms"})
        self.fleet[1].config["destinations"] = [
            stdout_file("lane", self.files[1].path, start_from="beginning")]
        self.fleet[1].write_config()
        self._n = 0

    def __enter__(self) -> "Pair":
        self.fleet.__enter__()
        return self

    def __exit__(self, *exc) -> None:
        self.fleet.__exit__(*exc)

    def _both_are_here(self) -> bool:
        seen = self.db.value("SELECT count(*) FROM outbox.relay"
                             " WHERE seen_at > clock_timestamp() - interval '1 second'")
        return seen >= 2 and all(r.ready() for r in self.fleet)

    def _publish(self) -> None:
        self._n += 1
        self.db.run("SELECT outbox.publish('takeover', 'key-' || (%s %% 10), '{\"n\": %s}')",
                    self._n, self._n)

    def _last(self, i: int) -> int:
        try:
            with open(self.files[i].path, "rb") as f:
                lines = f.read().split(b"\n")
        except FileNotFoundError:
            return 0
        return json.loads(lines[-2])["payload"]["n"] if len(lines) > 1 else 0

    def round(self, number: signal.Signals) -> float:
        """Sends the signal to the carrier; returns the seconds until the other one has delivered
        an event that was written after it. Brings the first one back."""
        wait_until(self._both_are_here, "both relays run")
        self._publish()
        victim = wait_until(lambda: [i for i in (0, 1) if self._last(i) == self._n], "the carrier delivers")[0]
        before = self._n
        start = time.monotonic()
        self.fleet[victim].signal(number)
        while self._last(1 - victim) <= before:
            assert time.monotonic() - start < self.lease_s + 30, self.fleet[1 - victim].tail()
            self._publish()
        taken = time.monotonic() - start
        self.fleet[victim].wait_exit()
        self.fleet[victim].start(wait=False)
        return taken


def measure(binary: str, folder, db, lease_s: float, kills: int, terms: int, progress=None
            ) -> dict[str, list[float]]:
    """Seconds of each takeover, by signal; the lane never loses an event."""
    times: dict[str, list[float]] = {"SIGKILL": [], "SIGTERM": []}
    with Pair(binary, folder, db, lease_s) as pair:
        for name in ["SIGKILL"] * kills + ["SIGTERM"] * terms:
            times[name].append(pair.round(signal.Signals[name]))
            if progress:
                progress(name, times[name][-1])
        wait_settled(db, pair.files[:1])
        for relay in pair.fleet:  # leave no lease behind
            assert relay.term() == 0
    return times


def rolling_restart(binary: str, folder, db, sinks: list, lease_s: float = 5, rounds: int = 1
                    ) -> tuple[list[history.Verdict], dict[str, float]]:
    """Restarts each of three relays in turn under load. Returns the verdicts and, by destination,
    the longest time without an arrival."""
    with contextlib.ExitStack() as recording:
        recorders = [recording.enter_context(arrivals.recorder(s)) for s in sinks]
        with Fleet(binary, folder, db.dsn, [s.config() for s in sinks], 3,
                   source={"lease": f"{lease_s:g}s"}) as fleet:
            wait_shared(db, 3, len(sinks))
            with Writers(db, 4, STEADY):
                wait_until(lambda: sinks[0].count() > 50, "events arrive")
                begin = time.time()
                for relay in list(fleet) * rounds:
                    restart(db, relay, len(fleet))
                end = time.time()
            wait_settled(db, sinks)
            let_run(0.5)
    verdicts, gaps = [], {}
    for sink, recorder in zip(sinks, recorders):
        arrived = recorder.arrivals()
        times = [begin, *sorted(a.at for a in arrived if begin <= a.at <= end), end]
        gaps[sink.name] = max(b - a for a, b in zip(times, times[1:]))
        verdicts.append(history.judge(sink.name, committed(db), arrived, [], 0, lease_s))
    return verdicts, gaps


def restart(db, relay: Relay, of: int, away: float = 1.0) -> None:
    """Ends a relay in good order, starts it `away` seconds later, and waits until it has its share
    again."""
    assert relay.term() == 0
    let_run(away)
    relay.start()
    wait_until(lambda: len(owners(db)) == of, "it has its share again")


def summary(times: list[float]) -> str:
    """Smallest, middle, 99th percentile and largest."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (f"n {len(ordered)}, min {ordered[0]:.3f} s, median {ordered[len(ordered) // 2]:.3f} s, "
            f"p99 {p99:.3f} s, max {ordered[-1]:.3f} s")
