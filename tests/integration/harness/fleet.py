# SPDX-License-Identifier: Apache-2.0
"""fleet.py - several relays that share the lanes of one database.

Each has a folder, a log and an ops port of its own and the same destinations. A relay that was
stopped by SIGSTOP is continued before it is killed at the end.
"""

import collections
import os
import signal

from .relay import Relay
from .wait import wait_until


class Fleet:
    """Use as a context manager: all start, and are killed at the end."""

    def __init__(self, binary: str, folder, dsn: str, destinations: list[dict], size: int = 3,
                 **settings):
        self.relays = []
        for i in range(size):
            own = os.path.join(str(folder), f"relay-{i}")
            os.makedirs(own, exist_ok=True)
            self.relays.append(Relay(binary, own, dsn, destinations, **settings))

    def __enter__(self) -> "Fleet":
        for relay in self.relays:
            relay.start(wait=False)
        wait_until(lambda: all(r.ready() for r in self.relays), "all relays are ready")
        return self

    def __exit__(self, *exc) -> None:
        for relay in self.relays:
            if relay.running():
                relay.signal(signal.SIGCONT)
            relay.__exit__(*exc)

    def __iter__(self):
        return iter(self.relays)

    def __getitem__(self, i: int) -> Relay:
        return self.relays[i]

    def __len__(self) -> int:
        return len(self.relays)


def lanes_of(db, relay: Relay) -> dict[str, int]:
    """How many lanes of each destination a running relay holds now."""
    rows = db.run("SELECT destination, count(*) FROM outbox.lane"
                  " WHERE owner ~ %s AND lease_until > clock_timestamp() GROUP BY 1",
                  f"(^|[^0-9]){relay.pid}([^0-9]|$)")
    return {name: int(n) for name, n in rows}


def claims_of(relay: Relay) -> dict[str, int]:
    """As lanes_of(), by the log of the process that runs or ran last: also right a moment after its end."""
    held: set[str] = set()
    for record in relay.events("lane.claimed", "lane.yield", "lane.fenced", "lane.paused"):
        if record["pid"] == relay.pid:
            (held.add if record["event"] == "lane.claimed" else held.discard)(record["component"])
    return dict(collections.Counter(name.split("/")[0] for name in held))


def owners(db) -> list[tuple[str, int]]:
    """Valid leases as (owner, lanes)."""
    return db.run("SELECT owner, count(*) FROM outbox.lane"
                  " WHERE lease_until > clock_timestamp() GROUP BY 1 ORDER BY 1")


def wait_shared(db, relays: int, lanes: int, timeout: float = 60) -> None:
    """Waits until `lanes` lanes are leased, as evenly as can be, to `relays` processes."""
    def even() -> bool:
        counts = [n for _, n in owners(db)]
        return (len(counts) == min(relays, lanes) and sum(counts) == lanes
                and max(counts) - min(counts) <= 1)
    wait_until(even, f"{lanes} lanes are shared by {relays} relays", timeout)
