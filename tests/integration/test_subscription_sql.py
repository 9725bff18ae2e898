# SPDX-License-Identifier: Apache-2.0
"""Subscriptions in SQL: which events each gets, the order of its keys, and what is written of an attempt."""

import contextlib
import time

import pytest

from harness.expander import Expander


@pytest.mark.parametrize("columns,taken", [
    ({}, 5),
    ({"event_types": ["order.paid"]}, 3),
    ({"event_types": ["order.*"]}, 4),
    ({"event_types": ["ORDER_*", "*.sent"]}, 2),
    ({"event_types": ["order_paid", "order%"]}, 0),
    ({"filter_path": '$.payload.total > 10'}, 1),
    ({"filter_path": '$.aggregateId == "k2"'}, 1),
    ({"filter_path": '$.payload.missing == 1'}, 0),
    ({"filter_path": '$.headers.region == "eu"', "event_types": ["order.paid"]}, 1),
])
def test_a_subscription_gets_what_it_asked_for(lane, columns, taken):
    one = lane.subscribe(**columns)
    lane.publish()
    lane.publish("k2", payload='{"total": 11}')
    lane.publish("k3", headers='{"region": "eu"}')
    lane.publish("k4", "order.sent")
    lane.publish("k5", "ORDER_PAID")
    lane.expand_all()
    assert len(lane.states(one)) == taken


def test_an_event_that_no_filter_can_look_into_is_delivered(lane):
    one = lane.subscribe(filter_path="$.payload.total > 10")
    lane.publish(payload='{"total": 1e200000}')
    lane.expand_all()
    assert len(lane.pending(one)) == 1


def test_what_was_committed_before_is_not_taken(lane):
    lane.publish()
    one = lane.subscribe()
    after = lane.publish()
    lane.expand_all()
    assert list(lane.states(one)) == [after]


@pytest.mark.parametrize("page", [1, 3, 100])
def test_of_a_key_only_the_first_may_go(lane, page):
    one, other = lane.subscribe(), lane.subscribe(ordering="none")
    first = [lane.publish("a"), lane.publish("b")]
    rest = [lane.publish("a"), lane.publish("a")]
    lane.expand_all(page)
    assert lane.pending(one) == first and lane.pending(other) == first + rest
    lane.assert_one_open_a_key()
    assert lane.end(one, first[0]) == [0, one]
    assert lane.pending(one) == [first[1], rest[0]]
    lane.end(one, rest[0], "RETRY", cause="timeout")
    lane.expand_all()
    assert lane.pending(one) == [first[1]], "a key waits for its retry"
    lane.assert_one_open_a_key()
    lane.end(one, rest[0], "DEAD", cause="rejected_4xx")
    assert rest[1] in lane.pending(one)


def test_paused_queues_and_disabled_does_not(lane):
    paused, unverified, off = (lane.subscribe(status=s) for s in ("paused", "pending_verification", "disabled"))
    lane.publish()
    lane.expand_all()
    assert [len(lane.states(x)) for x in (paused, unverified, off)] == [1, 1, 0]


def test_an_attempt_is_written_down(lane):
    one = lane.subscribe()
    seq = lane.publish()
    lane.expand_all()
    lane.end(one, seq, "RETRY", cause="server_5xx", http_status=503, category="http_5xx", remote="192.0.2.7:443")
    lane.end(one, seq)
    assert lane.db.run("SELECT number, outcome, http_status, next_attempt_at > clock_timestamp() FROM outbox.attempt"
                       " ORDER BY attempt") == [(1, "retry", 503, True), (2, "delivered", None, None)]
    assert lane.db.run("SELECT consecutive_failures, failing_since, last_success_at IS NOT NULL"
                       " FROM outbox.subscription_health") == [(0, None, True)]


def test_a_lost_lane_writes_nothing(lane):
    one = lane.subscribe()
    seq = lane.publish()
    lane.expand_all()
    lane.token = 2
    assert lane.end(one, seq) == [] and lane.expand() == [] and lane.tidy() is False
    assert lane.states(one) == {seq: "PENDING"}
    assert lane.db.value("SELECT count(*) FROM outbox.attempt") == 0


