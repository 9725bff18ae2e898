# SPDX-License-Identifier: Apache-2.0
"""The HTTP API about deliveries, attempts, redeliveries, recoveries, dead letters and event types."""

import re

import pytest

from harness.api import ApiClient, partners
from harness.secrets import KeyRing
from harness.wait import wait_until

BASE = "/webhooks/subscriptions"
UUID = "00000000-0000-7000-8000-000000000000"
QUICK = {"retry": {"initial": "20ms", "max": "50ms", "max_attempts": 2}}


@pytest.fixture
def api(relay_of, tmp_path, build, postrider):
    client = ApiClient(tmp_path)
    client.relay = relay_of([partners(**QUICK)], api=client.settings,
                            webhooks={"key_ring": KeyRing(build, postrider, tmp_path).path})
    return client


@pytest.fixture
def made(api, endpoint):
    """made(path, ...) creates a subscription and returns its id."""
    def make(path: str = "/hook", **members) -> str:
        answer = api("POST", BASE, {"url": endpoint.url(path), **members})
        assert answer.status == 201, answer
        return answer.body["id"]
    return make


def publish(db, n: int = 1, type: str = "order.paid", keys: int = 10) -> list[str]:
    return [row[0] for row in db.run(
        "SELECT outbox.publish(%s, 'k-' || i %% %s, json_build_object('n', i), 'order')::text"
        " FROM generate_series(1, %s) i ORDER BY i", type, keys, n)]


def states(db, sub: str) -> dict[str, int]:
    return dict(db.run("SELECT d.state, count(*) FROM outbox.delivery d JOIN outbox.subscription s USING (subscription)"
                       " WHERE s.id = %s GROUP BY 1", sub))


def wait_states(db, sub: str, **wanted: int) -> None:
    wait_until(lambda: states(db, sub) == wanted, f"{wanted}", timeout=120)


