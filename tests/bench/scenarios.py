# SPDX-License-Identifier: Apache-2.0
"""scenarios.py - what is measured, against which limit, and what is to be reached.

A scenario is a function of a Stage and the options; it returns rows of the table.
"""

import base64
import contextlib
import json
import os
import socket
import statistics
import subprocess
import time

from harness import ports
from harness.wait import wait_until

import fan_out
import stage as stages
from rows import Options, Row
from stage import HEADERS, Stage, say


def _median(results: list[dict], name: str = "per_second") -> float:
    return statistics.median(r[name] for r in results)


def _spread(results: list[dict]) -> str:
    low, high = min(r["per_second"] for r in results), max(r["per_second"] for r in results)
    return f"{low / 1000:.1f}-{high / 1000:.1f}"


def _compare(stage: Stage, options: Options, name: str, relay, bare) -> Row:
    """Runs both in turn, so that a busy neighbour meets both; medians of all runs."""
    ours, limits = [], []
    for i in range(options.runs):
        limits.append(bare())
        ours.append(relay())
        say(f"{name}, run {i + 1}: relay {ours[-1]['per_second']:,.0f}/s, "
            f"limit {limits[-1]['per_second']:,.0f}/s")
    per_million = 1e6 / stage.events
    return Row(name, _median(ours), "events/s", _median(limits), least=0.6,
               note=f"thousands a second: relay {_spread(ours)}, limit {_spread(limits)}; processor "
                    f"seconds per million: relay {_median(ours, 'cpu_seconds') * per_million:.2f}, "
                    f"limit {_median(limits, 'cpu_seconds') * per_million:.2f}")


def drain_null(stage: Stage, options: Options) -> list[Row]:
    dsn = stage.socket_dsn(stage.database("log"))
    return [_compare(stage, options, "null adapter / window loop",
                     lambda: stage.drain({"adapter": "null"}),
                     lambda: stage.run("window_loop", dsn))]


KAFKA_WINDOW = 100000     # of the bare producer: librdkafka's own default


def _kafka(stage: Stage, options: Options, headers: str, n_headers: int) -> Row:
    """`headers` is the adapter's option of that name, `n_headers` how many it makes of an event."""
    broker = stage.kafka()

    def on_topic(work):
        topic = stage.unique("events")
        broker.create_topic(topic, partitions=6)
        try:
            return work(topic)
        finally:
            broker.delete_topic(topic)

    def ours(topic):
        return stage.drain({"adapter": "kafka", "options": {
            "bootstrap.servers": broker.bootstrap, "topic": topic, "headers": headers}})

    def bare(topic):
        return stage.run("kafka_bare", broker.bootstrap, topic, stage.events, stages.body_size(),
                         n_headers, KAFKA_WINDOW)

    return _compare(stage, options, f"Kafka, headers: {headers} / librdkafka with {n_headers}",
                    lambda: on_topic(ours), lambda: on_topic(bare))


def drain_kafka(stage: Stage, options: Options) -> list[Row]:
    return [_kafka(stage, options, "all", HEADERS), _kafka(stage, options, "id", 1)]


def drain_rabbitmq(stage: Stage, options: Options) -> list[Row]:
    broker = stage.rabbitmq()

    def on_queue(work):
        queue = stage.unique("events")
        broker.declare(queue)
        try:
            return work(queue)
        finally:
            with broker.channel() as channel:
                channel.queue_delete(queue)

    def ours(queue):
        return stage.drain({"adapter": "rabbitmq", "options": {
            "url": broker.url, "exchange": "", "routing_key": queue}})

    def bare(queue):
        return stage.run("rabbit_bare", broker.port, queue, stage.events, stages.body_size(),
                         HEADERS - 1, 2000)

    return [_compare(stage, options, "RabbitMQ / rabbitmq-c",
                     lambda: on_queue(ours), lambda: on_queue(bare))]


