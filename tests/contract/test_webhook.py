# SPDX-License-Identifier: Apache-2.0
"""test_webhook.py - the webhook adapter against a receiver that answers and misbehaves."""

import collections
import contextlib
import os
import subprocess
import time

import pytest

from adapter import MAYBE_DELIVERED, drive
from fault_receiver import FaultReceiver
from webhook_cases import (HERE, LOCAL, OLD_SECRET, SECRET, judge_by_npm, need_npm, options, ports, signature,
                           stop_when, wait_until)


@pytest.fixture
def receiver():
    with FaultReceiver() as server:
        yield server


def test_twenty_thousand_deliveries_verify(receiver, tmp_path):
    began = int(time.time())
    run = drive("webhook", options(receiver, "ok"), events=20_000, seconds=150)
    ended = time.time()
    assert run.outcomes == {"delivered": 20_000}
    assert collections.Counter(r.headers["webhook-id"] for r in receiver.requests).most_common(1)[0][1] == 1
    for request in receiver.requests:
        assert request.headers["webhook-signature"] == signature(SECRET, request)
        assert began <= int(request.headers["webhook-timestamp"]) <= ended
    # Kept connections, at most one for each request in flight.
    assert receiver.connections == run.totals["webhook_connections_total"] <= 64
    assert run.totals["webhook_requests_total"] == len(receiver.requests) == 20_000
    judge_by_npm(tmp_path, receiver.requests, [SECRET])


def test_vectors_by_npm():
    need_npm()
    vectors = os.path.join(HERE, "..", "data", "webhook-signatures.jsonl")
    done = subprocess.run(["node", os.path.join(HERE, "verify_signatures.mjs"), "vectors", vectors],
                          capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rotation_signs_with_both(receiver, tmp_path):
    drive("webhook", options(receiver, "ok", previous_secret=OLD_SECRET), events=50)
    for request in receiver.requests:
        assert request.headers["webhook-signature"].split(" ") == [signature(SECRET, request),
                                                                   signature(OLD_SECRET, request)]
    judge_by_npm(tmp_path, receiver.requests, [SECRET])
    judge_by_npm(tmp_path, receiver.requests, [OLD_SECRET])


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver, code):
    with FaultReceiver() as canary:
        one = drive("webhook", options(receiver, f"redirect/{code}/{canary.port}")).only
        assert (one["outcome"], one["cause"], canary.connections) == ("retry", "redirect", 0)


def test_silent_repetitions_are_counted(receiver):
    """The receiver drops each second request of a kept connection after reading it in full; libcurl
    sends it again by itself. What the adapter counts is what the receiver saw."""
    run = drive("webhook", options(receiver, "second", max_in_flight="1"), events=10)
    assert run.outcomes == {"delivered": 10}
    assert run.totals["webhook_requests_total"] == len(receiver.requests) > 10
    assert run.totals["webhook_repeated_requests_total"] == len(receiver.requests) - 10
    ids = collections.Counter(r.headers["webhook-id"] for r in receiver.requests)
    assert max(ids.values()) == 2


def test_receiver_down_then_up():
    port = ports.take()
    with contextlib.ExitStack() as stack:
        started = FaultReceiver(port)

        def meanwhile(driven):
            wait_until(driven.completed, "an event has found nobody", 60)
            stack.enter_context(started)
            started.up_at = time.monotonic()
        run = drive("webhook", LOCAL | {"url": f"http://127.0.0.1:{port}/ok"}, events=500, seconds=60,
                    meanwhile=meanwhile)
        assert time.monotonic() - started.up_at < 20  # all goes at once when it is up
    ports.release(port)
    assert run.outcomes["delivered"] == 500
    assert set(run.outcomes) == {"delivered", "unavailable"}  # no attempt was burnt
    assert len(started.requests) == 500


def test_an_unavailable_endpoint_gets_no_queue(receiver):
    """What waits behind a failure goes back unsent: at most the requests in flight reach it, each time that
    drive_adapter offers its 256 events."""
    run = drive("webhook", options(receiver, "status/503", max_in_flight="4"), events=1000)
    assert run.outcomes == {"unavailable": 1000}
    assert len(receiver.requests) <= 4 * 4


def test_stop_gives_back_in_time(receiver):
    run = drive("webhook", options(receiver, "silent", max_in_flight="4"), events=20, seconds=60,
                meanwhile=stop_when(lambda: len(receiver.requests) == 4))
    assert run.outcomes == {"unavailable": 20}
    assert run.totals["stop_ms"] < 20_000  # of which it is given two seconds; the requests would take thirty
    assert sum(1 for c in run.completions if c["flags"] == MAYBE_DELIVERED) == 4


def test_one_bad_event_is_blamed_while_others_succeed(receiver):
    """A timeout while the endpoint answers others costs that event an attempt."""
    run = drive("webhook", options(receiver, "everyhundredth", timeout="6s", max_in_flight="8"), events=600)
    assert run.outcomes == {"delivered": 594, "retry": 6}
    assert run.causes["timeout"] == 6


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A self-signed certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def test_tls(certificates):
    with FaultReceiver(tls=certificates) as server:
        trusted = {"url": f"https://localhost:{server.port}/ok", "secret": SECRET,
                   "allow_cidrs": "127.0.0.1,::1", "ca_file": certificates[0]}
        assert drive("webhook", trusted, events=100).outcomes == {"delivered": 100}
        assert len(server.requests) == 100
        self_signed = {k: v for k, v in trusted.items() if k != "ca_file"}
        one = drive("webhook", self_signed).only
        assert (one["outcome"], one["cause"], one["flags"]) == ("unavailable", "tls", 0)
        wrong_host = trusted | {"url": f"https://127.0.0.1:{server.port}/ok"}
        assert drive("webhook", wrong_host).only["cause"] == "tls"
        assert len(server.requests) == 100


def test_tls_to_a_plain_port(receiver):
    one = drive("webhook", options(receiver, "ok", timeout="2s") | {
        "url": receiver.base.replace("http:", "https:") + "/ok"}).only
    assert one["outcome"] == "unavailable" and one["cause"] in ("tls", "timeout") and one["flags"] == 0
    assert receiver.requests == []


@pytest.mark.parametrize("change, text", [
    ({"url": "http://example.com/", "allow_http": "false"}, "allow_http"),
    ({"url": "https://user:pw@example.com/"}, "user name"),
    ({"url": "https://10.0.0.1/"}, "private"),
    ({"secret": "whsec_dG9vc2hvcnQ="}, "too short"),
    ({"secret": "not a secret"}, "whsec_"),
    ({"previous_secret": "whsec_!!!"}, "base64"),
    ({"allow_cidrs": "10.0.0.1/8"}, "allow_cidrs"),
    ({"ports": "https"}, "ports"),
    ({"cert_file": "/nonexistent"}, "together"),
    ({"ca_file": "/nonexistent"}, "ca_file"),
])
def test_bad_options_are_named(change, text):
    with pytest.raises(ValueError) as refused:
        drive("webhook", {"url": "https://example.com/hook/SECRETPATH", "secret": SECRET} | change)
    assert text in str(refused.value)
    assert "SECRETPATH" not in str(refused.value)
    assert change.get("secret", "whsec_") not in str(refused.value) or "secret" not in change
