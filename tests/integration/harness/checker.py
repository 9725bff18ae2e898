# SPDX-License-Identifier: Apache-2.0
"""checker.py - compares what a destination received with what was committed.

Rules, per destination:
  lost        every committed event was received
  phantom     nothing else was received
  corrupted   the payload inside the body is the writer's text, byte for byte
  altered     all copies of one event have the same body
  disordered  per aggregate, first copies come in commit order; a step back is followed by every
              event up to where it stepped back from; the last copy received is of the newest event
  duplicates  counted; the caller says how many its faults allow

A checker that cannot fail proves nothing: test_checker.py feeds it readers that are wrong.
"""

import collections
import dataclasses
import hashlib
import json

_decoder = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclasses.dataclass(frozen=True)
class Receipt:
    """One copy of one event as a destination got it, in the order of receiving."""
    event_id: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def member_text(document: str, name: str) -> str:
    """The text of one top-level member of a JSON object, exactly as it stands there."""
    def skip(i: int) -> int:
        while document[i] in _SPACE:
            i += 1
        return i
    i = skip(0)
    if document[i] != "{":
        raise ValueError("not a JSON object")
    while True:
        key, i = _decoder.raw_decode(document, skip(i + 1))
        i = skip(i)
        start = skip(i + 1)
        _, i = _decoder.raw_decode(document, start)
        if key == name:
            return document[start:i]
        i = skip(i)
        if document[i] == "}":
            raise KeyError(name)


@dataclasses.dataclass
class Report:
    """What was found, and how much of it."""
    name: str
    committed: int = 0
    received: int = 0
    duplicates: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    phantom: list[str] = dataclasses.field(default_factory=list)
    corrupted: list[str] = dataclasses.field(default_factory=list)
    altered: list[str] = dataclasses.field(default_factory=list)
    disordered: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        found = ", ".join(f"{len(getattr(self, rule))} {rule} {getattr(self, rule)[:3]}"
                          for rule in ("lost", "phantom", "corrupted", "altered", "disordered")
                          if getattr(self, rule))
        return (f"{self.name}: {self.committed} committed, {self.received} received, "
                f"{self.duplicates} duplicates" + (f"; {found}" if found else ""))

    def assert_clean(self, max_duplicates: int = 0) -> None:
        """Fails on any broken rule, and on more duplicates than the faults explain."""
        print(self)
        assert self.committed, f"{self.name}: nothing was committed, so nothing is proved"
        broken = self.lost or self.phantom or self.corrupted or self.altered or self.disordered
        assert not broken, str(self)
        assert self.duplicates <= max_duplicates, f"{self} (allowed: {max_duplicates})"


def check(name: str, committed: list, receipts: list[Receipt], ordered: bool = True) -> Report:
    """`committed` is the ground truth of writers.py. Bodies are canonical envelopes."""
    report = Report(name, len(committed), len(receipts))
    truth = {c.event_id: c for c in committed}
    first: dict[str, bytes] = {}
    steps: dict[str, list[int]] = collections.defaultdict(list)
    for r in receipts:
        event = truth.get(r.event_id)
        if event is None:
            report.phantom.append(r.event_id)
            continue
        steps[event.agg].append(event.aseq)
        if r.event_id in first:
            report.duplicates += 1
            if first[r.event_id] != r.body:
                report.altered.append(r.event_id)
            continue
        first[r.event_id] = r.body
        if not _intact(event, r.body):
            report.corrupted.append(r.event_id)
    report.lost = [c.event_id for c in committed if c.event_id not in first]
    if ordered:
        for agg, order in steps.items():
            fault = disorder(order)
            if fault:
                report.disordered.append(f"{agg}: {fault}")
    return report


def _intact(event, body: bytes) -> bool:
    try:
        text = body.decode()
        envelope = json.loads(text)
        return (hashlib.sha256(member_text(text, "payload").encode()).digest() == event.sha
                and envelope["eventId"] == event.event_id
                and envelope["aggregateId"] == event.agg)
    except (ValueError, KeyError, IndexError, TypeError):
        return False


def disorder(order: list[int]) -> str:
    """Why this order of one aggregate's sequences is wrong; empty when it is right."""
    highest, previous = 0, 0
    for aseq in order:
        if aseq > previous + 1:
            return f"{aseq} follows {previous}"
        highest, previous = max(highest, aseq), aseq
    if previous != highest:
        return f"ends with {previous} although {highest} was received"
    return ""
