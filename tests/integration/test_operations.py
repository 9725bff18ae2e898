# SPDX-License-Identifier: Apache-2.0
"""Relays work off recoveries and backfills of subscriptions, and clean up behind them."""

import base64
import os

import pytest

from harness.relay import stdout_file
from harness.wait import wait_until


@pytest.fixture
def partners(tmp_path) -> tuple[dict, dict]:
    """A destination with subscriptions, and the settings that it needs."""
    ring = tmp_path / "keys"
    ring.write_text(f"1 {base64.b64encode(os.urandom(32)).decode()}\n")
    ring.chmod(0o600)
    return ({"name": "partners", "adapter": "webhook", "subscriptions": True},
            {"webhooks": {"key_ring": str(ring)}})


def subscribe(db, **columns) -> int:
    columns = {"destination": "partners", "url": "https://a.example/", "status": "paused", **columns}
    return db.value(f"INSERT INTO outbox.subscription ({', '.join(columns)})"
                    f" VALUES ({', '.join(['%s'] * len(columns))}) RETURNING subscription", *columns.values())


def publish(db, n: int) -> None:
    db.run("SELECT outbox.publish('order.paid', 'k-' || i %% 10, '{}', 'order') FROM generate_series(1, %s) i", n)


def rows(db, one: int) -> int:
    return db.value("SELECT count(*) FROM outbox.delivery WHERE subscription = %s", one)


def test_two_relays_work_off_a_backfill_and_a_recovery(db, relay_of, partners):
    publish(db, 2000)
    destination, settings = partners
    first, second = relay_of([destination], **settings), relay_of([destination], **settings)
    one = subscribe(db, backfill=True)
    db.run("INSERT INTO outbox.operation (subscription, kind, include) VALUES (%s, 'backfill', 'missed')", one)
    wait_until(lambda: not db.value("SELECT backfill FROM outbox.subscription"), "the past is queued")
    assert rows(db, one) == 2000
    publish(db, 100)
    wait_until(lambda: rows(db, one) == 2100, "the present is queued")

    db.run("SELECT outbox.disable_subscription(%s, 'manual')", one)
    publish(db, 500)
    wait_until(lambda: db.value("SELECT sum(events) FROM outbox.backlog") == 0, "it has passed")
    db.run("UPDATE outbox.subscription SET status = 'paused'")
    db.run("SELECT outbox.recover(s.id, 'missed') FROM outbox.subscription s")
    wait_until(lambda: rows(db, one) == 2600, "what was missed is queued")

    db.run("UPDATE outbox.subscription SET deleted_at = now() - interval '2 minutes'")
    wait_until(lambda: db.value("SELECT swept_at IS NOT NULL FROM outbox.subscription"), "it is swept")
    assert db.run("SELECT DISTINCT state, cause FROM outbox.delivery") == [("DISCARDED", "cancelled")]
    assert first.term() == 0 and second.term() == 0


def test_an_operation_that_fails_keeps_nothing_else(db, relay_of, partners):
    destination, settings = partners
    relay = relay_of([destination], **settings)
    one = subscribe(db)
    publish(db, 20)
    wait_until(lambda: rows(db, one) == 20, "all is queued")
    db.run("CREATE OR REPLACE FUNCTION outbox.run_operation(page int DEFAULT 250) RETURNS boolean LANGUAGE plpgsql"
           " AS $$BEGIN RAISE EXCEPTION 'on purpose'; END$$")
    db.run("UPDATE outbox.subscription SET deleted_at = now() - interval '2 minutes'")
    wait_until(lambda: db.value("SELECT swept_at IS NOT NULL FROM outbox.subscription"), "it is swept")
    wait_until(lambda: "on purpose" in relay.tail(), "it is told")


def test_a_reload_starts_and_ends_the_thread(db, relay_of, file, partners):
    destination, settings = partners
    relay = relay_of([file], **settings)
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postrider operations' AND datname = %s"
    assert db.value(connected, db.name) == 0
    relay.config["destinations"].append({"start_from": "beginning", **destination})
    relay.config["routes"][0]["to"].append("partners")
    relay.write_config()
    relay.hup()
    wait_until(lambda: db.value(connected, db.name) == 1, "the thread works")
    relay.config["destinations"].pop()
    relay.config["routes"][0]["to"].pop()
    relay.write_config()
    relay.hup()
    wait_until(lambda: db.value(connected, db.name) == 0, "the thread has ended")
    assert relay.term() == 0
