# SPDX-License-Identifier: Apache-2.0
"""nemesis.py - the kill loop: relays under load are killed, stopped and ended, one every few seconds.

The seed decides who, what and when; it repeats the schedule, not the interleaving.
"""

import contextlib
import dataclasses
import datetime
import random
import signal
import time

from . import arrivals, history
from .fleet import Fleet, claims_of, lanes_of
from .sinks import wait_settled
from .wait import let_run
from .writers import Mix, Writers, committed

MIX = Mix(hold=(0.0, 0.1), aggregates=300, size=(50, 1000))
KINDS = (("kill", 5), ("stop", 3), ("term", 2))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run is to be like."""
    seconds: float
    relays: int = 3
    seed: int = 1
    lease_s: float = 2.0
    window: int = 256               # max_in_flight of every destination
    every: tuple[float, float] = (0.5, 3.0)  # seconds from one fault's end to the next
    writers: int = 12
    mix: Mix = MIX
    partitions: int = 2             # of the first destination; the others have one
    kinds: tuple[tuple[str, int], ...] = KINDS


@dataclasses.dataclass
class Result:
    """What came of it."""
    plan: Plan
    verdicts: list[history.Verdict]
    faults: list[history.Fault]

    @property
    def clean(self) -> bool:
        return all(v.clean for v in self.verdicts)

    def __str__(self) -> str:
        kinds = ", ".join(f"{sum(f.kind == k for f in self.faults)} {k}" for k, _ in self.plan.kinds)
        return (f"seed {self.plan.seed}, {self.plan.seconds:.0f} s, {self.plan.relays} relays, "
                f"lease {self.plan.lease_s:g} s, window {self.plan.window}, faults: {kinds}\n"
                + history.table(self.verdicts))


def _and_since(fault: history.Fault, relay) -> None:
    """It may have claimed a lane between the look at the database and the signal."""
    for name, n in claims_of(relay).items():
        fault.lanes[name] = max(n, fault.lanes.get(name, 0))


def stalls(fleet, faults: list[history.Fault], lease_s: float) -> list[history.Fault]:
    """What nobody did: a process that the machine kept from running until another one had its lane."""
    found = []
    for i, relay in enumerate(fleet):
        for record in relay.events("lane.fenced"):
            at = datetime.datetime.fromisoformat(record["ts"].replace("Z", "+00:00")).timestamp()
            name = record["component"].split("/")[0]
            if not any(f.kind == "stop" and f.relay == i and name in f.lanes
                       and f.at <= at <= f.end + 2 * lease_s + 1 for f in faults):
                found.append(history.Fault("stop", i, at - lease_s - history.UNSETTLED_S, at, {name: 1}))
    return found


def one_fault(db, fleet: Fleet, rng: random.Random, plan: Plan) -> history.Fault:
    """Does something to one relay and brings it back."""
    i = rng.randrange(len(fleet))
    kind = rng.choices([k for k, _ in plan.kinds], [w for _, w in plan.kinds])[0]
    relay = fleet[i]
    fault = history.Fault(kind, i, 0, lanes=lanes_of(db, relay))
    fault.at = time.time()
    if kind == "kill":
        relay.kill9()
        _and_since(fault, relay)
        let_run(rng.uniform(0, plan.lease_s + 1))
    elif kind == "stop":
        relay.signal(signal.SIGSTOP)
        _and_since(fault, relay)
        let_run(plan.lease_s + rng.uniform(0.2, 2))
        # What it gets back by now is its own again, and it may be holding lanes since the look above.
        fault.end = time.time()
        relay.signal(signal.SIGCONT)
        return fault
    else:
        status = relay.term()
        assert status == 0, f"SIGTERM: exit status {status}\n{relay.tail()}"
    relay.start(wait=False)
    return fault


def run(binary: str, db, folder, sinks: list, plan: Plan, progress=None) -> Result:
    """Runs the plan; the database has the schema and the tables of writers.py."""
    rng = random.Random(plan.seed)
    faults: list[history.Fault] = []
    with contextlib.ExitStack() as recording:
        recorders = [recording.enter_context(arrivals.recorder(s)) for s in sinks]
        retry = {"initial": "50ms", "max": "1s"}
        destinations = [s.config(max_in_flight=plan.window, retry=retry,
                                 **({"partitions": plan.partitions} if s is sinks[0] else {}))
                        for s in sinks]
        with Fleet(binary, folder, db.dsn, destinations, plan.relays,
                   source={"lease": f"{int(plan.lease_s * 1000)}ms"}) as fleet:
            with Writers(db, plan.writers, plan.mix, plan.seed) as writers:
                end = time.monotonic() + plan.seconds
                while time.monotonic() < end:
                    let_run(rng.uniform(*plan.every))
                    faults.append(one_fault(db, fleet, rng, plan))
                    assert not writers.failures, writers.failures
                    if progress:
                        progress(faults[-1], writers.transactions)
            with contextlib.suppress(AssertionError):  # the checker says it better
                wait_settled(db, sinks)
            let_run(1)
            for relay in fleet:
                assert relay.running(), f"a relay ended by itself\n{relay.tail()}"
            faults += stalls(fleet, faults, plan.lease_s)
    truth = committed(db)
    kills = sum(f.kind == "kill" for f in faults)
    return Result(plan, [history.judge(s.name, truth, r.arrivals(torn=kills), faults, plan.window,
                                       plan.lease_s) for s, r in zip(sinks, recorders)], faults)
