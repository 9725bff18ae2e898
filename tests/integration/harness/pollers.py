# SPDX-License-Identifier: Apache-2.0
"""pollers.py - two tiny readers of the outbox, one wrong and one right, to test the checker with.

SequencePoller asks for `seq > last`: the design everybody writes first. It skips what commits late.
WindowPoller reads by snapshot windows and misses nothing.
"""

import contextlib
import json
import threading

from .checker import Receipt

_COLUMNS = "event_id::text, type, aggregate_id, payload::text"


def _receipt(row) -> Receipt:
    event_id, kind, agg, payload = row
    return Receipt(event_id, (f'{{"eventId":"{event_id}","type":{json.dumps(kind)},'
                              f'"aggregateId":{json.dumps(agg)},"payload":{payload}}}').encode())


class _Poller:
    def __init__(self, db):
        self.db = db
        self.receipts: list[Receipt] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        with contextlib.closing(self.db.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not self._stop.wait(0.01):
                    self.poll(cursor)
                self.poll(cursor)

    def poll(self, cursor) -> None:
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self._stop.set()
        self._thread.join()


class SequencePoller(_Poller):
    """Wrong on purpose."""
    last = 0

    def poll(self, cursor) -> None:
        cursor.execute(f"SELECT seq, {_COLUMNS} FROM outbox.event WHERE seq > %s ORDER BY seq",
                       (self.last,))
        for seq, *row in cursor.fetchall():
            self.last = seq
            self.receipts.append(_receipt(row))


class WindowPoller(_Poller):
    """Right: one window a poll, in one statement."""
    snap = "1:1:"

    def poll(self, cursor) -> None:
        cursor.execute(
            f"SELECT pg_current_snapshot()::text, {_COLUMNS} FROM outbox.event"
            " WHERE NOT pg_visible_in_snapshot(xid, %s::pg_snapshot) ORDER BY seq", (self.snap,))
        for snap, *row in cursor.fetchall():
            self.snap = snap
            self.receipts.append(_receipt(row))
