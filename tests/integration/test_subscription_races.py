# SPDX-License-Identifier: Apache-2.0
"""What people, clocks and retention do at a bad moment: nothing that a subscription should get is lost by it."""

import contextlib
import threading

import psycopg2
import pytest

from harness.wait import wait_until

REPEATABLE = "-c default_transaction_isolation=repeatable\\ read"


# Disabled, and back ---------------------------------------------------------------------------------

def test_a_subscription_misses_nothing_from_before_it_began(lane):
    lane.publish("a")  # the lane is behind
    one = lane.subscribe()
    lane.set_status(one, "disabled")
    missed = lane.publish("b")
    lane.expand_all()
    lane.set_status(one, "active")
    assert lane.recover(one, "missed", dry_run=True)["missed"] == 1
    lane.recover(one, "missed")
    lane.work()
    assert list(lane.states(one)) == [missed]


def test_an_absence_is_remembered_when_the_clock_has_gone_back(lane):
    one = lane.subscribe()
    lane.set_status(one, "disabled")
    first = lane.publish("a")
    lane.expand_all()
    lane.set_status(one, "active")
    lane.recover(one, "missed")
    lane.db.run("UPDATE outbox.operation SET created_at = created_at + interval '1 hour'")
    lane.set_status(one, "disabled")
    second = lane.publish("b")
    lane.expand_all()
    lane.set_status(one, "active")
    lane.work()
    assert list(lane.states(one)) == [first]
    lane.recover(one, "missed")
    lane.work()
    assert list(lane.states(one)) == [first, second]


def test_what_died_before_the_clock_went_back_is_recovered(lane):
    one = lane.subscribe()
    seq = lane.publish()
    lane.expand_all()
    lane.end(one, seq, "DEAD", cause="rejected_4xx")
    lane.db.run("UPDATE outbox.delivery SET updated_at = updated_at + interval '1 hour'")
    assert lane.recover(one, "failed", dry_run=True)["failed"] == 1
    lane.recover(one, "failed")
    lane.work()
    assert lane.states(one) == {seq: "PENDING"}


def clock_goes_back(lane, hours: int = 1):
    """As if all that is written had been written by a clock that was so far ahead."""
    ahead = f"interval '{hours} hours'"
    lane.db.run(f"UPDATE outbox.operation SET created_at = created_at + {ahead}, paced_from = paced_from + {ahead}")
    lane.db.run(f"UPDATE outbox.delivery SET next_attempt_at = next_attempt_at + {ahead}, updated_at = updated_at + {ahead}")
    lane.db.run(f"UPDATE outbox.subscription_health SET throttled_until = throttled_until + {ahead}")
    lane.db.run(f"UPDATE outbox.lane SET tidied_at = tidied_at + {ahead}")


def dead_letters(lane, n: int) -> None:
    lane.db.run("SELECT outbox.publish('order.paid', i::text, '1', 'order') FROM generate_series(1, %s) i", n)
    lane.expand_all()
    lane.db.run("UPDATE outbox.delivery SET state = 'DEAD', cause = 'rejected_4xx', updated_at = clock_timestamp()")
    lane.tidy()


def waits(lane) -> tuple[float, float]:
    """In how many seconds the first and the last row may go."""
    return tuple(float(x) for x in lane.db.run(
        "SELECT extract(epoch FROM min(next_attempt_at) - clock_timestamp()),"
        " extract(epoch FROM max(next_attempt_at) - clock_timestamp()) FROM outbox.delivery WHERE state = 'RETRY'")[0])


def test_a_recovery_keeps_its_rate_when_the_clock_goes_back(lane):
    """Neither does it wait for the old time to come again, nor is the rest sent at once."""
    one = lane.subscribe()
    dead_letters(lane, 300)
    op = lane.recover(one, "failed", per_second=1)["operation"]
    lane.work()
    queued = lane.progress(op)["enqueued"]
    clock_goes_back(lane)
    lane.tidy()
    first, last = waits(lane)
    assert last < 60 and last - first > 25
    lane.work()
    more = lane.progress(op)["enqueued"]
    assert queued < more < queued + 100
    first, last = waits(lane)
    assert last < 60 and last - first > 25
    lane.db.run("UPDATE outbox.operation SET paced_from = paced_from - interval '10 seconds'")
    lane.work()
    assert more + 8 < lane.progress(op)["enqueued"] < more + 100, "and goes on by it"


