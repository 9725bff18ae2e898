# SPDX-License-Identifier: Apache-2.0
"""test_webhook.py - the webhook adapter against a receiver that answers and misbehaves."""

import base64
import collections
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from adapter import BUILD, MAYBE_DELIVERED, drive
from fault_receiver import FaultReceiver

HERE = os.path.dirname(os.path.abspath(__file__))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
LOCAL = {"secret": SECRET, "allow_http": "true", "allow_cidrs": "127.0.0.1", "timeout": "2s"}


@pytest.fixture
def receiver():
    with FaultReceiver() as server:
        yield server


def options(receiver, path, **more):
    return LOCAL | {"url": f"{receiver.base}/{path}"} | more


def signature(secret, request):
    """The v1 entry by Python's hmac alone, from the text of the specification."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed + request.body, hashlib.sha256).digest()).decode()


def test_twenty_thousand_deliveries_verify(receiver, tmp_path):
    run = drive("webhook", options(receiver, "ok"), events=20_000, seconds=60)
    assert run.outcomes == {"delivered": 20_000}
    assert collections.Counter(r.headers["webhook-id"] for r in receiver.requests).most_common(1)[0][1] == 1
    for request in receiver.requests:
        assert request.headers["webhook-signature"] == signature(SECRET, request)
        assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    # Kept connections, at most one for each request in flight.
    assert receiver.connections == run.totals["webhook_connections_total"] <= 64
    assert run.totals["webhook_requests_total"] == len(receiver.requests) == 20_000
    judge_by_npm(tmp_path, receiver.requests, [SECRET])


def judge_by_npm(tmp_path, requests, secrets):
    """Every request is verified by the npm packages standardwebhooks and svix."""
    if not os.path.isdir(os.path.join(HERE, "node_modules", "standardwebhooks")) or not shutil.which("node"):
        pytest.skip("npm packages of tests/contract are not installed")
    dump = tmp_path / "requests.jsonl"
    with open(dump, "w", encoding="utf-8") as file:
        for request in requests:
            file.write(json.dumps({"headers": request.headers,
                                   "body": base64.b64encode(request.body).decode()}) + "\n")
    done = subprocess.run(["node", os.path.join(HERE, "verify_signatures.mjs"), "requests", str(dump), *secrets],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(requests)} requests" in done.stdout


def test_vectors_by_npm():
    if not os.path.isdir(os.path.join(HERE, "node_modules", "standardwebhooks")) or not shutil.which("node"):
        pytest.skip("npm packages of tests/contract are not installed")
    vectors = os.path.join(HERE, "..", "data", "webhook-signatures.jsonl")
    done = subprocess.run(["node", os.path.join(HERE, "verify_signatures.mjs"), "vectors", vectors],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rotation_signs_with_both(receiver, tmp_path):
    drive("webhook", options(receiver, "ok", previous_secret=OLD_SECRET), events=50)
    for request in receiver.requests:
        assert request.headers["webhook-signature"].split(" ") == [signature(SECRET, request),
                                                                   signature(OLD_SECRET, request)]
    judge_by_npm(tmp_path, receiver.requests, [SECRET])
    judge_by_npm(tmp_path, receiver.requests, [OLD_SECRET])


@pytest.mark.parametrize("path, outcome, cause, retry_after_ms", [
    ("status/200", "delivered", "none", 0),
    ("status/204", "delivered", "none", 0),
    ("early", "delivered", "none", 0),
    ("status/304", "retry", "redirect", 0),
    ("status/400", "retry", "rejected_4xx", 0),
    ("status/408", "retry", "timeout", 0),
    ("status/410", "unroutable", "gone_410", 0),
    ("status/413", "rejected", "too_large", 0),
    ("status/429/7", "unavailable", "rate_limited", 7000),
    ("status/429/120.5", "unavailable", "rate_limited", 0),
    ("status/500/7", "retry", "failed_5xx", 0),
    ("status/503/999999999", "unavailable", "failed_5xx", 3_600_000),
])
def test_statuses(receiver, path, outcome, cause, retry_after_ms):
    one = drive("webhook", options(receiver, path)).only
    assert (one["outcome"], one["cause"], one["retry_after_ms"]) == (outcome, cause, retry_after_ms)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("path, outcome, cause, most_ms", [
    ("silent", "unavailable", "timeout", 2300),
    ("headerdrip", "unavailable", "timeout", 2300),
    ("bodydrip/200", "delivered", "none", 2300),
    ("bodydrip/500", "retry", "failed_5xx", 2300),
    ("endless/200", "delivered", "none", 1000),
    ("endless/500", "retry", "failed_5xx", 1000),
    ("headerflood/200", "delivered", "none", 1000),
    ("interim/0", "unavailable", "unreachable", 1000),
    ("interim/0.1", "unavailable", "timeout", 2300),
    ("bomb", "delivered", "none", 1500),
    ("garbage", "unavailable", "unreachable", 1000),
    ("close", "unavailable", "unreachable", 1000),
    ("reset", "unavailable", "unreachable", 1000),
    ("reset/200", "delivered", "none", 1000),
    ("reset/503", "unavailable", "failed_5xx", 1000),
])
def test_misbehaviour_is_bounded(receiver, path, outcome, cause, most_ms):
    run = drive("webhook", options(receiver, path))
    one = run.only
    assert (one["outcome"], one["cause"]) == (outcome, cause)
    assert one["ms"] <= most_ms
    answered = one["status"] >= 200
    assert answered or one["flags"] == MAYBE_DELIVERED  # the request went out, no answer came
    assert run.totals["peak_kb"] < 32 * 1024


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver, code):
    with FaultReceiver() as canary:
        one = drive("webhook", options(receiver, f"redirect/{code}/{canary.port}")).only
        assert (one["outcome"], one["cause"], canary.connections) == ("retry", "redirect", 0)


REFUSED_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "2130706433",
    "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "127.0.0.2", "127.255.255.254",
]


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_refused_addresses_are_never_dialled(host):
    """A canary listens on every local address; names that only the resolver unmasks get to the guard."""
    with dual_stack_canary() as (port, accepted):
        more = {"url": f"http://{host}:{port}/canary", "allow_cidrs": "10.0.0.0/8"}
        try:
            one = drive("webhook", LOCAL | more).only
            # A name with a final dot is not known to every resolver.
            unknown = host.endswith(".") and one["cause"] == "unreachable"
            assert unknown or (one["outcome"], one["cause"], one["flags"]) == ("unroutable", "blocked_address", 0)
        except ValueError as refused:
            assert "url: " in str(refused)
        time.sleep(0.05)
        assert accepted == []


class dual_stack_canary:
    """Listens on [::] for both families and collects whoever connects."""

    def __enter__(self):
        self.listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.accepted = []
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()
        return self.listener.getsockname()[1], self.accepted

    def collect(self):
        try:
            while True:
                self.accepted.append(self.listener.accept()[1])
        except OSError:
            pass

    def __exit__(self, *_exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def drive_with_resolver(addresses, **more):
    if "asan" in BUILD or "tsan" in BUILD:
        pytest.skip("sanitizers bring a getaddrinfo of their own")
    preload = {"LD_PRELOAD": os.path.join(BUILD, "tests", "contract", "fake_resolver.so"),
               "FAKE_ADDRESSES": addresses}
    return drive("webhook", LOCAL | more, env=preload)


@pytest.mark.parametrize("answers", ["127.0.0.2", "10.0.0.1,127.0.0.2", "::1", "::ffff:127.0.0.2", "169.254.169.254",
                                     "::ffff:169.254.169.254,fe80::1", "0.0.0.0"])
def test_names_with_refused_answers_are_never_dialled(answers):
    with dual_stack_canary() as (port, accepted):
        one = drive_with_resolver(answers, url=f"http://partner.example:{port}/").only
        assert (one["outcome"], one["cause"], one["flags"]) == ("unroutable", "blocked_address", 0)
        assert accepted == []


def test_of_mixed_answers_only_the_allowed_is_dialled(receiver):
    """The refused address comes first and has a listener, too."""
    with FaultReceiver(receiver.port, host="127.0.0.2") as canary:
        run = drive_with_resolver("127.0.0.2,127.0.0.1", url=f"http://partner.example:{receiver.port}/ok")
        assert run.outcomes == {"delivered": 1}
        assert run.totals["webhook_blocked_addresses_total"] == 1
        assert canary.connections == 0
        # The name travels in the request, whatever address was dialled.
        assert receiver.requests[0].headers["host"] == f"partner.example:{receiver.port}"


def test_an_address_that_turns_bad_is_unreachable_not_blocked():
    """One answer refused, the other allowed but dead: the endpoint is down, the policy is not to blame."""
    with FaultReceiver() as gone:
        port = gone.port
    one = drive_with_resolver("127.0.0.2,127.0.0.1", url=f"http://partner.example:{port}/").only
    assert (one["outcome"], one["cause"]) == ("unavailable", "unreachable")


def test_the_canary_would_notice(receiver):
    with dual_stack_canary() as (port, accepted):
        drive("webhook", LOCAL | {"url": f"http://127.0.0.1:{port}/", "timeout": "1s"})
        assert len(accepted) == 1


def test_own_interface_addresses_are_refused():
    """Whatever this host's addresses are, private or public."""
    text = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout
    for address in text.split():
        host = f"[{address}]" if ":" in address else address
        with dual_stack_canary() as (port, accepted):
            try:
                one = drive("webhook", LOCAL | {"url": f"http://{host}:{port}/", "ports": str(port)}).only
                assert one["cause"] == "blocked_address"
            except ValueError as refused:
                assert "url: " in str(refused)
            assert accepted == []


