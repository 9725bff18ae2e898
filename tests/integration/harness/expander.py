# SPDX-License-Identifier: Apache-2.0
"""expander.py - a lane of subscriptions, driven by SQL as the relay does, without a relay.

Everything the relay calls is called as outbox_relay. A test decides what became of each delivery.
"""

import json

ROUTES = (["*"], ["*"])


class Expander:
    """One destination with subscriptions, its lane held by token 1."""

    def __init__(self, db, destination: str = "partners", hold_dead: bool = False, routes=ROUTES):
        self.db, self.destination, self.hold_dead, self.routes = db, destination, hold_dead, routes
        self.token = 1
        self.lane = db.value(
            "INSERT INTO outbox.lane (destination, owner, token, lease_until)"
            " VALUES (%s, 'test', 1, clock_timestamp() + interval '1 hour') RETURNING lane", destination)
        self.tidy()

    def call(self, sql: str, *args, role: str = "outbox_relay") -> list[tuple]:
        with self.db.kept() as c, c.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {role}")
            cursor.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

    def subscribe(self, **columns) -> int:
        """A subscription of this destination, as outbox_api makes it; takes everything unless told otherwise."""
        columns = {"destination": self.destination, "url": "https://a.example/hook?key=SECRET", **columns}
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        return self.call(f"INSERT INTO outbox.subscription ({names}) VALUES ({places}) RETURNING subscription",
                         *columns.values(), role="outbox_api")[0][0]

    def publish(self, key: str = "k", type: str = "order.paid", payload="{}", headers=None) -> int:
        """Commits one event and returns its seq."""
        event = self.db.value("SELECT outbox.publish(%s, %s, %s, 'order', 1, %s)", type, key, payload, headers)
        return self.db.value("SELECT seq FROM outbox.event WHERE event_id = %s", event)

    def expand(self, page: int = 100) -> list[tuple]:
        """One page: (subscription, rows, more, halt)."""
        return self.call("SELECT * FROM outbox.expand(%s, %s, 60000, %s, false, NULL, NULL)",
                         self.lane, self.token, page)

    def expand_all(self, page: int = 100) -> None:
        while self.expand(page)[0][1] > 0:
            pass

    def tidy(self) -> bool:
        return self.call("SELECT outbox.tidy_subscriptions(%s, %s, %s, %s, %s)", self.lane, self.token,
                         self.hold_dead, *self.routes)[0][0]

    def pending(self, subscription: int) -> list[int]:
        return [r[0] for r in self.db.run(
            "SELECT seq FROM outbox.delivery WHERE lane = %s AND subscription = %s AND state = 'PENDING' ORDER BY seq",
            self.lane, subscription)]

    def due(self, subscription: int) -> list[int]:
        """What a relay would send now."""
        return [r[0] for r in self.db.run(
            "SELECT seq FROM outbox.delivery WHERE lane = %s AND subscription = %s AND (state = 'PENDING'"
            " OR state = 'RETRY' AND next_attempt_at <= clock_timestamp()) ORDER BY seq", self.lane, subscription)]

    def states(self, subscription: int) -> dict[int, str]:
        return dict(self.db.run("SELECT seq, state FROM outbox.delivery WHERE lane = %s AND subscription = %s"
                                " ORDER BY seq", self.lane, subscription))

    def end(self, subscription: int, seq: int, state: str = "DELIVERED", health=None, **more) -> list[int]:
        """Ends one delivery; returns the subscriptions with new work after a 0."""
        asked, attempts, setbacks = self.db.run(
            "SELECT asked, attempts, setbacks FROM outbox.delivery WHERE lane = %s AND seq = %s AND subscription = %s",
            self.lane, seq, subscription)[0]
        ended = {"seq": seq, "subscription": subscription, "state": state, "asked": asked,
                 "attempts": attempts + 1, "setbacks": setbacks, "delay_ms": 60000, "trigger": "schedule",
                 "outcome": {"DELIVERED": "delivered", "RETRY": "retry"}.get(state, "rejected"),
                 "started_us": 1700000000000000, "dns_us": 0, "connect_us": 0, "tls_us": 0, "first_byte_us": 0,
                 "total_us": 1000, "reused": False, "requests": 1, **more}
        ok = state == "DELIVERED"
        health = health or {"subscription": subscription, "ok": ok, "failures": 0 if ok else 1, "throttle_ms": 0}
        return [r[0] for r in self.call("SELECT outbox.end_deliveries(%s, %s, %s, %s)", self.lane, self.token,
                                        json.dumps([ended]), json.dumps([health]))]

    def set_status(self, subscription: int, status: str) -> None:
        """As the API does it."""
        if status == "disabled":
            self.call("SELECT outbox.disable_subscription(%s, 'manual')", subscription, role="outbox_api")
        else:
            self.call("UPDATE outbox.subscription SET status = %s, status_changed_at = clock_timestamp()"
                      " WHERE subscription = %s", status, subscription, role="outbox_api")

    def recover(self, subscription: int, include: str = "all", **more) -> dict:
        """outbox.recover() as a dict: refused, operation, failed, missed."""
        more = {"include": include, **more}
        names = "".join(f", {name} => %s" for name in more)
        values = self.call(f"SELECT r.* FROM outbox.subscription s, outbox.recover(s.id{names}) r"
                           " WHERE s.subscription = %s", *more.values(), subscription, role="outbox_api")[0]
        return dict(zip(("refused", "operation", "failed", "missed"), values))

    def work(self, page: int = 500) -> None:
        """Runs operations, as any relay does, until none is left."""
        while self.call("SELECT outbox.run_operation(%s)", page)[0][0]:
            pass

    def progress(self, operation: str) -> dict:
        names = ("state", "matched", "enqueued", "succeeded", "failed", "pending", "progress", "eta")
        return dict(zip(names, self.call(f"SELECT {', '.join(names)} FROM outbox.operation_progress WHERE id = %s",
                                         operation, role="outbox_api")[0]))

    def redeliver(self, subscription: int, seq: int) -> tuple:
        """(refused, state)"""
        return self.call("SELECT * FROM outbox.redeliver(%s, %s, %s, 'ann')", self.lane, seq, subscription,
                         role="outbox_api")[0]

    def drain(self, subscription: int) -> list[int]:
        """Delivers what is due, one after the other; returns the order."""
        order = []
        while due := self.due(subscription):
            order.append(due[0])
            self.end(subscription, due[0])
        return order

    def assert_one_open_a_key(self) -> None:
        """The invariant: of a key's open rows at most one is not HELD, and nothing open precedes it."""
        wrong = self.db.run(
            "SELECT d.subscription, d.aggregate_id, d.seq FROM outbox.delivery d"
            " JOIN outbox.subscription s ON s.subscription = d.subscription AND s.ordering = 'key'"
            " JOIN outbox.delivery o ON o.lane = d.lane AND o.subscription = d.subscription"
            "  AND o.aggregate_type = d.aggregate_type AND o.aggregate_id = d.aggregate_id AND o.seq < d.seq"
            " WHERE d.state IN ('PENDING', 'RETRY') AND o.state IN ('PENDING', 'RETRY', 'HELD')")
        assert wrong == []