def test_what_is_put_off_does_not_wait_for_a_clock_that_went_back(lane):
    one = lane.subscribe()
    dead_letters(lane, 20)
    lane.call("SELECT outbox.dead_replay('{\"destination\": \"partners\"}', 'ann', 1)", role="outbox_api")
    failed = lane.publish("other")
    lane.expand_all()
    lane.end(one, failed, "RETRY", health={"subscription": one, "ok": False, "failures": 1, "throttle_ms": 5000})
    before = waits(lane)
    clock_goes_back(lane)
    lane.tidy()
    assert all(abs(a - b) < 60 for a, b in zip(waits(lane), before))
    assert lane.db.value("SELECT throttled_until < clock_timestamp() + interval '60 s' FROM outbox.subscription_health")
    lane.db.run("UPDATE outbox.delivery SET next_attempt_at = clock_timestamp() + interval '1 day' WHERE seq = %s", failed)
    lane.tidy()
    assert waits(lane)[1] > 80000, "nothing moves while the clock goes on"


def test_a_clock_that_went_back_does_not_stop_a_lane_with_a_large_backlog(lane):
    """A look has to end within the limit of the connection: what is beyond waits for the old time."""
    one = lane.subscribe()
    seq = lane.publish()
    lane.db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state,"
                " next_attempt_at) SELECT %s, %s + i, %s, '', i::text, CASE i %% 2 WHEN 0 THEN 'RETRY' ELSE 'HELD' END,"
                " clock_timestamp() + interval '10 minutes' FROM generate_series(1, 51000) i", lane.lane, seq, one)
    clock_goes_back(lane)
    lane.tidy()
    moved = "next_attempt_at < clock_timestamp() + interval '30 minutes'"
    assert lane.db.run(f"SELECT {moved}, count(*) FROM outbox.delivery GROUP BY 1 ORDER BY 1") == [
        (False, 1000), (True, 50000)]


# Retention ------------------------------------------------------------------------------------------

def test_retention_waits_for_the_past_that_a_subscription_was_promised(lane):
    past = [lane.publish(f"k{i}") for i in range(20)]
    lane.expand_all()
    one = lane.subscribe(backfill=True)
    lane.call("INSERT INTO outbox.operation (subscription, kind, include) VALUES (%s, 'backfill', 'missed')", one,
              role="outbox_api")
    lane.call("SELECT outbox.run_operation(5)")
    assert lane.call("SELECT outbox.retire('0')")[0][0] == 0
    lane.work()
    assert list(lane.states(one)) == past
    assert lane.drain(one) == past
    assert lane.call("SELECT outbox.retire('0')")[0][0] == 20, "and no longer"


def test_retention_waits_for_what_a_recovery_has_not_come_to(lane):
    one = lane.subscribe()
    lane.set_status(one, "disabled")
    missed = [lane.publish(f"k{i}") for i in range(9)]
    lane.expand_all()
    lane.set_status(one, "active")
    op = lane.recover(one, "missed", per_second=0.1)["operation"]
    lane.work()
    assert lane.progress(op)["state"] == "running"
    queued = len(lane.states(one))
    assert lane.call("SELECT outbox.retire('0')")[0][0] == 0
    lane.call("SELECT outbox.cancel_operation(%s)", op, role="outbox_api")
    assert lane.call("SELECT outbox.retire('0')")[0][0] == len(missed) - queued


