# SPDX-License-Identifier: Apache-2.0
"""The checker finds what it is there to find: it is run against readers known to be wrong."""

import hashlib

import pytest

from harness.checker import Receipt, check, disorder, member_text
from harness.pollers import SequencePoller, WindowPoller
from harness.wait import wait_until
from harness.writers import Committed, Mix, Writers, committed


def event(n: int, payload: str = '{"a":1.0}') -> tuple[Committed, Receipt]:
    truth = Committed(f"id-{n}", "agg", n, hashlib.sha256(payload.encode()).digest())
    body = f'{{"eventId":"id-{n}","aggregateId":"agg", "payload":{payload} }}'
    return truth, Receipt(f"id-{n}", body.encode())


TRUTH, RECEIPTS = map(list, zip(*(event(n) for n in (1, 2, 3))))


def test_complete_delivery_is_clean():
    check("list", TRUTH, RECEIPTS).assert_clean()


def test_lost_event_is_found():
    assert check("list", TRUTH, RECEIPTS[:2]).lost == ["id-3"]


def test_phantom_is_found():
    assert check("list", TRUTH, RECEIPTS + [event(4)[1]]).phantom == ["id-4"]


def test_reserialised_payload_is_found():
    changed = Receipt("id-1", RECEIPTS[0].body.replace(b"1.0", b"1"))
    assert check("list", TRUTH, [changed] + RECEIPTS[1:]).corrupted == ["id-1"]


def test_duplicate_with_other_bytes_is_found():
    other = Receipt("id-3", RECEIPTS[2].body + b" ")
    assert check("list", TRUTH, RECEIPTS + [other]).altered == ["id-3"]


def test_too_many_duplicates_are_found():
    report = check("list", TRUTH, RECEIPTS + RECEIPTS)
    assert report.duplicates == 3
    report.assert_clean(max_duplicates=3)
    with pytest.raises(AssertionError, match="allowed: 2"):
        report.assert_clean(max_duplicates=2)


def test_nothing_committed_proves_nothing():
    with pytest.raises(AssertionError, match="nothing is proved"):
        check("list", [], []).assert_clean()


@pytest.mark.parametrize("order", [[1, 2, 3], [1, 2, 1, 2, 3], [1, 2, 3, 2, 2, 3], [1, 1, 1]])
def test_order_with_contiguous_replays_is_right(order):
    assert disorder(order) == ""


@pytest.mark.parametrize("order", [[2, 1], [1, 3, 2], [1, 2, 3, 1, 3], [1, 2, 1]])
def test_wrong_order_is_found(order):
    assert disorder(order)


def test_member_text_is_verbatim():
    assert member_text('{"a": [1, {"payload":2}], "payload" :  {"x" : 1.0} }', "payload") == '{"x" : 1.0}'


@pytest.fixture
def bare(postgres, empty_template, request):
    database = postgres.create_database(request.node.name, template=empty_template)
    Writers.prepare(database)
    yield database
    database.drop()


BUSY = Mix(hold=(0.0, 0.05), aggregates=50)


def test_sequence_poller_is_caught_losing_late_commits(bare):
    """Negative control: `seq > last` under late commits must turn the checker red."""
    with SequencePoller(bare) as poller, Writers(bare, threads=8, mix=BUSY) as writers:
        poller_saw(poller, writers, 300)
        wait_until(lambda: skipped(bare, poller) or writers.failures, "a late commit is passed over", timeout=120)
    report = check("seq > last", committed(bare), poller.receipts)
    print(report)
    assert report.lost
    assert not report.phantom


def test_window_poller_passes(bare):
    """Positive control: the same load read by snapshot windows is complete and in order."""
    with WindowPoller(bare) as poller:
        with Writers(bare, threads=8, mix=BUSY) as writers:
            poller_saw(poller, writers, 300)
    check("window", committed(bare), poller.receipts).assert_clean()


def skipped(bare, poller) -> bool:
    """Whether there is an event before one that was received, which was not: such a reader never gets it. It
    appends what one query has found in the order of seq."""
    received = {r.event_id for r in list(poller.receipts)}
    rows = bare.run("SELECT event_id::text FROM outbox.event ORDER BY seq DESC")
    later = False
    for (event_id,) in rows:
        if event_id in received:
            later = True
        elif later:
            return True
    return False


def poller_saw(poller, writers, events: int) -> None:
    """Waits for `events` receipts while the writers are at work."""
    wait_until(lambda: len(poller.receipts) >= events or writers.failures,
               f"{events} receipts", timeout=120)
