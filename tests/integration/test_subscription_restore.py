# SPDX-License-Identifier: Apache-2.0
"""Subscriptions after a log was moved to another cluster: what was left is queued for each, in pages, in order."""

import contextlib

from harness import ports
from harness.secrets import KeyRing
from harness.wait import wait_until


def shifted(column: str) -> str:
    """The snapshot in `column`, as a cluster whose counter is far higher would have written it."""
    return (f"(pg_snapshot_xmin({column})::text::bigint + 9000000 || ':' ||"
            f" pg_snapshot_xmax({column})::text::bigint + 9000000 || ':' || COALESCE((SELECT"
            f" string_agg((x::text::bigint + 9000000)::text, ',' ORDER BY x) FROM pg_snapshot_xip({column}) x), '')"
            f")::pg_snapshot")


def restore(lane) -> int:
    """As if the outbox came from such a cluster; returns how many events its lane had not passed."""
    lane.db.run("UPDATE outbox.event SET xid = (xid::text::bigint + 9000000)::text::xid8")
    lane.db.run(f"UPDATE outbox.lane SET snap = {shifted('snap')}, win = {shifted('win')}")
    lane.db.run(f"UPDATE outbox.subscription SET start_snap = {shifted('start_snap')},"
                f" missed_snap = {shifted('missed_snap')}")
    lane.db.run("UPDATE outbox.meta SET system_identifier = 1")
    [(left,)] = lane.db.run("SELECT undelivered FROM outbox.rebase()")
    lane.token = lane.db.value("SELECT token FROM outbox.lane")
    return left


def test_what_was_left_is_queued_page_by_page_before_what_is_new(lane):
    one, other = lane.subscribe(), lane.subscribe(ordering="none")
    left = [lane.publish("k") for _ in range(25)]
    assert restore(lane) == 25
    new = [lane.publish("k") for _ in range(3)]
    assert lane.tidy()
    assert lane.states(one) == {}, "to keep house is not the time to queue a backlog"
    assert sorted(row[:3] for row in lane.expand(10)) == [(0, 10, True), (one, 10, False), (other, 10, False)]
    assert list(lane.states(one)) == left[:10] and list(lane.states(other)) == left[:10]
    lane.expand_all(10)
    assert list(lane.states(one)) == left + new
    lane.assert_one_open_a_key()
    assert lane.drain(one) == left + new


def test_what_was_left_and_is_gone_stops_nothing(lane):
    one = lane.subscribe()
    left = [lane.publish("k") for _ in range(6)]
    restore(lane)
    lane.db.run("DELETE FROM outbox.event WHERE seq = ANY (%s)", left[:5])
    lane.tidy()
    for _ in range(4):
        lane.expand(2)
    after = lane.publish("k")
    lane.expand_all()
    assert list(lane.states(one)) == [left[5], after]


def test_what_committed_after_a_subscription_began_is_its_own(lane):
    """The event is older than the subscription, and its transaction ended later."""
    earlier = lane.publish("a")
    with contextlib.closing(lane.db.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT outbox.publish('order.paid', 'late', '1')")
        one = lane.subscribe()
        c.commit()
    [(late,)] = lane.db.run("SELECT seq FROM outbox.event WHERE aggregate_id = 'late'")
    after = lane.publish("b")
    assert restore(lane) == 3
    lane.tidy()
    lane.expand_all()
    assert list(lane.states(one)) == [late, after], f"{earlier} came before"


def test_one_that_is_disabled_before_what_was_left_is_queued_misses_it(lane):
    one = lane.subscribe()
    left = [lane.publish("a"), lane.publish("b")]
    assert restore(lane) == 2
    lane.set_status(one, "disabled")
    lane.tidy()
    lane.expand_all()
    assert lane.states(one) == {}
    lane.set_status(one, "active")
    assert lane.recover(one, "missed", dry_run=True)["missed"] == 2
    lane.recover(one, "missed")
    lane.work()
    assert list(lane.states(one)) == left


def test_a_second_restore_forgets_nothing_of_the_first(lane):
    lane.publish("before")
    one = lane.subscribe()
    left = [lane.publish("a"), lane.publish("b")]
    restore(lane)
    later = lane.publish("c")
    restore(lane)
    lane.tidy()
    lane.expand_all()
    assert list(lane.states(one)) == [*left, later]


def test_what_a_plain_destination_had_not_taken_is_dead_when_it_gets_subscriptions(db, relay_of, build, postrider,
                                                                                  tmp_path):
    """A rebase has left rows, and the log holds more: nothing of it is said to be delivered, whenever it changed."""
    ring = KeyRing(build, postrider, tmp_path)
    port = ports.take()
    allowed = {"allow_http": True, "allow_cidrs": "127.0.0.0/8"}
    plain = {"name": "partners", "adapter": "webhook",
             "options": {"url": f"http://127.0.0.1:{port}/", "secret": "whsec_" + "A" * 43 + "=", **allowed}}
    subscribed = {"name": "partners", "adapter": "webhook", "subscriptions": True, "options": allowed}
    dead = "SELECT count(*) FROM outbox.dead WHERE cause = 'no_route' AND subscription = 0"

    def publish(n):
        db.run("SELECT outbox.publish('order.paid', i::text, '1', 'order') FROM generate_series(1, %s) i", n)

    def run(destination, until, what):
        relay = relay_of([destination], start=False, webhooks={"key_ring": ring.path}).start(wait=False)
        wait_until(until, what, timeout=30)
        relay.kill9()
        db.run("UPDATE outbox.lane SET lease_until = clock_timestamp()")

    def is_refused():
        return db.value("SELECT cause FROM outbox.lane") == "unreachable"

    publish(20)
    run(plain, is_refused, "the receiver is away")
    db.run("UPDATE outbox.event SET xid = (xid::text::bigint + 9000000)::text::xid8")
    db.run(f"UPDATE outbox.lane SET snap = {shifted('snap')}, win = {shifted('win')}, cause = NULL")
    db.run("UPDATE outbox.meta SET system_identifier = 1")
    run(plain, lambda: is_refused() and db.value("SELECT count(*) FROM outbox.delivery WHERE state = 'PENDING'") == 20,
        "a rebase has left rows")
    publish(5)
    run(subscribed, lambda: db.value(dead) == 25, "all that was for the plain one is dead")
    assert db.value("SELECT count(*) FROM outbox.delivery") == 25

    db.run("UPDATE outbox.lane SET cause = NULL")
    publish(3)
    run(plain, is_refused, "it is a plain one again")
    run(subscribed, lambda: db.value(dead) == 28, "and one with subscriptions")
    publish(3)
    run(subscribed, lambda: not db.value("SELECT count(*) FROM outbox.event e, outbox.lane l"
                                         " WHERE NOT pg_visible_in_snapshot(e.xid, l.snap)"), "the rest is passed")
    assert db.value("SELECT count(*) FROM outbox.delivery") == 28, "what came later had nobody to go to"
    ports.release(port)