def test_proxies_of_the_environment_are_ignored(receiver):
    with FaultReceiver() as proxy:
        hostile = {name: proxy.base for name in
                   ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
        one = drive("webhook", options(receiver, "ok"), env=hostile).only
        assert one["outcome"] == "delivered"
        assert proxy.connections == 0


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
    with FaultReceiver() as placeholder:
        port = placeholder.port
    started = FaultReceiver(port)
    timer = threading.Timer(2.0, started.__enter__)
    timer.start()
    try:
        run = drive("webhook", LOCAL | {"url": f"http://127.0.0.1:{port}/ok"}, events=500, seconds=30)
    finally:
        timer.join()
        started.__exit__()
    assert run.outcomes["delivered"] == 500
    assert set(run.outcomes) == {"delivered", "unavailable"}  # no attempt was burnt
    assert len(started.requests) == 500
    assert run.totals["ms"] < 5000


def test_an_unavailable_endpoint_gets_no_queue(receiver):
    """What waits behind a failure goes back unsent: at most the requests in flight reach it."""
    run = drive("webhook", options(receiver, "status/503", max_in_flight="4"), events=1000)
    assert run.outcomes == {"unavailable": 1000}
    assert len(receiver.requests) <= 8


def test_stop_gives_back_in_time(receiver):
    run = drive("webhook", options(receiver, "silent", timeout="30s", max_in_flight="4"), events=20, seconds=1)
    assert run.outcomes == {"unavailable": 20}
    assert run.totals["stop_ms"] < 3000
    assert sum(1 for c in run.completions if c["flags"] == MAYBE_DELIVERED) == 4


def test_one_bad_event_is_blamed_while_others_succeed(receiver):
    """A timeout while the endpoint answers others costs that event an attempt."""
    run = drive("webhook", options(receiver, "everyhundredth", timeout="1s", max_in_flight="8"), events=1000)
    assert run.outcomes == {"delivered": 990, "retry": 10}
    assert run.causes["timeout"] == 10


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
        trusted = {"url": f"https://localhost:{server.port}/ok", "secret": SECRET, "timeout": "3s",
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
    one = drive("webhook", options(receiver, "ok") | {"url": receiver.base.replace("http:", "https:") + "/ok"}).only
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