def test_retention_leaves_what_is_redelivered_where_no_route_leads_any_more(lane):
    one = lane.subscribe()
    old = lane.publish()
    lane.expand_all()
    lane.end(one, old)
    lane.routes = ([], [])
    lane.tidy()
    deleted = []
    with contextlib.closing(lane.db.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT * FROM outbox.redeliver(%s, %s, %s)", (lane.lane, old, one))
        thread = threading.Thread(target=lambda: deleted.append(lane.call("SELECT outbox.retire('0')")[0][0]))
        thread.start()
        wait_until(lambda: deleted or lane.db.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
            "retention ends or waits")
        c.commit()
        thread.join()
    assert deleted == [0] and lane.states(one) == {old: "PENDING"}


def test_retention_sees_what_it_waited_for_whatever_the_default(lane):
    """At REPEATABLE READ it would look at the log as it was before it waited, and delete what a recovery has queued."""
    one = lane.subscribe()
    lane.set_status(one, "disabled")
    old = lane.publish()
    lane.expand_all()
    lane.set_status(one, "active")
    with contextlib.closing(lane.db.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT FROM outbox.lane FOR NO KEY UPDATE")
        failed = []

        def retire():
            try:
                with contextlib.closing(lane.db.connect(options=REPEATABLE)) as other, other, other.cursor() as look:
                    look.execute("SELECT outbox.retire('0')")
            except psycopg2.Error as e:
                failed.append(e)
        thread = threading.Thread(target=retire)
        thread.start()
        wait_until(lambda: failed or lane.db.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
            "it is refused or waits")
        lane.recover(one, "missed")
        cursor.execute("SELECT outbox.run_operation()")
        c.commit()
        thread.join()
    assert lane.db.run("SELECT seq FROM outbox.event") == [(old,)]
    assert "READ COMMITTED" in str(failed[0])


def test_no_event_goes_past_a_subscription_whatever_the_default(lane):
    """At REPEATABLE READ an expansion that waited for one to be made would not see it, and pass its first event."""
    with contextlib.closing(lane.db.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT FROM outbox.lane FOR NO KEY UPDATE")
        cursor.execute("INSERT INTO outbox.subscription (destination, url) VALUES (%s, 'https://a.example/')"
                       " RETURNING subscription", (lane.destination,))
        one = cursor.fetchone()[0]
        seq = lane.publish()
        failed = []

        def expand():
            try:
                with contextlib.closing(lane.db.connect(options=REPEATABLE)) as other, other, other.cursor() as look:
                    look.execute("SELECT * FROM outbox.expand(%s, %s, 60000, 100, false, NULL, NULL)",
                                 (lane.lane, lane.token))
            except psycopg2.Error as e:
                failed.append(e)
        thread = threading.Thread(target=expand)
        thread.start()
        wait_until(lambda: failed or lane.db.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
            "it is refused or waits")
        c.commit()
        thread.join()
    lane.expand_all()
    assert lane.states(one) == {seq: "PENDING"}
    assert "READ COMMITTED" in str(failed[0])


def test_retention_does_not_wait_for_an_operation_of_a_deleted_subscription(lane):
    """Nobody ends it when the destination is gone with its lane, and no relay has another one with subscriptions."""
    one = lane.subscribe()
    lane.set_status(one, "disabled")
    lane.publish(), lane.publish()
    lane.expand_all()
    lane.set_status(one, "active")
    op = lane.recover(one, "missed")["operation"]
    lane.db.run("UPDATE outbox.subscription SET deleted_at = clock_timestamp()")
    lane.db.run("DELETE FROM outbox.delivery")
    lane.db.run("DELETE FROM outbox.lane")
    lane.db.run("INSERT INTO outbox.lane (destination) VALUES ('others')")
    assert lane.call("SELECT outbox.retire('0')")[0][0] == 2
    lane.work()
    assert lane.progress(op)["state"] == "cancelled"


# Another kind of destination --------------------------------------------------------------------------

def test_what_a_destination_had_not_taken_before_it_got_subscriptions_is_dead(lane):
    seq, held = lane.publish(), lane.publish()
    lane.expand_all()
    lane.db.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state, cause)"
                " VALUES (%s, %s, 'order', 'k', 'RETRY', 'timeout'), (%s, %s, 'order', 'k', 'HELD', NULL)",
                lane.lane, seq, lane.lane, held)
    lane.tidy()
    assert lane.db.run("SELECT seq, state, cause FROM outbox.delivery ORDER BY seq") == [
        (seq, "DEAD", "no_route"), (held, "DEAD", "no_route")]
    assert lane.db.value("SELECT count(*) FROM outbox.dead") == 2, "and a person decides"


def test_what_was_left_for_it_as_a_dead_letter_destination_is_dead_too(lane):
    seq = lane.publish()
    lane.expand_all()
    lane.db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
                " VALUES (%s, %s, -7, 'order', 'k', 'PENDING')", lane.lane, seq)
    lane.tidy()
    assert lane.db.run("SELECT subscription, state, cause FROM outbox.delivery") == [(-7, "DEAD", "no_route")]