def test_an_endpoint_that_is_gone_is_disabled_and_its_position_kept(lane):
    one = lane.subscribe()
    lane.publish("a"), lane.publish("b")
    lane.expand_all()
    first, second = lane.pending(one)
    lane.end(one, first, "DEAD", cause="gone_410")
    lane.end(one, second, "DEAD", cause="gone_410")
    assert lane.db.run("SELECT status, status_reason, missed_snap IS NOT NULL, version FROM outbox.subscription") == [
        ("disabled", "gone_410", True, 2)]
    assert lane.db.run("SELECT a.action, a.actor, a.filter->>'reason', a.filter->>'subscription' = s.id"
                       " FROM outbox.audit a, outbox.subscription s") == [
        ("subscription.disable", "relay", "gone_410", True)]


# As pg_pipe.c sets a lane's session.
SESSION = ("-c jit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off"
           " -c enable_mergejoin=off")


def test_plans_of_an_empty_table_do_not_read_a_full_one(lane):
    """A lane prepares its statements when there is nothing, and keeps its connection for months."""
    one = lane.subscribe()
    lane.db.run("ALTER TABLE outbox.delivery SET (autovacuum_enabled = false)")
    lane.db.run("ALTER TABLE outbox.event SET (autovacuum_enabled = false)")
    with contextlib.closing(lane.db.connect(options=SESSION)) as c, c.cursor() as cursor:
        cursor.execute("SET ROLE outbox_relay")
        for name, call in {"expand": "outbox.expand(%s, %s, 60000, 100, false, NULL, NULL)",
                           "finish": "outbox.end_deliveries(%s, %s, $1, '[]')",
                           "tidy": "outbox.tidy_subscriptions(%s, %s, false, '{*}', '{*}')"}.items():
            cursor.execute(f"PREPARE {name}{'(json)' if '$1' in call else ''} AS SELECT * FROM "
                           + call % (lane.lane, lane.token))

        def reads(call: str) -> int:
            """How many rows of the log and the deliveries it looks at."""
            look = ("SELECT COALESCE(sum(seq_tup_read + COALESCE(idx_tup_fetch, 0)), 0)::int"
                    " FROM pg_stat_xact_user_tables WHERE schemaname = 'outbox' AND relname IN ('event', 'delivery')")
            cursor.execute(look)
            before = cursor.fetchone()[0]
            cursor.execute(call)
            cursor.execute(look)
            after = cursor.fetchone()[0]
            c.commit()
            return after - before

        def finish(seq: int) -> str:
            return (f"""EXECUTE finish('[{{"seq": {seq}, "subscription": {one}, "state": "DELIVERED", "attempts": 1,"""
                    """ "setbacks": 0, "asked": 0, "delay_ms": 0, "trigger": "schedule"}]')""")
        for _ in range(6):
            reads("EXECUTE expand"), reads("EXECUTE tidy"), reads(finish(1))
        lane.db.run("SELECT outbox.publish('order.paid', (i %% 4000)::text, '1') FROM generate_series(1, %s) i", 20000)
        lane.expand_all(5000)
        first = lane.pending(one)[0]
        assert len(lane.states(one)) == 20000
        assert reads(finish(first)) < 30
        lane.publish("0")
        assert reads("EXECUTE expand") < 30
        assert reads("EXECUTE tidy") < 3000, "200 keys"
        lane.db.run("UPDATE outbox.delivery SET state = 'DELIVERED' WHERE seq %% 4000 > %s", 100)
        assert reads(finish(first + 4000)) < 30


