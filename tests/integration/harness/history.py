# SPDX-License-Identifier: Apache-2.0
"""history.py - checks what arrived against what was committed and what was done to the relays.

Beyond checker.py it knows times and faults. Per destination:
  lost, phantom, altered   as there; altered also covers a body that is not the writer's
  reordered       the first copies of an aggregate's events are out of order, or it steps back and
                  does not come forward again one by one, and no stopped process explains that
  stale           single copies that a process sent when it went on after a SIGSTOP longer than its
                  lease: what it had handed to the kernel or a library can be recalled by nobody
  unattributed    a second copy that no fault of a relay which held the destination explains
  per fault       duplicates of the worst fault; at most max_in_flight a lane it held
"""

import collections
import dataclasses

from .arrivals import Arrival
from .checker import Receipt, check

# What a relay had sent when it met its fault was sent this long before it, at most: a busy machine
# included. How much that can be is another limit, the window.
UNSETTLED_S = 10.0
# Until somebody has the lane, beyond the lease.
TAKEOVER_S = 10.0


@dataclasses.dataclass
class Fault:
    """What was done to a relay: kill, stop or term."""
    kind: str
    relay: int
    at: float                 # time.time()
    end: float = 0.0          # when a stopped one went on
    lanes: dict[str, int] = dataclasses.field(default_factory=dict)  # that it held, by destination

    def explains(self, destination: str, first: float, again: float, grace: float) -> bool:
        """Whether a copy at `again` of an event first seen at `first` can follow from it."""
        return (self.kind != "term" and destination in self.lanes
                and self.at <= again <= max(self.at, self.end) + grace
                and first >= self.at - UNSETTLED_S)


@dataclasses.dataclass
class Verdict:
    """One row of the table."""
    name: str
    committed: int = 0
    arrived: int = 0
    lost: int = 0
    phantom: int = 0
    reordered: int = 0
    altered: int = 0
    duplicates: int = 0
    unattributed: int = 0
    stale: int = 0
    per_fault: int = 0
    allowed: int = 0          # of the fault that came closest to its limit
    examples: list[str] = dataclasses.field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.committed > 0 and not (
            self.lost or self.phantom or self.reordered or self.altered or self.unattributed
            or self.per_fault > self.allowed)


COLUMNS = ("committed", "arrived", "lost", "phantom", "reordered", "altered", "duplicates",
           "unattributed", "stale", "per_fault")


def table(verdicts: list[Verdict]) -> str:
    """The rows, and what is wrong with them."""
    head = ["destination", *COLUMNS, "verdict"]
    rows = [[v.name, *(str(getattr(v, c)) for c in COLUMNS), "clean" if v.clean else "BROKEN"]
            for v in verdicts]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.rjust(w) if i else cell.ljust(w)
                       for i, (cell, w) in enumerate(zip(r, widths))) for r in [head, *rows]]
    return "\n".join(lines + [f"  {v.name}: {e}" for v in verdicts for e in v.examples[:5]])


def untimed(receipts: list[Receipt]) -> list[Arrival]:
    """For runs without faults, where times do not matter."""
    return [Arrival(r, 0.0) for r in receipts]


def judge(name: str, committed: list, arrivals: list[Arrival], faults: list[Fault], window: int,
          lease_s: float) -> Verdict:
    """`window` is the destination's max_in_flight."""
    report = check(name, committed, [a.receipt for a in arrivals], ordered=False)
    verdict = Verdict(name, len(committed), len(arrivals), len(report.lost), len(report.phantom),
                      altered=len(report.corrupted) + len(report.altered),
                      duplicates=report.duplicates)
    for rule in ("lost", "phantom", "corrupted", "altered"):
        verdict.examples += [f"{rule} {e}" for e in getattr(report, rule)[:2]]
    grace = 2 * lease_s + TAKEOVER_S
    _attribute(verdict, arrivals, faults, window, grace)
    truth = {c.event_id: c for c in committed}
    steps = collections.defaultdict(list)
    for a in arrivals:
        if a.receipt.event_id in truth:
            event = truth[a.receipt.event_id]
            steps[event.agg].append((event.aseq, a.at))
    for agg, order in steps.items():
        _order(verdict, agg, order, faults, grace)
    return verdict


def _attribute(verdict: Verdict, arrivals: list[Arrival], faults: list[Fault], window: int,
               grace: float) -> None:
    first: dict[str, float] = {}
    counts: collections.Counter = collections.Counter()
    times = collections.defaultdict(list)
    for a in arrivals:
        seen = first.get(a.receipt.event_id)
        if seen is None:
            first[a.receipt.event_id] = a.at
            continue
        causes = [i for i, f in enumerate(faults) if f.explains(verdict.name, seen, a.at, grace)]
        if causes:
            counts[causes[-1]] += 1
            times[causes[-1]].append(a.at)
        else:
            verdict.unattributed += 1
            verdict.examples.append(f"unattributed {a.receipt.event_id}: {seen:.3f}, {a.at:.3f}")
    verdict.allowed = window
    for i, n in counts.items():
        allowed = window * faults[i].lanes[verdict.name]
        if verdict.per_fault - verdict.allowed < n - allowed or n > verdict.per_fault:
            verdict.per_fault, verdict.allowed = n, allowed
        if n > allowed:
            verdict.examples.append(f"{n} duplicates, not {allowed}: {_story(faults, i, times[i])}")


def _story(faults: list[Fault], i: int, times: list[float]) -> str:
    """When the duplicates of a fault came, and what was done before it; seconds from the fault on."""
    zero = faults[i].at
    when = collections.Counter(round(t - zero, 1) for t in times)
    before = [f"{f.kind} {f.relay} {f.lanes} at {f.at - zero:.1f} to {max(f.at, f.end) - zero:.1f}"
              for f in faults[max(0, i - 2):i + 2]]
    return f"{dict(sorted(when.items()))}; faults: {'; '.join(before)}"


def replays(order: list[int]) -> tuple[list[int], list[int]]:
    """Positions in one aggregate's sequences: (those that break the order, copies of old events
    after which it went on as if they had not been)."""
    broken, stale, run = [], [], []
    highest = previous = 0
    for i, aseq in enumerate(order):
        if aseq > highest + 1:
            broken.append(i)
        elif aseq > previous + 1:
            stale += run
            run = []
        elif aseq <= previous:
            run = [i]
        else:
            run.append(i)
        if aseq >= highest:
            run, highest = [], aseq
        previous = aseq
    return broken, stale + (run if previous != highest else [])


def _order(verdict: Verdict, agg: str, order: list[tuple[int, float]], faults: list[Fault],
           grace: float) -> None:
    broken, stale = replays([aseq for aseq, _ in order])
    for i in stale:
        at = order[i][1]
        if any(f.kind == "stop" and verdict.name in f.lanes and f.at <= at <= f.end + grace
               for f in faults):
            verdict.stale += 1
        else:
            broken.append(i)
    verdict.reordered += len(broken)
    verdict.examples += [f"reordered {agg}: {[a for a, _ in order[max(0, i - 4):i + 3]]}"
                         for i in broken[:2]]
