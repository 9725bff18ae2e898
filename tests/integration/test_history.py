# SPDX-License-Identifier: Apache-2.0
"""The kill loop's checker tells right from wrong: histories made by hand."""

import hashlib

import pytest

from harness.arrivals import Arrival
from harness.checker import Receipt
from harness.history import Fault, judge, replays
from harness.nemesis import stalls
from harness.writers import Committed

PAYLOAD = '{"n": 1.0}'
TRUTH = [Committed(f"e{i}", "a", i, hashlib.sha256(PAYLOAD.encode()).digest()) for i in range(1, 6)]
BODIES = {f"e{i}": f'{{"eventId":"e{i}","aggregateId":"a","payload":{PAYLOAD}}}'.encode() for i in range(9)}


def history(*steps: tuple[int, float]) -> list[Arrival]:
    return [Arrival(Receipt(f"e{n}", BODIES[f"e{n}"]), at) for n, at in steps]


GOOD = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]


def verdict(steps, *faults: Fault, window: int = 2):
    return judge("d", TRUTH, history(*steps), list(faults), window, lease_s=1)


@pytest.mark.parametrize("order, broken, stale", [
    ([1, 2, 3], [], []),
    ([1, 2, 2, 3], [], []),
    ([1, 2, 3, 2, 3, 4], [], []),
    ([1, 2, 3, 1, 2, 1, 2, 3, 4], [], []),
    ([1, 3], [1], []),
    ([2, 1], [0], [1]),
    ([1, 2, 3, 2, 4], [], [3]),
    ([1, 2, 3, 1], [], [3]),
    ([1, 2, 3, 1, 2, 3, 2, 4], [], [6]),
])
def test_steps_back_are_contiguous(order, broken, stale):
    assert replays(order) == (broken, stale)


def test_faultless_history_is_clean():
    assert verdict(GOOD).clean


def test_nothing_committed_proves_nothing():
    assert not judge("d", [], [], [], 2, 1).clean


def test_lost_and_phantom_are_found():
    found = verdict([*GOOD[:4], (8, 6)])
    assert (found.lost, found.phantom, found.clean) == (1, 1, False)


def test_other_bytes_are_found():
    arrivals = history(*GOOD)
    arrivals.append(Arrival(Receipt("e5", BODIES["e5"] + b" "), 5))
    found = judge("d", TRUTH, arrivals, [Fault("kill", 0, 5, lanes={"d": 1})], 2, 1)
    assert found.altered == 1 and not found.clean


def test_duplicate_needs_a_fault_of_a_relay_that_held_the_destination():
    steps = [*GOOD, (5, 6)]
    assert verdict(steps, Fault("kill", 0, 5.5, lanes={"d": 1})).clean
    for fault in ([], [Fault("kill", 0, 5.5, lanes={"other": 1})],  # not its lane
                  [Fault("term", 0, 5.5, lanes={"d": 1})],          # ended in good order
                  [Fault("kill", 0, 6.5, lanes={"d": 1})],          # later
                  [Fault("kill", 0, 60, lanes={"d": 1})]):
        found = verdict(steps, *fault)
        assert found.unattributed == 1 and not found.clean


def test_what_was_settled_long_before_the_fault_is_not_explained():
    steps = [*GOOD[:4], (5, 50), (4, 51), (5, 51)]
    assert verdict(steps, Fault("kill", 0, 50, lanes={"d": 1})).unattributed == 1


def test_a_fault_repeats_at_most_a_window_a_lane():
    steps = [*GOOD, (3, 6), (4, 6), (5, 6)]
    found = verdict(steps, Fault("kill", 0, 5.5, lanes={"d": 1}))
    assert found.per_fault == 3 and not found.clean
    assert verdict(steps, Fault("kill", 0, 5.5, lanes={"d": 2})).clean


def test_stale_copy_needs_a_process_that_was_stopped():
    steps = [*GOOD[:4], (3, 4.5), (5, 5)]
    woken = verdict(steps, Fault("stop", 0, 3.5, 4.4, lanes={"d": 1}))
    assert (woken.stale, woken.reordered, woken.clean) == (1, 0, True)
    killed = verdict(steps, Fault("kill", 0, 3.5, lanes={"d": 1}))
    assert (killed.stale, killed.reordered, killed.clean) == (0, 1, False)


class Fenced:
    """A relay that found at second 6 that another process has its lane."""

    def events(self, *names: str) -> list[dict]:
        return [{"event": "lane.fenced", "component": "d/0", "ts": "1970-01-01T00:00:06Z"}] if "lane.fenced" in names else []


def test_a_relay_that_the_machine_kept_from_running_is_a_fault():
    steps = [*GOOD, (5, 5.9)]
    assert verdict(steps).unattributed == 1
    assert verdict(steps, *stalls([Fenced()], [], 1)).clean
    # That of a stop which was asked for is explained already, and allows no second window.
    assert stalls([Fenced()], [Fault("stop", 0, 3, 5, lanes={"d": 1})], 1) == []
    assert len(stalls([Fenced()], [Fault("stop", 1, 3, 5, lanes={"d": 1})], 1)) == 1


def test_first_copies_out_of_order_have_no_excuse():
    found = verdict([(1, 1), (3, 3), (2, 3.1), (4, 4), (5, 5)], Fault("stop", 0, 2, 3, lanes={"d": 1}))
    assert found.reordered >= 1 and not found.clean