def test_a_look_does_not_read_what_died_before_the_destination_had_subscriptions(lane):
    """A backlog of it stays until a person decides, and the look comes every few seconds."""
    lane.publish()
    lane.db.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state)"
                " SELECT %s, i, '', i::text, 'DEAD' FROM generate_series(1, 20000) i", lane.lane)
    look = ("SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables"
            " WHERE schemaname = 'outbox' AND relname = 'delivery'")
    for statistics in (False, True):
        if statistics:
            lane.db.run("ANALYZE outbox.delivery")
        with contextlib.closing(lane.db.connect(options=SESSION)) as c, c.cursor() as cursor:
            cursor.execute("SELECT outbox.tidy_subscriptions(%s, %s, false, '{*}', '{*}')", (lane.lane, lane.token))
            cursor.execute(look)
            assert cursor.fetchone()[0] < 100, statistics


def test_retention_does_not_compare_each_dead_letter_with_each(lane):
    """Whatever the statistics are from: dead letters come by the thousand, and retention looks every few seconds."""
    n = 20000
    rows = ("INSERT INTO outbox.delivery (lane, seq, subscription, aggregate_type, aggregate_id, state)"
            " SELECT %s, e.seq, %s, '', e.aggregate_id, %s FROM outbox.event e")
    lane.db.run("ALTER TABLE outbox.delivery SET (autovacuum_enabled = false)")
    lane.db.run("SELECT outbox.publish('order.paid', i::text, '1') FROM generate_series(1, %s) i", n)
    lane.expand_all(5000)
    lane.db.run(rows, lane.lane, 1, "DELIVERED")
    lane.db.run("ANALYZE outbox.delivery, outbox.event, outbox.lane")
    lane.db.run(rows, lane.lane, 0, "DEAD")
    begin = time.monotonic()
    assert lane.call("SELECT outbox.retire('0', %s)", n)[0][0] == 0
    took = time.monotonic() - begin
    print(f"{n} dead letters: {took:.2f} s")
    assert took < 4


def test_those_who_take_nothing_of_it_cut_no_page(lane):
    """However many have subscribed, a page is as long as what its events lead to allows."""
    lane.db.run("INSERT INTO outbox.subscription (destination, url, event_types) SELECT %s, 'https://a.example/',"
                " CASE WHEN i <= 2 THEN '{order.paid}'::text[] ELSE '{other.*}' END FROM generate_series(1, 1000) i",
                lane.destination)
    lane.db.run("SELECT outbox.publish('order.paid', i::text, '1') FROM generate_series(1, 300) i")
    lane.db.run("SELECT outbox.publish('other.made', i::text, '1') FROM generate_series(1, 100) i")
    page = lane.expand(1000)
    # 300 for two, and as many as fit of those for 998.
    assert page[0][1:3] == (349, True) and sum(row[1] for row in page[1:]) == 600 + 49 * 998
    assert lane.expand(1000)[0][1:3] == (50, True) and lane.expand(1000)[0][1:3] == (1, False)
    assert lane.db.value("SELECT count(*) FROM outbox.delivery") == 600 + 100 * 998


def test_a_page_has_a_hundred_types_at_most(lane):
    one = lane.subscribe()
    lane.db.run("SELECT outbox.publish('type.' || i %% 250, 'k', '1') FROM generate_series(0, %s) i", 499)
    assert [lane.expand(1000)[0][1:3] for _ in range(5)] == [(100, True)] * 4 + [(100, False)]
    assert len(lane.states(one)) == 500


def test_a_page_follows_the_number_of_subscriptions(db):
    """However many subscribe, and whatever they filter by, one page is small enough for the lease."""
    lane = Expander(db)
    db.run("INSERT INTO outbox.subscription (destination, url, filter_path)"
           " SELECT %s, 'https://a.example/', '$.\"payload\".\"n\" >= 0' FROM generate_series(1, 5000)", lane.destination)
    db.run("SELECT outbox.publish('order.paid', i::text, json_build_object('n', i, 'x', repeat('x', 50000)), 'order')"
           " FROM generate_series(1, 30) i")
    begin = time.monotonic()
    page = lane.expand(1000)
    took = time.monotonic() - begin
    assert page[0][1] == 10 and page[0][2] and sum(row[1] for row in page[1:]) == 50_000
    print(f"10 events of 50 kB for 5000 filters: {took:.1f} s")
    lane.expand_all(1000)
    assert db.value("SELECT count(*) FROM outbox.delivery") == 150_000