def refuses(answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"


# ---- deliveries and attempts ----------------------------------------------------------------------------------------

def test_deliveries_in_pages_and_by_filters(api, db, made):
    sub = made()
    ids = publish(db, 5) + publish(db, 2, "order.sent")
    wait_states(db, sub, DELIVERED=7)
    first = api("GET", f"{BASE}/{sub}/deliveries?limit=4").body
    assert [d["event_id"] for d in first["data"]] == ids[:2:-1] and first["has_more"]
    answer = api("GET", f"{BASE}/{sub}/deliveries?limit=4&cursor={first['next_cursor']}")
    assert [d["event_id"] for d in answer.body["data"]] == ids[2::-1] and not answer.body["has_more"]
    delivery = answer.body["data"][-1]
    assert re.fullmatch(r"dlv_\d+_\d+_\d+", delivery["id"])
    assert {k: delivery[k] for k in ("subscription_id", "event_id", "event_type", "aggregate_type", "status", "cause",
                                     "attempts", "trigger", "next_attempt_at")} == {
        "subscription_id": sub, "event_id": ids[0], "event_type": "order.paid", "aggregate_type": "order",
        "status": "delivered", "cause": None, "attempts": 1, "trigger": "schedule", "next_attempt_at": None}

    def count(query: str) -> int:
        return len(api("GET", f"{BASE}/{sub}/deliveries?{query}").body["data"])
    assert count("event_type=order.s*") == 2 and count(f"event_id={ids[3]}") == 1
    assert count("status=delivered") == 7 and count("status=dead") == 0
    assert count("since=2020-01-01T00:00:00Z") == 7 and count("until=2020-01-01T00:00:00Z") == 0


def test_an_attempt_explains_itself(api, db, made, endpoint):
    endpoint.answers["/hook"] = lambda *_: (500, b"no <room>\x00 left")
    sub = made()
    db.run("UPDATE outbox.subscription SET keep_responses = true")
    [event] = publish(db)
    wait_states(db, sub, DEAD=1)
    page = api("GET", f"{BASE}/{sub}/attempts").body
    assert [a["number"] for a in page["data"]] == [2, 1]
    last, first = page["data"]
    assert re.fullmatch(r"att_\d+", first["id"])
    assert (first["event_id"], first["status"], first["http_status"], first["trigger"]) == (event, "retry", 500, "schedule")
    assert first["error"]["category"] == "http_5xx" and first["error"]["cause"] == "failed_5xx"
    assert first["remote"].startswith("127.0.0.1") and first["connection_reused"] is False
    assert set(first["timing"]) == {"dns_ms", "connect_ms", "tls_ms", "ttfb_ms", "total_ms"}
    assert 0 < first["timing"]["ttfb_ms"] <= first["timing"]["total_ms"]
    assert first["next_attempt_at"] > first["started_at"] and first["next_attempt_reason"] == "schedule"
    assert first["finished_at"] >= first["started_at"]
    assert (last["status"], last["next_attempt_at"], last["next_attempt_reason"]) == ("retry", None, "exhausted")

    path = f"{BASE}/{sub}/attempts"
    assert "room" in api("GET", path, who="reader").body["data"][0]["response_excerpt"]
    assert api("GET", path, who="hooks-reader").body["data"][0]["response_excerpt"] is None
    one = api("GET", f"/webhooks/deliveries/{first['delivery_id']}", who="hooks-reader").body
    assert one["delivery"]["status"] == "dead" and one["delivery"]["cause"] == "failed_5xx"
    assert [a["number"] for a in one["attempts"]] == [2, 1]
    assert one["attempts"][0]["response_excerpt"] is None

    def count(query: str) -> int:
        return len(api("GET", f"{path}?{query}").body["data"])
    assert count("http_status=5xx") == 2 and count("http_status=500") == 2 and count("http_status=4xx") == 0
    assert count("status=retry") == 2 and count("error=http_5xx") == 2 and count("error=timeout") == 0
    assert count("trigger=manual") == 0 and count(f"event_id={event}") == 2 and count(f"event_id={UUID}") == 0


@pytest.mark.parametrize("path,status,code", [
    (f"{BASE}/sub_none/deliveries", 404, "not-found"),
    (f"{BASE}/sub_none/attempts", 404, "not-found"),
    ("/webhooks/deliveries/dlv_1_1_1", 404, "not-found"),
    ("/webhooks/deliveries/dlv_1_1", 404, "not-found"),
    ("/webhooks/deliveries/dlv_99999999999_1_1", 404, "not-found"),
    ("/webhooks/deliveries/dlv_1_99999999999999999999_1", 404, "not-found"),
    ("/webhooks/deliveries/dlv_1_1_1x", 404, "not-found"),
    ("/webhooks/operations/op_none", 404, "not-found"),
    ("SUB/deliveries?status=gone", 400, "invalid-parameter"),
    ("SUB/deliveries?event_id=1", 400, "invalid-parameter"),
    ("SUB/deliveries?since=yesterday-ish", 400, "invalid-parameter"),
    ("SUB/deliveries?cursor=x", 400, "invalid-cursor"),
    ("SUB/deliveries?limit=0", 400, "invalid-parameter"),
    ("SUB/deliveries?unknown=1", 400, "bad-request"),
    ("SUB/attempts?http_status=5x", 400, "invalid-parameter"),
    ("SUB/attempts?http_status=%25%25%25", 400, "invalid-parameter"),
    ("SUB/attempts?trigger=luck", 400, "invalid-parameter"),
    ("/webhooks/dead-letters?event_id=1", 400, "invalid-parameter"),
    ("/webhooks/dead-letters?since=1", 400, "invalid-parameter"),
    ("/webhooks/dead-letters?subscription=nobody", 400, "invalid-parameter"),
    ("/webhooks/dead-letters?subscription=*", 400, "invalid-parameter"),
    ("/webhooks/dead-letters?subscription=sub_" + "G" * 32, 400, "invalid-parameter"),
    ("/webhooks/dead-letters?subscription=sub_" + "0" * 31, 400, "invalid-parameter"),
    ("/webhooks/dead-letters?subscription=sub_" + "0" * 33, 400, "invalid-parameter"),
])
def test_what_is_not_there_or_makes_no_sense(api, made, path, status, code):
    if "SUB" in path:
        path = path.replace("SUB", f"{BASE}/{made()}")
    answer = api("GET", path)
    refuses(answer, status, code)
    if code == "invalid-parameter":
        assert '"' + path.partition("?")[2].partition("=")[0] + '"' in answer.body["detail"], "it names the parameter"


def test_scopes(api, made):
    sub = made()
    for path in (f"{BASE}/{sub}/deliveries", f"{BASE}/{sub}/attempts", "/webhooks/dead-letters", "/webhooks/event-types"):
        assert api("GET", path, who="hooks-reader").status == 200
        refuses(api("GET", path, who=None), 401, "unauthorized")
    for method, path in (("POST", f"{BASE}/{sub}/recover"), ("POST", "/webhooks/deliveries/dlv_1_1_1/redeliver"),
                         ("DELETE", "/webhooks/operations/op_1"), ("POST", "/webhooks/dead-letters/redrive"),
                         ("PUT", "/webhooks/event-types")):
        refuses(api(method, path, {}, who="reader"), 403, "forbidden")
    refuses(api("PUT", "/webhooks/event-types", {"data": []}, who="hooks-writer"), 403, "forbidden")


# ---- again ----------------------------------------------------------------------------------------------------------

def test_a_redelivery_keeps_the_id_and_is_manual(api, db, made, endpoint):
    sub = made()
    [event] = publish(db)
    wait_states(db, sub, DELIVERED=1)
    [delivery] = api("GET", f"{BASE}/{sub}/deliveries").body["data"]
    path = f"/webhooks/deliveries/{delivery['id']}"
    answer = api("POST", path + "/redeliver", who="hooks-writer")
    assert answer.status == 202 and answer.headers["location"] == path and answer.body == {"id": delivery["id"]}
    wait_until(lambda: len(endpoint.at()) == 2, "it came again")
    assert [h["webhook-id"] for h, _ in endpoint.at()] == [event] * 2
    assert endpoint.at()[0][1] == endpoint.at()[1][1]
    wait_until(lambda: len(api("GET", path).body["attempts"]) == 2, "it is written down")
    again, _ = api("GET", path).body["attempts"]
    assert again["trigger"] == "manual" and again["number"] == 1
    assert db.run("SELECT actor FROM outbox.audit WHERE action = 'delivery.redeliver'") == [("api hooks-writer",)]


def test_a_repeated_redelivery_with_a_key_is_one(api, db, made, endpoint):
    sub = made()
    publish(db)
    wait_states(db, sub, DELIVERED=1)
    [delivery] = api("GET", f"{BASE}/{sub}/deliveries").body["data"]
    path = f"/webhooks/deliveries/{delivery['id']}/redeliver"
    answers = [api("POST", path, idempotency_key="once") for _ in range(3)]
    assert [a.status for a in answers] == [202] * 3 and len({a.text for a in answers}) == 1
    assert db.value("SELECT asked FROM outbox.delivery") == 1


def test_what_cannot_be_delivered_again(api, db, made):
    sub = made()
    publish(db)
    wait_states(db, sub, DELIVERED=1)
    [delivery] = api("GET", f"{BASE}/{sub}/deliveries").body["data"]
    etag = api("GET", f"{BASE}/{sub}").etag
    assert api("PATCH", f"{BASE}/{sub}", {"status": "disabled"}, if_match=etag).status == 200
    refuses(api("POST", f"/webhooks/deliveries/{delivery['id']}/redeliver"), 409, "subscription-disabled")
    refuses(api("POST", f"{BASE}/{sub}/recover", {}), 409, "subscription-disabled")
    refuses(api("POST", "/webhooks/deliveries/dlv_1_1_77/redeliver"), 404, "not-found")


def test_what_failed_is_recovered_once_the_endpoint_is_well(api, db, made, endpoint):
    endpoint.answers["/hook"] = 422
    sub = made()
    publish(db, 30)
    wait_states(db, sub, DEAD=30)
    endpoint.answers["/hook"] = 204
    count = api("POST", f"{BASE}/{sub}/recover", {"include": "failed", "dry_run": True})
    assert count.status == 200 and count.body == {"dry_run": True, "failed": 30, "missed": 0, "matched": 30}
    answer = api("POST", f"{BASE}/{sub}/recover", {"include": "failed"}, who="hooks-writer")
    assert answer.status == 202 and answer.body["state"] == "running"
    assert answer.headers["location"] == f"/webhooks/operations/{answer.body['id']}"
    wait_states(db, sub, DELIVERED=30)
    operation = api("GET", answer.headers["location"]).body
    assert {k: operation[k] for k in ("subscription_id", "kind", "include", "state", "matched", "enqueued", "succeeded",
                                      "failed", "pending", "progress")} == {
        "subscription_id": sub, "kind": "recover", "include": "failed", "state": "done", "matched": 30, "enqueued": 30,
        "succeeded": 30, "failed": 0, "pending": 0, "progress": 1}
    assert operation["finished_at"] >= operation["created_at"] and operation["eta"] is None
    attempts = api("GET", f"{BASE}/{sub}/attempts?status=delivered&trigger=recover").body
    assert len(attempts["data"]) == 30


def test_a_recovery_begins_at_an_event(api, db, made, endpoint):
    endpoint.answers["/hook"] = 422
    sub = made()
    ids = publish(db, 5)
    wait_states(db, sub, DEAD=5)

    def count(begin) -> int:
        return api("POST", f"{BASE}/{sub}/recover", {"from": begin, "dry_run": True}).body["failed"]
    assert count(ids[3]) == 2
    seq = db.value("SELECT seq FROM outbox.event WHERE event_id = %s", ids[1])
    assert count(seq) == 4
    gone = api("POST", f"{BASE}/{sub}/recover", {"from": "00000000-0000-0000-0000-000000000000"})
    assert gone.status == 422 and gone.faults() == {"/from": "window-too-large"}
    assert api("POST", f"{BASE}/{sub}/recover", {"from": seq}).body["from_seq"] == seq


def test_an_endpoint_that_is_gone_gets_no_more_attempts(api, db, made, endpoint):
    endpoint.answers["/hook"] = 410
    sub = made()
    publish(db)
    wait_states(db, sub, DEAD=1)
    [attempt] = api("GET", f"{BASE}/{sub}/attempts").body["data"]
    assert (attempt["next_attempt_at"], attempt["next_attempt_reason"]) == (None, "gone")


def test_a_delivery_tells_until_when_its_endpoint_is_left_alone(api, db, made):
    sub = made(status="paused")
    publish(db, 3)
    wait_states(db, sub, PENDING=3)
    db.run("UPDATE outbox.delivery SET state = 'RETRY', next_attempt_at = '2100-01-01Z' WHERE seq = 1")
    db.run("UPDATE outbox.delivery SET state = 'RETRY', next_attempt_at = '2098-01-01Z' WHERE seq = 2")
    db.run("INSERT INTO outbox.subscription_health (subscription, throttled_until)"
           " SELECT subscription, '2099-01-01Z' FROM outbox.subscription")
    shown = api("GET", f"{BASE}/{sub}/deliveries").body["data"]
    assert [d["next_attempt_at"][:4] for d in shown] == ["2099", "2099", "2100"]


def test_what_was_missed_while_disabled_arrives_in_order(api, db, made, endpoint):
    sub = made()
    before = publish(db, 3, keys=1)
    wait_states(db, sub, DELIVERED=3)

    def patch(status: str) -> None:
        etag = api("GET", f"{BASE}/{sub}").etag
        assert api("PATCH", f"{BASE}/{sub}", {"status": status}, if_match=etag).status == 200
    patch("disabled")
    missed = publish(db, 5, keys=1)
    wait_until(lambda: db.value("SELECT sum(events) FROM outbox.backlog") == 0, "they have passed")
    patch("paused")
    after = publish(db, 2, keys=1)
    wait_states(db, sub, DELIVERED=3, PENDING=1, HELD=1)
    answer = api("POST", f"{BASE}/{sub}/recover")
    assert answer.status == 202 and answer.body["include"] == "all"
    wait_until(lambda: api("GET", answer.headers["location"]).body["state"] == "done", "it is queued")
    patch("active")
    wait_states(db, sub, DELIVERED=10)
    assert [h["webhook-id"] for h, _ in endpoint.at()] == before + missed + after


def test_a_recovery_is_cancelled(api, db, made, endpoint):
    endpoint.answers["/hook"] = 422
    sub = made()
    publish(db, 100)
    wait_states(db, sub, DEAD=100)
    answer = api("POST", f"{BASE}/{sub}/recover", {"include": "failed", "rate_per_second": 0.5})
    path = answer.headers["location"]
    wait_until(lambda: api("GET", path).body["enqueued"] > 0, "it has begun")
    operation = api("GET", path).body
    assert operation["state"] == "running" and operation["rate_per_second"] == 0.5
    assert operation["eta"] > operation["created_at"] and 0 < operation["progress"] < 1
    stopped = api("DELETE", path)
    assert stopped.status == 200 and stopped.body["state"] == "cancelled"
    assert api("DELETE", path).body["state"] == "cancelled"
    refuses(api("DELETE", "/webhooks/operations/op_none"), 404, "not-found")


@pytest.mark.parametrize("body,pointer,code", [
    ({"include": "lost"}, "/include", "invalid-value"),
    ({"since": "yesterday"}, "/since", "invalid-value"),
    ({"rate_per_second": 0}, "/rate_per_second", "invalid-value"),
    ({"rate_per_second": "1"}, "/rate_per_second", "invalid-value"),
    ({"event_types": []}, "/event_types", "invalid-value"),
    ({"event_types": [""]}, "/event_types/0", "invalid-value"),
    ({"dry_run": 1}, "/dry_run", "invalid-value"),
    ({"from": 0}, "/from", "invalid-value"),
    ({"from": "1"}, "/from", "invalid-value"),
    ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00+01:00"}, "/until", "invalid-value"),
    ({"window": 1}, "/window", "unknown-member"),
])
def test_a_recovery_names_its_mistakes(api, made, body, pointer, code):
    answer = api("POST", f"{BASE}/{made()}/recover", body)
    assert answer.status == 422 and answer.faults() == {pointer: code}


# ---- metrics --------------------------------------------------------------------------------------------------------

OLDEST = "postrider_subscription_oldest_pending_age_seconds"


def test_metrics_and_status_count_subscriptions(api, db, made, endpoint):
    endpoint.answers["/bad"] = 500
    made(), made("/bad", retry={"schedule_seconds": [3600]})
    off = made("/off")
    disabled = made("/never")
    assert api("PATCH", f"{BASE}/{disabled}", {"status": "disabled"}, if_match="*").status == 200
    assert api("PATCH", f"{BASE}/{off}", {"status": "paused"}, if_match="*").status == 200
    publish(db, 3, keys=3)
    metric = api.relay.metric

    def sampled() -> bool:
        return (metric("postrider_subscriptions", destination="partners", status="active") == 2
                and metric("postrider_subscriptions", destination="partners", status="paused") == 1
                and metric("postrider_subscriptions", destination="partners", status="pending_verification") == 0
                and metric("postrider_subscriptions_failing", destination="partners") == 1
                and metric("postrider_subscription_backlog", destination="partners") == 6
                and 0 < metric(OLDEST, destination="partners", status="active") < 600
                and 0 < metric(OLDEST, destination="partners", status="paused") < 600
                and metric(OLDEST, destination="partners", status="disabled") == 0
                and metric("postrider_cursor_lag_seconds", lane="partners") == 0)
    wait_until(sampled, "a sample has it")
    counts = {s["status"]: s for s in api("GET", "/v1/status").body["subscriptions"]}
    assert (counts["active"]["count"], counts["active"]["failing"], counts["paused"]["count"]) == (2, 1, 1)
    assert counts["active"]["oldestPendingMs"] > 0 and counts["disabled"]["oldestPendingMs"] == 0
    db.run("SELECT outbox.lane_pause('partners', 'me')")
    wait_until(lambda: db.value("SELECT owner FROM outbox.lane") is None, "the lane stands still")
    publish(db, 1)
    wait_until(lambda: metric("postrider_cursor_lag_seconds", lane="partners") > 0, "a lag")


def test_a_dry_run_that_takes_too_long_says_what_to_do_and_leaves_nothing(api, db, made):
    """As the server ends a statement that is over its time."""
    sub = made()
    rows = db.value("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'operation_rows'")
    db.run(re.sub(r"AS \$function\$.*", "AS $f$ BEGIN RAISE EXCEPTION 'canceling statement' USING ERRCODE = '57014';"
                  " END $f$", rows, flags=re.S).replace("LANGUAGE sql", "LANGUAGE plpgsql"))
    answer = api("POST", f"{BASE}/{sub}/recover", {"dry_run": True}, idempotency_key="k")
    refuses(answer, 503, "unavailable")
    assert all(word in answer.body["detail"] for word in ('"from"', '"since"', '"event_types"', '"dry_run"'))
    wait_until(lambda: not db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postrider api'"
                                    " AND datname = current_database()"), "its connection is gone, and with it its locks")
    assert db.value("SELECT count(*) FROM outbox.idempotency") == 0
    db.run(rows)
    assert api("POST", f"{BASE}/{sub}/recover", {"dry_run": True}, idempotency_key="k").status == 200


