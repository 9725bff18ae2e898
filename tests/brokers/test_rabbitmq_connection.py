# SPDX-License-Identifier: Apache-2.0
"""The RabbitMQ adapter's connections: credentials, TLS, hosts, heartbeats, alarms, brokers that hang, restart
or are killed. What each fault becomes is the table in docs/rabbitmq.md.
"""

import uuid

import pytest

from conftest import WEAK_PASSWORD
from driver import Drive, check_bodies
from faults import injects
from harness import ports
from harness.certificates import Authority
from harness.tcp_proxy import TcpProxy
from harness.wait import wait_until


# The adapter is given five seconds; what it would wait for otherwise takes a minute, or does not come at all.
STOP_MS = 15000


@pytest.fixture
def queue(rabbitmq) -> str:
    """A durable queue of this test."""
    name = f"q{uuid.uuid4().hex[:8]}"
    rabbitmq.declare(name)
    return name


def drive(queue: str, *options, **kwargs) -> Drive:
    return Drive("rabbitmq", "exchange=", f"routing_key={queue}", *options, **kwargs)


def bodies(broker, queue: str) -> list[bytes]:
    return [body for _, body in broker.consume(queue, limit=broker.length(queue))]


def wait_fault(d: Drive, fault) -> None:
    wait_until(lambda: fault.check(d), f"{fault.outcome} {fault.cause}", 60)


def check_down(d: Drive, fault) -> None:
    """Nothing is delivered, the cause is named, health is down and stop() does not hang."""
    wait_fault(d, fault)
    wait_until(lambda: d.is_down(fault.cause), "health is down")
    d.stop()
    counts = d.result(ok=False)
    assert counts["delivered"] == 0 and set(counts["causes"]) <= {fault.cause, "unreachable"}
    assert counts["stop_ms"] < STOP_MS


# --- credentials


@injects("the password is wrong", "the virtual host does not exist", "the user may not enter the virtual host")
def test_credentials_are_named_and_not_shown(rabbitmq, queue, fault):
    password, vhost = WEAK_PASSWORD, "/"
    if "password" in fault.name:
        password = "battery staple"
    else:
        vhost = "nowhere" if "exist" in fault.name else "closed"
    d = drive(queue, f"hosts=127.0.0.1:{rabbitmq.port}", "username=weak", f"password={password}",
              f"vhost={vhost}")
    check_down(d, fault)
    assert not d.saw(password)


# --- TLS


def tls(broker, host: str = "localhost") -> list[str]:
    return [f"hosts={host}:{broker.tls_port}", "tls=true", "username=guest", "password=guest"]


def files(authority, certificate=None) -> list[str]:
    words = [f"ca_file={authority.ca}"]
    return words + [f"cert_file={certificate[0]}", f"key_file={certificate[1]}"] if certificate else words


def test_tls_with_verification(rabbitmq, queue, authority, client_certificate):
    counts = drive(queue, *tls(rabbitmq), *files(authority, client_certificate), n=10000, k=1000).result()
    assert counts["delivered"] == 10000 and counts["stats"]["connections_total"] == 1
    check_bodies(bodies(rabbitmq, queue), 10000, 1000)


def test_external_takes_the_user_from_the_certificate(rabbitmq, queue, authority, client_certificate):
    words = [f"hosts=localhost:{rabbitmq.tls_port}", "tls=true", "auth=external"]
    counts = drive(queue, *words, *files(authority, client_certificate), n=2000).result()
    assert counts["delivered"] == 2000
    wait_until(lambda: "user 'rider' authenticated" in rabbitmq.log_text(), "the broker names the user")


@injects("the certificate is of another authority")
def test_another_authority(rabbitmq, queue, tmp_path, client_certificate, fault):
    other = Authority(tmp_path, "other")
    check_down(drive(queue, *tls(rabbitmq), *files(other, client_certificate)), fault)


@injects("the certificate is for another name")
def test_another_host_name(rabbitmq, queue, authority, client_certificate, fault):
    check_down(drive(queue, *tls(rabbitmq, "127.0.0.1"), *files(authority, client_certificate)), fault)


@injects("the broker wants a client certificate")
def test_no_client_certificate(rabbitmq, queue, authority, fault):
    check_down(drive(queue, *tls(rabbitmq), *files(authority)), fault)


@injects("the port speaks no TLS")
def test_a_plain_port(rabbitmq, queue, authority, fault):
    words = [f"hosts=localhost:{rabbitmq.port}", "tls=true", *files(authority)]
    check_down(drive(queue, *words), fault)


# --- hosts, heartbeats, peers that hang


@injects("nobody listens")
def test_nobody_listens(queue, fault):
    port = ports.take()
    check_down(drive(queue, f"url=amqp://127.0.0.1:{port}"), fault)
    ports.release(port)


