# SPDX-License-Identifier: Apache-2.0
"""delivery_calls.py - every operation of the API about deliveries, with every status that it can have.

For the contract test, which wants to have seen all of them.
"""

import contextlib
import threading

from .wait import wait_until

BASE = "/webhooks/subscriptions"
NOBODY = "sub_" + "0" * 32
NOTHING = "dlv_9_9_9"


class DeliveryCalls:
    """A subscription with one delivery that is done and one that is dead, and the calls about them."""

    def __init__(self, api, db, endpoint):
        self.api, self.db = api, db
        endpoint.answers["/calls"] = lambda _h, body: (413 if b'"dead"' in body else 204, b"")
        sub = api("POST", BASE, {"url": endpoint.url("/calls"), "event_types": ["calls.*"]})
        assert sub.status == 201, sub
        self.sub = sub.body["id"]
        for key in ("fine", "dead"):
            db.run("SELECT outbox.publish('calls.made', %s, '{}')", key)
        wait_until(lambda: set(db.run("SELECT d.state FROM outbox.delivery d JOIN outbox.subscription s USING"
                                      " (subscription) WHERE s.id = %s", self.sub)) == {("DELIVERED",), ("DEAD",)},
                   "one is delivered, one is dead")
        self.delivery = api("GET", f"{BASE}/{self.sub}/deliveries?status=delivered").body["data"][0]["id"]
        self.operation = self.recover({"include": "missed", "since": "2020-01-01T00:00:00Z"}).body["id"]

    def recover(self, body, sub: str | None = None, **more):
        return self.api("POST", f"{BASE}/{sub or self.sub}/recover", body, **more)

    def reads(self) -> list[str]:
        return [f"{BASE}/{self.sub}/deliveries", f"{BASE}/{self.sub}/attempts", f"/webhooks/deliveries/{self.delivery}",
                f"/webhooks/operations/{self.operation}", "/webhooks/dead-letters", "/webhooks/event-types"]

    def changes(self) -> list[tuple[str, str, object]]:
        return [("POST", f"{BASE}/{self.sub}/recover", {}),
                ("POST", f"/webhooks/deliveries/{self.delivery}/redeliver", {}),
                ("DELETE", f"/webhooks/operations/{self.operation}", None),
                ("POST", "/webhooks/dead-letters/redrive", {"filter": {"cause": "too_large"}}),
                ("PUT", "/webhooks/event-types", {"data": [{"type": "calls.made"}]})]

    def answers(self) -> None:
        api = self.api
        for path in self.reads():
            assert api("GET", path).status == 200, path
        assert "link" in api("GET", f"{BASE}/{self.sub}/deliveries?limit=1").headers
        assert api("GET", "/webhooks/dead-letters?cause=too_large").body["data"] != []
        assert self.recover({"dry_run": True, "since": "2020-01-01T00:00:00Z", "event_types": ["*"],
                             "rate_per_second": 0.5}).status == 200
        wanted = {"POST": (200, 202), "DELETE": (200,), "PUT": (200,)}
        for method, path, body in self.changes():
            assert api(method, path, body).status in wanted[method], path

    def refusals(self) -> None:
        api = self.api
        for path in self.reads():
            assert api("GET", path + "?x=1").status == 400
            assert api("GET", path, who=None).status == 401
        for path in (f"{BASE}/{NOBODY}/deliveries", f"{BASE}/{NOBODY}/attempts", f"/webhooks/deliveries/{NOTHING}",
                     "/webhooks/operations/op_9"):
            assert api("GET", path).status == 404
        for method, path, body in self.changes():
            assert api(method, path, body, who=None).status == 401
            assert api(method, path, body, who="hooks-reader").status == 403
            if body is None:
                assert api(method, path + "?x=1").status == 400
                continue
            assert api(method, path, "{").status == 400
            assert api(method, path, b" " * 1048577).status == 413
            assert api(method, path, body, content_type="text/plain").status == 415
            assert api(method, path, {"nothing": 1}).status == 422
        assert self.recover({}, NOBODY).status == 404
        assert api("POST", f"/webhooks/deliveries/{NOTHING}/redeliver").status == 404
        assert api("DELETE", "/webhooks/operations/op_9").status == 404

    def conflicts(self) -> None:
        api = self.api
        assert self.recover({"include": "failed"}, idempotency_key="calls").status == 202
        again = api("POST", f"/webhooks/deliveries/{self.delivery}/redeliver", idempotency_key="calls")
        assert again.status == 422 and again.code == "idempotency-key-reused"
        with contextlib.closing(self.db.connect()) as c, c.cursor() as cursor:
            cursor.execute("LOCK TABLE outbox.event_type")
            put = ("PUT", "/webhooks/event-types", {"data": []})
            slow = threading.Thread(target=lambda: api(*put, idempotency_key="slow-put"))
            slow.start()
            # It has taken its key by then.
            wait_until(lambda: self.db.value("SELECT count(*) FROM pg_locks WHERE NOT granted"
                                             " AND relation = 'outbox.event_type'::regclass") > 0, "the first waits")
            assert api(*put, idempotency_key="slow-put").status == 409
            c.rollback()
            slow.join()
        assert api("PATCH", f"{BASE}/{self.sub}", {"status": "disabled"}, if_match="*").status == 200
        assert self.recover({}).status == 409
        assert api("POST", f"/webhooks/deliveries/{self.delivery}/redeliver").status == 409

    def outages(self) -> None:
        """While the schema is away."""
        for path in self.reads():
            assert self.api("GET", path).status == 503
        for method, path, body in self.changes():
            assert self.api(method, path, body).status == 503