# ---- dead letters ---------------------------------------------------------------------------------------------------

def test_dead_letters_of_all_subscriptions(api, db, made, endpoint):
    endpoint.answers["/a"] = endpoint.answers["/b"] = 422
    a, b = made("/a"), made("/b")
    ids = publish(db, 3)
    wait_states(db, a, DEAD=3), wait_states(db, b, DEAD=3)
    first = api("GET", "/webhooks/dead-letters?limit=4").body
    rest = api("GET", f"/webhooks/dead-letters?limit=4&cursor={first['next_cursor']}").body
    assert len(first["data"]) == 4 and len(rest["data"]) == 2
    letter = first["data"][0]
    assert (letter["event_id"], letter["cause"], letter["attempts"]) == (ids[0], "rejected_4xx", 2)
    assert "url" not in letter and letter["destination"] == "partners"

    def count(query: str) -> int:
        return len(api("GET", f"/webhooks/dead-letters?{query}").body["data"])
    assert count(f"subscription={a}") == 3 and count(f"event_id={ids[1]}") == 2
    assert count("cause=timeout") == 0 and count("event_type=order.*") == 6
    assert count("subscription=sub_" + "0" * 32) == 0

    redrive = "/webhooks/dead-letters/redrive"
    dry = api("POST", redrive, {"filter": {"subscription": a}, "dry_run": True}).body
    assert (dry["matched"], dry["affected"], dry["complete"]) == (3, 0, False)
    endpoint.answers["/a"] = 204
    done = api("POST", redrive, {"filter": {"subscription": a, "cause": "rejected_4xx"}}).body
    assert (done["matched"], done["affected"], done["complete"]) == (3, 3, True)
    wait_states(db, a, DELIVERED=3)
    assert states(db, b) == {"DEAD": 3}
    assert {x["trigger"] for x in api("GET", f"{BASE}/{a}/attempts?status=delivered").body["data"]} == {"replay"}


