# SPDX-License-Identifier: Apache-2.0
"""reloads.py - SIGHUP after SIGHUP under load: good files and bad ones by turns.

Good files change limits and routes of the destinations that stay, and add or remove one that keeps
its cursor meanwhile. Bad ones have an unknown key, an adapter that does not exist, a route to
nowhere, or are no YAML.
"""

import copy
import random

import yaml

from .relay import Relay
from .sinks import wait_settled
from .takeover import STEADY
from .wait import wait_until
from .writers import Writers


def _bad(rng: random.Random, config: dict) -> str:
    """The text of a file that must be refused."""
    broken = copy.deepcopy(config)
    kind = rng.randrange(4)
    if kind == 0:
        broken["destinations"][0]["max_in_flihgt"] = 5
    elif kind == 1:
        broken["destinations"].append({"name": "missing", "adapter": "no-such-adapter"})
        broken["routes"][0]["to"].append("missing")
    elif kind == 2:
        broken["routes"][0]["to"].append("nowhere")
    else:
        return "destinations: [\n"
    return yaml.safe_dump(broken)


def _good(rng: random.Random, relay: Relay, all_destinations: list[dict], with_spare: bool) -> None:
    """Changes the configuration of the relay."""
    destinations = copy.deepcopy(all_destinations if with_spare else all_destinations[:-1])
    changed = rng.choice(destinations)
    changed["max_in_flight"] = rng.randint(50, 500)
    relay.config["destinations"] = destinations
    names = [d["name"] for d in destinations]
    routes = [{"match": {"type": [rng.choice(["*", "order.*", "order.changed"])]}, "to": names}]
    if rng.random() < 0.5:
        # A second rule for the same events, and one for none, change the router but not the result.
        routes += [{"match": {"type": ["order.*"]}, "to": [rng.choice(names)]},
                   {"match": {"type": ["nothing.*"]}, "to": names}]
    relay.config["routes"] = routes


def run(db, relay: Relay, sinks: list, rounds: int, seed: int = 1, progress=None) -> dict[str, int]:
    """`relay` runs with all sinks, each good file with or without the last one. Returns what was
    reloaded, refused, added and removed; the caller checks what arrived."""
    rng = random.Random(seed)
    everything = copy.deepcopy(relay.config["destinations"])
    generation = relay.metric("postrider_config_generation")
    counts = {"reloaded": 0, "refused": 0, "added": 0, "removed": 0}
    spare, pid = True, relay.pid
    with Writers(db, 4, STEADY, seed) as writers:
        for n in range(rounds):
            bad = n % 2 == 1
            seen = sinks[0].count()
            if bad:
                relay.write_config(_bad(rng, relay.config))
                counts["refused"] += 1
            else:
                wanted = rng.random() < 0.5
                counts["added"] += wanted and not spare
                counts["removed"] += spare and not wanted
                spare = wanted
                _good(rng, relay, everything, spare)
                relay.write_config()
                counts["reloaded"] += 1
                generation += 1
            relay.hup()
            wait_until(lambda ok=not bad: relay.metric("postrider_config_last_reload_successful") == ok
                       and relay.metric("postrider_config_generation") == generation,
                       f"reload {n} is {'refused' if bad else 'done'} (generation {generation:g})")
            wait_until(lambda before=seen: sinks[0].count() > before, "events arrive")
            assert relay.running() and relay.pid == pid and not writers.failures
            if progress and (n + 1) % 50 == 0:
                progress(n + 1)
    relay.config["destinations"], relay.config["routes"] = everything, [
        {"match": {"type": ["*"]}, "to": [d["name"] for d in everything]}]
    relay.write_config()
    relay.hup()
    wait_until(lambda: relay.metric("postrider_config_generation") == generation + 1, "the last one")
    wait_settled(db, sinks)
    return counts