@pytest.mark.parametrize("page", [1, 2, 100])
def test_what_the_log_held_for_it_before_it_got_subscriptions_is_dead(lane, page):
    """Whether its cursor had not come there, or a rebase has left it as a row; what no route leads to is not."""
    lane.db.run("UPDATE outbox.lane SET plain = true, route_types = '{}', route_aggregates = '{}'")
    rebased = [lane.publish("a"), lane.publish("b", type="user.made"), lane.publish("a")]
    lane.db.run("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
                " SELECT %s, e.seq, 0, e.aggregate_type, e.aggregate_id, 'PENDING' FROM outbox.event e", lane.lane)
    lane.db.run("UPDATE outbox.lane SET snap = pg_current_snapshot()")
    logged = [lane.publish("a"), lane.publish("b", type="user.made")]
    lane.routes = (["order.*"], ["*"])
    lane.tidy()
    one = lane.subscribe()
    after = [lane.publish("a"), lane.publish("b", type="user.made")]
    lane.expand_all(page)
    assert lane.states(0) == {rebased[0]: "DEAD", rebased[1]: "DELIVERED", rebased[2]: "DEAD", logged[0]: "DEAD"}
    assert lane.db.run("SELECT seq, cause FROM outbox.dead ORDER BY seq") == [
        (rebased[0], "no_route"), (rebased[2], "no_route"), (logged[0], "no_route")]
    assert lane.states(one) == {after[0]: "PENDING"}, "what died holds nothing"
    lane.tidy()
    later = lane.publish("a")
    lane.expand_all(page)
    assert list(lane.states(one)) == [after[0], later] and later not in lane.states(0)


def test_what_waits_for_subscriptions_says_that_its_destination_is_a_plain_one_now(lane):
    lane.subscribe()
    lane.publish("a")
    lane.publish("a")
    lane.expand_all()
    lane.db.run("UPDATE outbox.lane SET plain = true, route_types = '{}', route_aggregates = '{}'")
    for view in ("stuck", "event_trace", "subscription_delivery"):
        assert lane.db.run(f"SELECT state, cause FROM outbox.{view} ORDER BY seq") == [
            ("PENDING", "plain_destination"), ("HELD", "plain_destination")], view
    lane.tidy()
    assert lane.db.run("SELECT state, cause FROM outbox.stuck ORDER BY seq")[0] == ("PENDING", "in_progress")


# A row without its event ----------------------------------------------------------------------------

def test_a_row_without_an_event_above_an_older_dead_letter_ends_too(lane):
    one = lane.subscribe()
    dead = lane.publish("other")
    orphan, waiting = lane.publish(), lane.publish()
    lane.expand_all()
    lane.end(one, dead, "DEAD", cause="rejected_4xx")
    lane.db.run("DELETE FROM outbox.event WHERE seq = %s", orphan)
    lane.tidy()
    assert lane.states(one) == {dead: "DEAD", orphan: "DISCARDED", waiting: "PENDING"}


def test_tidying_comes_to_every_key_of_a_large_backlog(lane):
    """Two hundred keys at a time, in a few statements however many there are, and from the beginning again."""
    one = lane.subscribe(status="paused")
    lane.db.run("SELECT outbox.publish('order.paid', (i %% 450)::text, '1') FROM generate_series(1, %s) i", 900)
    lane.expand_all(1000)
    lane.db.run("UPDATE outbox.delivery SET state = 'DELIVERED' WHERE state = 'PENDING'")  # and nobody let the next go
    left = []
    for _ in range(3):
        lane.tidy()
        left.append(list(lane.states(one).values()).count("HELD"))
    assert left == [250, 50, 0]
    lane.assert_one_open_a_key()
    lane.db.run("UPDATE outbox.delivery SET state = 'HELD' WHERE state = 'PENDING' AND aggregate_id = '0'")
    lane.tidy()
    assert "HELD" not in lane.states(one).values()