@contextlib.contextmanager
def _http_sink(stage: Stage):
    process = subprocess.Popen([stage.program("http_sink")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/"
    finally:
        process.communicate(timeout=10)


def _webhook(url: str) -> dict:
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    return {"adapter": "webhook", "options": {"url": url, "secret": secret, "allow_http": True,
                                              "allow_cidrs": "127.0.0.0/8"}}


def drain_http(stage: Stage, options: Options) -> list[Row]:
    with _http_sink(stage) as url:
        return [_compare(stage, options, "webhook / libcurl multi",
                         lambda: stage.drain(_webhook(url)),
                         lambda: stage.run("curl_bare", url, stage.events, stages.body_size(), 64))]


def _dead() -> dict:
    """A destination that refuses every connection."""
    port = ports.take()
    return {"name": "dead", **_webhook(f"http://127.0.0.1:{port}/")}


def _latency(stage: Stage, options: Options, beside: list[dict]) -> dict:
    db = stage.database("log")
    pipe = os.path.join(stage.folder, stage.unique("pipe"))
    os.mkfifo(pipe)
    out = {"name": "out", "adapter": "stdout", "start_from": "now", "options": {"path": pipe}}
    keep = os.open(pipe, os.O_RDWR)     # the adapter finds a reader from the beginning
    newest = db.value("SELECT max(seq) FROM outbox.event")
    try:
        with stage.relay(db, [out, *beside], wait=True) as r:
            wait_until(lambda: "lane.claimed" in r.log(), "the lane is claimed")
            before = stages.cpu_seconds(r.pid)
            began = time.monotonic()
            result = stage.run("latency", stage.socket_dsn(db), pipe, options.rate, options.seconds, 4,
                               options.per_transaction)
            result["cores"] = (stages.cpu_seconds(r.pid) - before) / (time.monotonic() - began)
    finally:
        os.close(keep)
        db.run("DELETE FROM outbox.event WHERE seq > %s", newest)
    say(f"latency: {result}")
    return result


def _steady(options: Options) -> str:
    return f"{options.rate:,} events/s, {options.per_transaction} a transaction"


def _latency_note(results: list[dict]) -> str:
    return (f"runs: p99 {', '.join(format(r['p99_ms'], '.1f') for r in results)}, worst "
            f"{max(r['max_ms'] for r in results):.1f} ms; written {_median(results):,.0f}/s; relay "
            f"{100 * _median(results, 'cores'):.0f} % of a core")


def latency(stage: Stage, options: Options) -> list[Row]:
    alone, beside = [], []
    for _ in range(options.runs):
        alone.append(_latency(stage, options, []))
        beside.append(_latency(stage, options, [_dead()]))
    steady = _steady(options)
    p99 = _median(alone, "p99_ms")
    return [
        Row(f"{steady}: commit to arrival, p50", _median(alone, "p50_ms"), "ms", most=5),
        Row(f"{steady}: commit to arrival, p99", p99, "ms", most=20, note=_latency_note(alone)),
        Row("the same beside a dead destination, p50", _median(beside, "p50_ms"), "ms", most=5),
        Row("the same beside a dead destination, p99 / alone", _median(beside, "p99_ms"), "ms", p99,
            most=1.2, note=_latency_note(beside)),
    ]


BUDGET_MB = 16     # max_bytes of a destination, its default


def memory(stage: Stage, _options: Options) -> list[Row]:
    db = stage.database("log")
    with stage.relay(db, [{"name": "sink", "adapter": "null"}, _dead()]) as r:
        wait_until(lambda: r.metric("postrider_delivered_total", lane="sink") >= stage.events,
                   "the healthy destination is drained", timeout=600)
        time.sleep(5)     # the dead destination's lane is probing
        now, peak = stages.memory_mb(r.pid)
    return [Row(f"resident memory, {stage.events:,} events waiting for a dead destination", peak, "MB",
                64 + 2 * BUDGET_MB, most=1, note=f"at its highest; {now:.1f} MB at the end")]


def start(stage: Stage, _options: Options) -> list[Row]:
    claimed, ready = [], []
    for _ in range(10):
        with stage.relay(stage.database(), [{"name": "sink", "adapter": "null"}]) as r:
            while not _answers_ready(r.ops_port):
                time.sleep(0.001)
            ready.append(time.time() - r.started_at)
            wait_until(lambda: "lane.claimed" in r.log(), "the lane is claimed")
            claimed.append(stages.claimed_at(r) - r.started_at)
    note = "median of 10; includes starting the process from Python"
    return [Row("start to first claim", 1000 * statistics.median(claimed), "ms", most=100, note=note),
            Row("start to /readyz 200", 1000 * statistics.median(ready), "ms", most=100, note=note)]


def _answers_ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as s:
        s.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return s.recv(64).split(b" ")[1:2] == [b"200"]
    return False


def idle(stage: Stage, options: Options) -> list[Row]:
    many = [{"name": f"sink{i}", "adapter": "null"} for i in range(4)]
    rows = []
    for destinations, name in ((many[:1], "one destination"), (many, "four destinations")):
        with stage.relay(stage.database(), destinations, wait=True) as r:
            time.sleep(3)
            before, began = stages.cpu_seconds(r.pid), time.monotonic()
            time.sleep(options.seconds)
            share = (stages.cpu_seconds(r.pid) - before) / (time.monotonic() - began)
        rows.append(Row(f"idle, {name}", 100 * share, "% of a core",
                        most=1 if len(destinations) == 1 else None))
    return rows


ALL = {
    "null": drain_null,
    "kafka": drain_kafka,
    "rabbitmq": drain_rabbitmq,
    "http": drain_http,
    "latency": latency,
    "memory": memory,
    "start": start,
    "idle": idle,
    "fan_out": fan_out.fan_out,
    "sick_endpoints": fan_out.sick_endpoints,
}