def test_a_redrive_leaves_other_destinations_alone(api, db):
    db.run("INSERT INTO outbox.lane (destination) VALUES ('stream')")
    publish(db)
    db.run("INSERT INTO outbox.delivery (lane, seq, aggregate_type, aggregate_id, state, cause)"
           " SELECT l.lane, e.seq, '', 'x', 'DEAD', 'timeout' FROM outbox.lane l, outbox.event e"
           " WHERE l.destination = 'stream'")
    assert api("GET", "/webhooks/dead-letters").body["data"] == []
    done = api("POST", "/webhooks/dead-letters/redrive", {"filter": {"cause": "timeout"}}).body
    assert done["matched"] == 0


@pytest.mark.parametrize("body,pointer,code", [
    ({}, "/filter", "missing-member"),
    ({"filter": {}}, "/filter", "invalid-value"),
    ({"filter": {"type": "x"}}, "/filter/type", "unknown-member"),
    ({"filter": {"event_id": "x"}}, "/filter/event_id", "invalid-value"),
    ({"filter": {"cause": None}}, "/filter/cause", "invalid-value"),  # or it would be all of them
    ({"filter": {"cause": "x", "subscription": None}}, "/filter/subscription", "invalid-value"),
    ({"filter": {"cause": "x"}, "rate_per_second": 0.5}, "/rate_per_second", "invalid-value"),
])
def test_a_redrive_names_its_mistakes(api, body, pointer, code):
    answer = api("POST", "/webhooks/dead-letters/redrive", body)
    assert answer.status == 422 and answer.faults() == {pointer: code}


