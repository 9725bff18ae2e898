# SPDX-License-Identifier: Apache-2.0
"""The RabbitMQ adapter against a real RabbitMQ: what is published, and what bad addresses, rights, queues
and messages do to it and to their neighbours. What they become is the table in docs/rabbitmq.md.

Run by ctest, or by hand: POSTRIDER_BUILD=build pytest tests/brokers
"""

import pathlib
import subprocess
import time
import uuid

import pytest

from conftest import MAX_MESSAGE, WEAK_PASSWORD
from driver import BUILD, PROGRAM, Drive, body_of, check_bodies
from faults import injects, rows
from harness.tcp_proxy import TcpProxy
from harness.wait import wait_until


def drive(broker, *options, **kwargs) -> Drive:
    return Drive("rabbitmq", f"url={broker.url}", *options, **kwargs)


@pytest.fixture
def name() -> str:
    """A prefix of this test for exchanges and queues."""
    return f"t{uuid.uuid4().hex[:8]}"


def bodies(broker, queue: str) -> list[bytes]:
    return [body for _, body in broker.consume(queue, limit=broker.length(queue))]


def wait_fault(d: Drive, fault) -> None:
    wait_until(lambda: fault.check(d), f"{fault.outcome} {fault.cause}", 60)


def neighbours(broker, d: Drive, fault, queue: str, n: int, k: int, duplicates: bool = False) -> dict:
    """Waits for the fault and for the n events that it does not concern, which arrive in order, then ends."""
    wait_fault(d, fault)
    wait_until(lambda: d.settled == n, "the neighbours flow", 60)
    d.stop()
    counts = d.result(ok=False)
    assert counts["delivered"] == n and counts["rejected"] == 0
    check_causes(counts, fault.cause)
    check_bodies(bodies(broker, queue), n, k, duplicates)
    return counts


def check_causes(counts: dict, *causes: str) -> None:
    """Events that are left when the driver's time is over end as unreachable: stopped."""
    stopped = {"unreachable"} if counts["settled"] < counts["n"] else set()
    assert set(counts["causes"]) - stopped == set(causes), counts


# --- what arrives


def test_events_arrive_in_order_byte_for_byte(rabbitmq, name):
    rabbitmq.declare(name)
    n, k = 50000, 5000
    counts = drive(rabbitmq, "exchange=", f"routing_key={name}", n=n, k=k).result()
    assert counts["delivered"] == n and counts["maybe"] == 0
    messages = rabbitmq.consume(name, limit=n)
    assert check_bodies((body for _, body in messages), n, k) == 0
    properties, _ = messages[0]
    assert properties.message_id == properties.headers["eventId"] == "00000000-0000-7000-8000-000000000000"
    assert (properties.type, properties.content_type) == ("TEST_HAPPENED", "application/json")
    assert (properties.delivery_mode, properties.timestamp) == (2, 1700000000)
    assert properties.headers["occurredAt"].startswith("2023-11-14T22:13:20.")
    assert properties.headers["aggregateType"] == "Test"


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_quorum_queues_and_streams_as_targets(rabbitmq, name, kind):
    rabbitmq.declare(name, name, "#", "topic", {"x-queue-type": kind})
    counts = drive(rabbitmq, f"exchange={name}", n=5000, k=500).result()
    assert counts["delivered"] == 5000
    if kind == "stream":
        messages = rabbitmq.consume(name, 60.0, 5000, {"x-stream-offset": "first"})
    else:
        messages = rabbitmq.consume(name, 60.0, 5000)
    check_bodies((body for _, body in messages), 5000, 500)


def test_a_large_payload_beside_small_ones(rabbitmq, name):
    rabbitmq.declare(name)
    counts = drive(rabbitmq, "exchange=", f"routing_key={name}", n=40, k=10,
                   sizes=f"300,{1 << 20}").result()
    assert counts["delivered"] == 40
    arrived = bodies(rabbitmq, name)
    assert len([b for b in arrived if len(b) == 1 << 20]) == 20
    assert body_of("key-1", 3, 1 << 20) in arrived


def test_an_empty_routing_key(rabbitmq, name):
    rabbitmq.declare(name, name, "", "direct")
    assert drive(rabbitmq, f"exchange={name}", "routing_key=").result()["delivered"] == 1000
    check_bodies(bodies(rabbitmq, name), 1000, 100)