def test_a_list_of_hosts_is_gone_through(rabbitmq, queue):
    dead = ports.take()
    with TcpProxy(rabbitmq.port) as one, TcpProxy(rabbitmq.port) as two:
        hosts = ",".join(f"127.0.0.1:{p}" for p in (dead, one.port, two.port))
        n, k = 32000, 2000
        d = drive(queue, f"hosts={hosts}", "username=guest", "password=guest", n=n, k=k, idle=600,
                  pauses=(n // 4, n // 2, n * 3 // 4))
        for before in range(3):
            wait_until(lambda before=before: d.times("connected to") > before and d.settled > before * n // 4 + k,
                       "connected to a host that is there", 60)
            one.cut()
            two.cut()
            d.go_on()
        counts = d.result()
    ports.release(dead)
    assert one.accepted and two.accepted and counts["stats"]["connections_total"] >= 4
    assert counts["delivered"] == n and counts["rejected"] == counts["retry"] == 0
    check_bodies(bodies(rabbitmq, queue), n, k, duplicates=True)


def test_heartbeats_are_served_while_idle(rabbitmq, queue):
    """The broker closes a connection after two intervals of silence, that is 8 s; it is idle for much longer. We send
    twice an interval, so that a machine which holds us up for five seconds does no harm."""
    counts = drive(queue, f"url={rabbitmq.url}", "heartbeat=4s", idle=16).result()
    assert counts["delivered"] == 1000 and counts["causes"] == {}
    assert counts["stats"]["connections_total"] == 1


@injects("the peer accepts and says nothing")
def test_a_peer_that_says_nothing(rabbitmq, queue, fault):
    with TcpProxy(rabbitmq.port) as wire:
        wire.hold()
        check_down(drive(queue, f"url=amqp://127.0.0.1:{wire.port}", "connect_timeout=1s"), fault)


@injects("the peer hangs", "the peer reads no more")
def test_a_peer_that_hangs(rabbitmq, queue, fault):
    """One that hangs gets little, so that nothing but the silence can be noticed. Bodies for one that does not read
    are large enough to fill the buffers between us, and confirms are missed long before heartbeats."""
    hangs = "hangs" in fault.name
    n, k, size = (20000, 200, 300) if hangs else (4000, 2000, 16384)
    with TcpProxy(rabbitmq.port) as wire:
        d = drive(queue, f"url=amqp://127.0.0.1:{wire.port}", *(["heartbeat=3s"] if hangs else ["confirm_timeout=2s"]),
                  n=n, k=k, sizes=str(size), idle=600)
        wait_until(lambda: rabbitmq.length(queue) > 200, "events flow")
        wire.hold(*([] if hangs else ["up"]))
        d.go_on()
        wait_fault(d, fault)
        wire.cut()
        wire.release()
        counts = d.result()
    assert counts["delivered"] == n and counts["rejected"] == counts["retry"] == 0
    check_bodies(bodies(rabbitmq, queue), n, k, duplicates=True, size=size)


@injects("the peer reads no more")
def test_stop_is_in_time_although_the_peer_hangs(rabbitmq, queue, fault):
    with TcpProxy(rabbitmq.port) as wire:
        d = drive(queue, f"url=amqp://127.0.0.1:{wire.port}", n=40000, k=2000, sizes="16384", idle=600, pauses=(200,))
        wait_until(lambda: d.idles, "events flow")
        wire.hold("up")
        d.go_on()
        wait_until(lambda: "up" in wire.held, "the next ones are on their way")
        d.stop()
        counts = d.result(ok=False)
    assert counts["stop_ms"] < STOP_MS and counts["maybe"] > 0 and counts[fault.outcome] >= counts["maybe"]


# --- alarms, operators, crashes


def test_a_memory_alarm_is_shown_and_waited_for(rabbitmq, queue):
    d = drive(queue, f"url={rabbitmq.url}", n=20000, k=2000, idle=600)
    wait_until(lambda: rabbitmq.length(queue) > 100, "events flow")
    rabbitmq.block_publishers()
    d.go_on()
    try:
        wait_until(lambda: d.is_down("destination_blocked", "degraded"), "the alarm is shown")
        assert d.saw("the broker blocks publishers: low on memory")
        rabbitmq.declare(f"{queue}.late")
        late = drive(f"{queue}.late", f"url={rabbitmq.url}")
        wait_until(lambda: late.is_down("destination_blocked", "degraded"), "the alarm is shown again")
        late.stop()
        stopped = late.result(ok=False)
        assert stopped["delivered"] == 0 and stopped["unavailable"] > 0 and stopped["stop_ms"] < STOP_MS
    finally:
        rabbitmq.unblock_publishers()
    counts = d.result()
    assert counts["delivered"] == 20000 and counts["causes"] == {} and counts["maybe"] == 0
    assert counts["stats"]["connections_total"] == 1
    check_bodies(bodies(rabbitmq, queue), 20000, 2000)


@injects("an operator closes the connection")
def test_an_operator_closes_the_connection(rabbitmq, queue, fault):
    d = drive(queue, f"url={rabbitmq.url}", n=4000, k=2000, idle=600)
    wait_until(lambda: rabbitmq.length(queue) >= 2000, "events flow")
    rabbitmq.ctl("close_all_connections", "maintenance")
    wait_until(lambda: d.saw("320"), "the reason is told", 60)
    d.go_on()
    counts = d.result()
    assert counts["delivered"] == 4000 and counts["stats"]["connections_total"] == 2
    assert d.saw("320") and set(counts["causes"]) <= {fault.cause}
    check_bodies(bodies(rabbitmq, queue), 4000, 2000, duplicates=True)


@injects("the broker is killed")
def test_a_kill_and_a_restart_lose_nothing(rabbitmq, queue, fault):
    """The loop of kills is tests/fault/rabbitmq_soak.py."""
    n, k = 30000, 4000
    d = drive(queue, f"url={rabbitmq.url}", n=n, k=k, t=900, idle=600, pauses=(n // 3, 2 * n // 3))
    for part, stop in enumerate((rabbitmq.kill, rabbitmq.shut_down)):
        wait_until(lambda part=part: d.settled > part * n // 3 + k, "events flow", 60)
        stop()
        wait_fault(d, fault)
        wait_until(lambda part=part: d.times("health down") > part, "health is down")
        rabbitmq.start()
        d.go_on()
    counts = d.result()
    assert counts["delivered"] == n and counts["rejected"] == counts["retry"] == 0
    assert set(counts["causes"]) <= {"unreachable", "timeout", "no_route"}
    repeats = check_bodies(bodies(rabbitmq, queue), n, k, duplicates=True)
    print("duplicates", repeats, "in doubt", counts["maybe"])
    assert repeats <= counts["maybe"]