# ---- event types ----------------------------------------------------------------------------------------------------

def test_the_catalogue_is_shown_and_put(api, db):
    path = "/webhooks/event-types"
    assert api("GET", path).body == {"strict": False, "data": []}
    schema = {"type": "object", "required": ["id"]}
    types = {"data": [{"type": "order.paid", "schema": schema}, {"type": "order.sent", "version": 2}]}
    answer = api("PUT", path, types)
    assert answer.status == 200 and answer.body == api("GET", path).body == {"strict": False, "data": [
        {"type": "order.paid", "version": 1, "status": "active", "description": "", "schema": schema},
        {"type": "order.sent", "version": 2, "status": "active", "description": "", "schema": None}]}
    left = api("PUT", path, {"data": [{"type": "order.sent", "version": 2, "description": "Sent."}]}).body["data"]
    assert [(t["type"], t["status"], t["description"]) for t in left] == [
        ("order.paid", "retired", ""), ("order.sent", "active", "Sent.")]
    assert db.value("SELECT count(*) FROM outbox.audit WHERE action = 'event_types.put'") == 2


@pytest.mark.parametrize("body,pointer,code", [
    ({}, "/data", "missing-member"),
    ({"data": [1]}, "/data/0", "invalid-value"),
    ({"data": [{}]}, "/data/0/type", "missing-member"),
    ({"data": [{"type": "a", "version": 0}]}, "/data/0/version", "invalid-value"),
    ({"data": [{"type": "a", "status": "gone"}]}, "/data/0/status", "invalid-value"),
    ({"data": [{"type": "a", "schema": []}]}, "/data/0/schema", "invalid-value"),
    ({"data": [{"type": "a", "color": 1}]}, "/data/0/color", "unknown-member"),
])
def test_the_catalogue_names_its_mistakes(api, body, pointer, code):
    answer = api("PUT", "/webhooks/event-types", body)
    assert answer.status == 422 and answer.faults() == {pointer: code}


def test_a_type_that_is_listed_twice_is_refused(api):
    twice = {"data": [{"type": "a"}, {"type": "b"}, {"type": "a", "version": 1}]}
    answer = api("PUT", "/webhooks/event-types", twice)
    assert answer.status == 422 and set(answer.faults().values()) == {"invalid-value"}