ODD = ["caf\u00e9 \u20ac".encode(), b"a b\n\x1b[2J", b"\xff\xfe", b"n" * 255, b"'\"*#.."]


def test_any_bytes_as_routing_key(rabbitmq, name):
    rabbitmq.declare(name, name, "", "fanout")
    counts = drive(rabbitmq, f"exchange={name}", "routing_key={aggregateType}",
                   types=b",".join(ODD)).result()
    assert counts["delivered"] == 1000
    check_bodies(bodies(rabbitmq, name), 1000, 100)


def test_headers_with_any_bytes(rabbitmq, name):
    rabbitmq.declare(name)
    every = bytes(range(1, 256))
    drive(rabbitmq, "exchange=", f"routing_key={name}", n=1, k=1, headers=[
        b"x-bytes=" + every, "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "\u00fcml\u00e4ut=\u20ac", "x-empty=", "eventId=forged"]).result()
    (properties, _), = rabbitmq.consume(name, limit=1)
    assert properties.headers["x-bytes"] == every
    assert properties.headers["traceparent"] == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert properties.headers["\u00fcml\u00e4ut"] == "\u20ac"
    assert properties.headers["x-empty"] == ""
    assert properties.headers["eventId"] == properties.message_id


def test_an_alternate_exchange_takes_what_has_no_binding(rabbitmq, name):
    rabbitmq.declare(name, f"{name}.rest", "", "fanout")
    with rabbitmq.channel() as ch:
        ch.exchange_declare(name, "topic", durable=True, arguments={"alternate-exchange": f"{name}.rest"})
    counts = drive(rabbitmq, f"exchange={name}").result()
    assert counts["delivered"] == 1000 and counts["stats"]["returned_total"] == 0
    check_bodies(bodies(rabbitmq, name), 1000, 100)


# --- addresses


@injects("the exchange does not exist")
def test_a_missing_exchange_parks_only_its_events(rabbitmq, name, fault):
    rabbitmq.declare(f"{name}.known", f"{name}.known")
    d = drive(rabbitmq, f"exchange={name}.{{aggregateType}}", n=4000, k=1000, types="known,later")
    wait_fault(d, fault)
    wait_until(lambda: rabbitmq.length(f"{name}.known") == 2000, "the neighbours flow")
    rabbitmq.declare(f"{name}.later", f"{name}.later")
    counts = d.result()
    assert counts["delivered"] == 4000 and counts["stats"]["channel_errors_total"] == 0
    check_causes(counts, "no_route")
    for queue in ("known", "later"):
        check_bodies(bodies(rabbitmq, f"{name}.{queue}"), 2000, 500)


@injects("the exchange is deleted under load")
def test_a_deleted_exchange_repeats_the_window_in_order(rabbitmq, name, fault):
    """The channel dies with a window in flight: all of it comes again, each key in its order."""
    for kind in ("stays", "goes"):
        rabbitmq.declare(f"{name}.{kind}", f"{name}.{kind}")
    d = drive(rabbitmq, f"exchange={name}.{{aggregateType}}", n=20000, k=4000, types="stays,goes",
              idle=600)
    wait_until(lambda: rabbitmq.length(f"{name}.goes") > 2000, "events flow")
    with rabbitmq.channel() as ch:
        ch.exchange_delete(f"{name}.goes")
    d.go_on()
    # The broker takes the bindings away first, so an event may come back as one without a queue.
    wait_until(lambda: d.saw(f'exchange "{name}.goes{fault.words}'), "the adapter misses the exchange", 60)
    wait_until(lambda: d.ended(fault.outcome, fault.cause), "its events are held", 60)
    rabbitmq.declare(f"{name}.goes", f"{name}.goes")
    counts = d.result()
    assert counts["delivered"] == 20000 and counts["unavailable"] == counts["rejected"] == 0
    check_causes(counts, "no_route")
    repeats = sum(check_bodies(bodies(rabbitmq, f"{name}.{kind}"), 10000, 2000, duplicates=True)
                  for kind in ("stays", "goes"))
    assert counts["stats"]["channel_errors_total"] >= 1
    assert repeats <= counts["stats"]["replayed_total"]


@injects("no queue is bound for the routing key")
def test_a_deleted_binding_loses_and_repeats_nothing(rabbitmq, name, fault):
    rabbitmq.declare(name, name)
    d = drive(rabbitmq, f"exchange={name}", n=20000, k=2000, idle=600)
    wait_until(lambda: rabbitmq.length(name) > 1000, "events flow")
    with rabbitmq.channel() as ch:
        ch.queue_unbind(name, name, "#")
    d.go_on()
    wait_fault(d, fault)
    with rabbitmq.channel() as ch:
        ch.queue_bind(name, name, "#")
    counts = d.result()
    assert counts["delivered"] == 20000 and counts["stats"]["returned_total"] == counts["unroutable"]
    check_causes(counts, "no_route")
    check_bodies(bodies(rabbitmq, name), 20000, 2000)


@injects("the queue named by the routing key does not exist")
def test_a_missing_queue_behind_the_default_exchange(rabbitmq, name, fault):
    d = drive(rabbitmq, "exchange=", f"routing_key={name}", n=500)
    wait_fault(d, fault)
    rabbitmq.declare(name)
    counts = d.result()
    check_causes(counts, "no_route")
    check_bodies(bodies(rabbitmq, name), 500, 100)


@injects("the exchange name is longer than 255 bytes", "the routing key is longer than 255 bytes")
def test_a_name_that_is_too_long_parks_only_its_events(rabbitmq, name, fault):
    rabbitmq.declare(name, name)
    option = "exchange" if "exchange" in fault.name else "routing_key"
    other = f"exchange={name}" if option == "routing_key" else "routing_key=x"
    d = drive(rabbitmq, f"{option}={{aggregateType}}", other, n=400, types=f"{name},{'n' * 256}")
    neighbours(rabbitmq, d, fault, name, 200, 50)


@injects("the exchange name is not UTF-8")
def test_odd_exchange_names_park_only_their_events(rabbitmq, name, fault):
    for exchange in (name, f"{name} \u20ac'"):
        rabbitmq.declare(name, exchange)
    types = [b"\xff\xfe", name.encode(), f"{name} \u20ac'".encode(), *ODD]
    d = drive(rabbitmq, "exchange={aggregateType}", n=8 * 60, k=80, types=b",".join(types))
    assert neighbours(rabbitmq, d, fault, name, 120, 20)["stats"]["connections_total"] == 1


# --- rights


def weak(broker, port: int = 0) -> str:
    return f"url=amqp://weak:{WEAK_PASSWORD.replace(' ', '%20')}@127.0.0.1:{port or broker.port}/%2F"


@injects("the user may not write to the exchange")
def test_a_forbidden_exchange_parks_only_its_events(rabbitmq, fault):
    for kind in ("open", "shut"):
        rabbitmq.declare(f"w.{kind}", f"w.{kind}")
    # With the delay, events that go one by one take longer than the test has: a thousand seconds.
    with TcpProxy(rabbitmq.port, delay=0.05) as slow:
        d = Drive("rabbitmq", weak(rabbitmq, slow.port), "exchange=w.{aggregateType}", n=20000, k=2000,
                  t=600, types="open,shut")
        wait_fault(d, fault)
        wait_until(lambda: rabbitmq.length("w.open") >= 10000, "the neighbours flow", 180)
        rabbitmq.ctl("set_permissions", "weak", "", "^w\\..*", "")
        counts = d.result()
    assert counts["delivered"] == 20000
    check_causes(counts, "auth")
    check_bodies(bodies(rabbitmq, "w.shut"), 10000, 1000, duplicates=True)
    check_bodies(bodies(rabbitmq, "w.open"), 10000, 1000, duplicates=True)


@injects("the user may not write this routing key")
def test_a_forbidden_routing_key_parks_only_its_events(rabbitmq, fault):
    rabbitmq.declare("w.topics", "w.topics")
    d = Drive("rabbitmq", weak(rabbitmq), "exchange=w.topics", "routing_key={aggregateType}", n=2000,
              k=200, types="allowed,forbidden")
    neighbours(rabbitmq, d, fault, "w.topics", 1000, 100, duplicates=True)


@injects("the exchange is internal")
def test_an_internal_exchange_parks_only_its_events(rabbitmq, name, fault):
    rabbitmq.declare(f"{name}.good", f"{name}.good")
    with rabbitmq.channel() as ch:
        ch.exchange_declare(f"{name}.inner", "topic", durable=True, internal=True)
    d = drive(rabbitmq, f"exchange={name}.{{aggregateType}}", n=2000, k=200, types="good,inner")
    neighbours(rabbitmq, d, fault, f"{name}.good", 1000, 100, duplicates=True)


# --- queues and messages


@injects("the queue is full and rejects")
def test_a_full_queue_is_retried(rabbitmq, name, fault):
    rabbitmq.declare(name, arguments={"x-max-length": 100, "x-overflow": "reject-publish"})
    d = drive(rabbitmq, "exchange=", f"routing_key={name}", n=400, k=400)
    wait_fault(d, fault)
    arrived = []
    deadline = time.monotonic() + 60
    while len(arrived) < 400 and time.monotonic() < deadline:
        arrived += bodies(rabbitmq, name)
    counts = d.result()
    assert counts["stats"]["nacked_total"] == counts["retry"] > 0 and counts["maybe"] == 0
    check_causes(counts, "queue_full")
    check_bodies(arrived, 400, 400)


@injects("the body is over the broker's maximum")
def test_a_body_that_is_too_large_spares_its_neighbours(rabbitmq, name, fault):
    rabbitmq.declare(name)
    d = drive(rabbitmq, "exchange=", f"routing_key={name}", n=1000, k=500,
              sizes=",".join(["300"] * 249 + [str(MAX_MESSAGE + (4 << 20))]))
    counts = d.result()
    assert fault.check(d) and (counts["delivered"], counts["rejected"]) == (996, 4)
    assert counts["unavailable"] == 0 and counts["stats"]["connections_total"] == 1
    check_causes(counts, "too_large")
    check_bodies(bodies(rabbitmq, name), 996, 498, duplicates=True)


@injects("the headers do not fit into a frame")
def test_headers_that_are_too_large(rabbitmq, name, fault):
    rabbitmq.declare(name)
    d = drive(rabbitmq, "exchange=", f"routing_key={name}", n=5, k=5, headers=["x-big=" + "b" * 100000,
                                                                            "x-more=" + "b" * 50000])
    counts = d.result()
    assert fault.check(d) and counts["rejected"] == 5


@injects("a writer's header is named CC or BCC")
def test_headers_that_would_route(rabbitmq, name, fault):
    rabbitmq.declare(name)
    d = drive(rabbitmq, "exchange=", f"routing_key={name}", n=5, k=5, headers=["BCC=elsewhere"])
    counts = d.result()
    assert fault.check(d) and counts["rejected"] == 5 and rabbitmq.length(name) == 0


# --- options, and the page


@pytest.mark.parametrize("words, text", [
    (["url=http://h", "exchange=e"], "url must be amqp"),
    (["url=amqp://u:hunter2@h:99999999/", "exchange=e"], "url must be amqp"),
    (["exchange=e"], "one of url and hosts"),
    (["hosts=a:b", "exchange=e"], "hosts must be"),
    (["hosts=h", "exchange={oops}"], "unknown field"),
    (["hosts=h", "exchange=e", "auth=external"], "external needs cert_file"),
    (["hosts=h", "exchange=e", "cert_file=c.pem"], "need each other"),
    (["hosts=h", "exchange=e", "heartbeat=1ms"], "heartbeat"),
    (["hosts=h", "exchange=e", "hartbeat=1s"], "hartbeat"),
])
def test_bad_options_are_named(words, text):
    done = subprocess.run([PROGRAM, BUILD / "adapters/postrider-rabbitmq.so", *words], capture_output=True,
                          text=True, timeout=180, check=False)
    assert done.returncode == 2 and text in done.stderr
    assert "hunter2" not in done.stderr


def test_every_fault_of_the_page_is_injected():
    here = pathlib.Path(__file__).parent
    tests = "".join(path.read_text() for path in here.glob("test_rabbitmq_*.py"))
    assert len(rows()) > 20
    assert [name for name in rows() if f'"{name}"' not in tests] == []
