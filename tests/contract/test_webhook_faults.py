# SPDX-License-Identifier: Apache-2.0
"""test_webhook_faults.py - every fault of the table in docs/webhooks/faults.md, for real.

The page is the specification: each of its rows is injected here, and outcome, cause, category and
time have to be those of the row. Every fault is seen by a destination with subscriptions.
"""

import contextlib
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse
from dataclasses import dataclass

import pytest

from adapter import BUILD, CAUSES, MAYBE_DELIVERED, OUTCOMES, drive
from fault_proxy import FaultProxy, FaultSocks
from fault_receiver import FaultReceiver
from webhook_cases import Authority, drive_with_resolver, ports, target, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # of what is old on purpose
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/webhooks/faults.md"
SANITIZED = "san" in os.path.basename(BUILD)
SLACK_MS = 10_000 if SANITIZED else 800  # of a busy machine
TRIES = 5  # one that is busy for a moment takes longer, but not each time
PEAK_KB = (256 if SANITIZED else 32) * 1024  # sanitizers keep shadows


@dataclass(frozen=True)
class Row:
    name: str
    outcome: str
    cause: str
    category: str | None
    most_ms: int

    def limits(self) -> tuple[dict[str, str], int]:
        """The limits of the adapter under which it has its time, and how much longer they make it than on the page.
        Rows in which something else ends the try have long ones, so that a machine which is busy does not end it."""
        if "the body of" in self.name and "trickles" in self.name:
            return {"timeout": "6s"}, 5000  # the status comes first, also from a slow receiver
        if self.category == "timeout":
            return {"timeout": "1s"}, 0
        if self.cause == "timeout" and self.category in ("connect_timeout", "dns", "proxy"):
            return {"connect_timeout": "500ms"}, 0
        return {}, 0


def rows() -> dict[str, Row]:
    """By name; a row of the page is | name | OUTCOME | `cause` | `category` | milliseconds |."""
    found = re.findall(r"^\| ([^|]+?) \| ([A-Z]+) \| `(\w+)` \| (?:`(\w+)`|none) \| (\d+) \|", PAGE.read_text(), re.M)
    return {name: Row(name, outcome.lower(), cause, category or None, int(most))
            for name, outcome, cause, category, most in found}


# Name of a row -> what the receiver is asked to do, each of which has to give the row's result.
PATHS = {
    "200, 201, 202 or 204": ["status/200", "status/201", "status/202", "status/204"],
    "200 before the body was read": ["early"],
    "100 Continue first": ["continue"],
    "200, then it closes although the connection was to stay": ["answerandclose"],
    "any 3xx, with or without Location": [f"redirect/{code}{to}" for code in (301, 302, 303, 307, 308)
                                          for to in ("", "/1")] + ["status/304"],
    "400, 401, 404 or 409": ["status/400", "status/401", "status/404", "status/409"],
    "408": ["status/408"],
    "410": ["status/410"],
    "413": ["status/413"],
    "415": ["status/415"],
    "425": ["status/425"],
    "429": ["status/429"],
    "500 or 501": ["status/500", "status/501"],
    "502, 503 or 504": ["status/502", "status/503", "status/504"],
    "a status above 599": ["status/600", "status/999"],
    "nothing is ever answered": ["silent"],
    "the status line trickles": ["statusdrip"],
    "headers trickle": ["headerdrip"],
    "the body of a 200 trickles": ["bodydrip/200"],
    "the body of a 500 trickles": ["bodydrip/500"],
    "the body of a 200 never ends": ["endless/200"],
    "the body of a 500 never ends": ["endless/500"],
    "a gzip bomb": ["bomb"],
    "headers of a 200 never end": ["headerflood/200"],
    "one header of 64 KiB in a 200": ["header/200/65536"],
    "one header of 200 KiB in a 200": ["header/200/204800"],
    "1xx answers without end, slowly": ["interim/0.1"],
    "1xx answers without end, fast": ["interim/0"],
    "bytes above 127 or control characters in a header": ["badheader/latin1", "badheader/control"],
    "NUL in a header": ["badheader/nul"],
    "a header line without a colon": ["badheader/nocolon"],
    "an answer that is not HTTP": ["garbage"],
    "the request is read, then the connection closed": ["close"],
    "the connection is reset before an answer": ["reset"],
    "reset in the body of a 200": ["reset/200"],
    "reset in the body of a 503": ["reset/503"],
}


def inject_path(path):
    @contextlib.contextmanager
    def injected(_authority):
        with FaultReceiver() as receiver:
            yield lambda limits: drive("webhook", target(f"{receiver.base}/{path}", limits))
    return injected


@contextlib.contextmanager
def early_and_closed(_authority):
    with FaultReceiver() as receiver:
        yield lambda limits: drive("webhook", target(f"{receiver.base}/earlyclose", limits), body_bytes=4_000_000)


@contextlib.contextmanager
def free_port():
    """One at which nobody listens, as long as this lasts."""
    port = ports.take()
    yield port
    ports.release(port)


@contextlib.contextmanager
def nobody_listens(_authority):
    with free_port() as port:
        yield lambda limits: drive("webhook", target(f"http://127.0.0.1:{port}/", limits))


@contextlib.contextmanager
def black_hole(_authority):
    """A listener whose queue is full: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield lambda limits: drive("webhook", target(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits))


@contextlib.contextmanager
def unknown_name(_authority):
    yield lambda limits: drive_with_resolver("", target("http://partner.example:8080/", limits))


@contextlib.contextmanager
def slow_name(_authority):
    yield lambda limits: drive_with_resolver("127.0.0.1", target("http://slow.example:8080/", limits), slow=8)


def resolved(addresses, url="http://partner.example:{port}/ok", check="0"):
    @contextlib.contextmanager
    def injected(_authority):
        with FaultReceiver() as receiver:
            yield lambda limits: drive_with_resolver(
                addresses, target(url.format(port=receiver.port), {"target.check": check} | limits))
    return injected


def literal(host):
    @contextlib.contextmanager
    def injected(_authority):
        yield lambda limits: drive("webhook", target(f"http://{host}/", limits))
    return injected


def server_context(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


def tls(make_context, trusted=True, host="localhost"):
    @contextlib.contextmanager
    def injected(authority):
        with FaultReceiver(tls=make_context(authority)) as receiver:
            more = {"allow_cidrs": "127.0.0.1,::1"} | ({"ca_file": authority.ca} if trusted else {})
            yield lambda limits: drive("webhook", target(f"https://{host}:{receiver.port}/ok", more | limits))
    return injected


def good_context(authority):
    return server_context(authority.issue("localhost", "DNS:localhost"))


def expired_context(authority):
    return server_context(authority.issue("expired", "DNS:localhost", days=-1))


def old_context(version):
    def make(authority):
        context = good_context(authority)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context
    return make


def strict_context(authority, version=ssl.TLSVersion.TLSv1_3):
    context = good_context(authority)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca)
    return context


@contextlib.contextmanager
def client_certificate(authority):
    certificate, key = authority.issue("sender")
    with FaultReceiver(tls=strict_context(authority)) as receiver:
        more = {"allow_cidrs": "127.0.0.1,::1", "ca_file": authority.ca, "cert_file": certificate, "key_file": key}
        yield lambda limits: drive("webhook", target(f"https://localhost:{receiver.port}/ok", more | limits))


@contextlib.contextmanager
def tls_to_plain(_authority):
    """As web servers do: they answer 400 to what is not HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                connection.close()
        threading.Thread(target=serve, daemon=True).start()
        yield lambda limits: drive("webhook", target(f"https://127.0.0.1:{listener.getsockname()[1]}/ok", limits))


@contextlib.contextmanager
def hanging_handshake(_authority):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield lambda limits: drive("webhook", target(f"https://127.0.0.1:{listener.getsockname()[1]}/", limits))


def missing_file(member):
    @contextlib.contextmanager
    def injected(authority):
        more = {"tls_folder": str(pathlib.Path(authority.ca).parent), f"target.{member}": "nowhere"}
        yield lambda limits: drive("webhook", target("https://127.0.0.1:1/", more | limits))
    return injected


def proxied(fault, endpoint_up=True):
    @contextlib.contextmanager
    def injected(_authority):
        with FaultProxy(fault) as proxy, FaultReceiver() as receiver:
            port = receiver.port if endpoint_up else 1
            yield lambda limits: drive("webhook", target(f"http://127.0.0.1:{port}/ok", {"proxy": proxy.url} | limits))
    return injected


def socks(fault):
    @contextlib.contextmanager
    def injected(_authority):
        with FaultSocks(fault) as proxy, FaultReceiver() as receiver:
            yield lambda limits: drive("webhook", target(f"http://127.0.0.1:{receiver.port}/ok", {"proxy": proxy.url} | limits))
    return injected


def tls_behind(kind):
    @contextlib.contextmanager
    def injected(authority):
        with kind() as proxy, FaultReceiver(tls=good_context(authority)) as receiver:
            yield lambda limits: drive("webhook", target(f"https://localhost:{receiver.port}/ok", {"proxy": proxy.url} | limits))
    return injected


@contextlib.contextmanager
def no_proxy_there(_authority):
    with free_port() as port:
        yield lambda limits: drive("webhook", target("http://127.0.0.1:1/ok", {
            "proxy": f"http://127.0.0.1:{port}"} | limits))


@contextlib.contextmanager
def nameless_proxy(_authority):
    yield lambda limits: drive_with_resolver("", target("http://127.0.0.1:1/ok", {"proxy": "http://proxy.example:3128"}))


OTHERS = {
    "200 before a body of 4 MB was read, then it closes": [early_and_closed],
    "nobody listens": [nobody_listens],
    "SYN packets vanish": [black_hole],
    "the name has no address": [unknown_name],
    "the name server hangs": [slow_name],
    "the name has only refused addresses": [resolved("10.0.0.1,169.254.169.254"), resolved("::1"),
                                            resolved("::ffff:127.0.0.2")],
    "the URL has a refused address": [literal("10.0.0.1"), literal("0x0a.1"), literal("[fd00:ec2::254]"),
                                      literal("169.254.169.254")],
    "one family is refused, the other answers": [resolved("::1,127.0.0.1"), resolved("127.0.0.1,fe80::1")],
    "one family is refused, the other is down": [resolved("::1,127.0.0.1", "http://partner.example:1/")],
    "the address is good when checked and refused when dialled": [resolved("127.0.0.1;127.0.0.2", check="1")],
    "a good certificate": [tls(good_context)],
    "the certificate has expired": [tls(expired_context)],
    "the certificate is for another host": [tls(good_context, host="127.0.0.1")],
    "the certificate is self-signed, or of an unknown authority": [tls(good_context, trusted=False)],
    "TLS 1.0 or 1.1 only": [tls(old_context(ssl.TLSVersion.TLSv1)), tls(old_context(ssl.TLSVersion.TLSv1_1))],
    "a client certificate is required and there is none (TLS 1.2)":
        [tls(lambda authority: strict_context(authority, ssl.TLSVersion.TLSv1_2))],
    "a client certificate is required and there is none (TLS 1.3)": [tls(strict_context)],
    "a client certificate is required and sent": [client_certificate],
    "the port speaks no TLS": [tls_to_plain],
    "the TLS handshake hangs": [hanging_handshake],
    "`ca_ref` or `cert_ref` names no file": [missing_file("ca_ref"), missing_file("cert_ref")],
    "the proxy works": [proxied(""), socks("")],
    "a bad certificate behind a working proxy": [tls_behind(FaultProxy), tls_behind(FaultSocks)],
    "the proxy wants credentials (407)": [proxied("407")],
    "the proxy refuses (403)": [proxied("403")],
    "the proxy answers CONNECT with 502": [proxied("502")],
    "a SOCKS proxy refuses": [socks("refuse")],
    "the proxy hangs": [proxied("hang"), socks("hang")],
    "the proxy closes": [proxied("close"), socks("close")],
    "the proxy is not one": [proxied("garbage")],
    "nobody listens at the proxy's address": [no_proxy_there],
    "the proxy's name has no address": [nameless_proxy],
}

CASES = [(name, injected) for name, paths in PATHS.items() for injected in map(inject_path, paths)] + \
        [(name, injected) for name, several in OTHERS.items() for injected in several]


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("tls")))


def test_the_page_has_a_row_for_each_fault_and_no_other():
    assert sorted(rows()) == sorted(set(PATHS) | set(OTHERS))


@pytest.mark.parametrize("name, injected", CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_fault(name, injected, authority, record_property):
    row = rows()[name]
    limits, longer = row.limits()
    took = []
    for _ in range(TRIES):
        with injected(authority) as drive_it:
            took.append(check_run(row, drive_it(limits)))
        if took[-1] <= row.most_ms + longer + SLACK_MS:
            record_property("ms", took[-1])
            return
    pytest.fail(f"took {took} ms")


def check_run(row: Row, run) -> int:
    """Everything but the time, which it returns."""
    one = run.only
    attempt = one["attempt"]
    category = attempt["category"] if attempt else None
    print(f"{row.name}: {one['outcome']} {one['cause']} {category} {one['ms']} ms: {one['reason']}")
    assert (one["outcome"], one["cause"], category) == (row.outcome, row.cause, row.category), one["reason"]
    assert run.totals["peak_kb"] < PEAK_KB
    check_attempt(one, attempt)
    assert run.totals["webhook_proxy_faults_total"] == (1 if row.category == "proxy" else 0)
    if "proxy" in row.name and row.category == "proxy":
        assert "proxy" in one["reason"] and attempt["requests"] == 0 and one["flags"] == 0
    return one["ms"]


def check_attempt(one: dict, attempt: dict | None) -> None:
    """What is told of a try has to agree with how it ended."""
    if attempt is None:
        return
    assert attempt["total_us"] <= one["ms"] * 1000 + 2000
    phases = [attempt[p] for p in ("dns_us", "connect_us", "tls_us", "first_byte_us") if attempt[p] > 0]
    assert phases == sorted(phases)
    assert attempt["requests"] > 0 or attempt["first_byte_us"] == 0
    assert attempt["remote"] != "" or attempt["category"] in ("dns", "proxy")
    # Doubt remains exactly when the request went out and no status came back.
    assert (one["flags"] == MAYBE_DELIVERED) == (attempt["requests"] > 0 and one["status"] < 200)


@pytest.mark.parametrize("value, milliseconds", [
    ("7", 7000), ("0", 0), ("-5", 0), ("120.5", 0), ("soon", 0), ("1e3", 0), ("315360000", 3_600_000),
    ("99999999999999999999", 3_600_000), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ("Sun, 06 Nov 2094 08:49:37 GMT", 3_600_000), ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
    ("9\r\nRetry-After: soon", 9000), ("9\r\nRetry-After: 12", 12_000), ("12\r\nRetry-After: 9", 12_000),
])
@pytest.mark.parametrize("status, honoured", [(429, True), (503, True), (500, False)])
def test_retry_after(value, milliseconds, status, honoured):
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/status/{status}/{urllib.parse.quote(value)}"))
        one = run.only
        assert one["retry_after_ms"] == (milliseconds if honoured else 0)
        assert run.totals["webhook_clamped_retry_after_total"] == (1 if milliseconds == 3_600_000 else 0)


@pytest.mark.parametrize("seconds, at_least, at_most", [(1000, 940_000, 1_000_000), (-30, 0, 0), (86_400, 3_600_000, 3_600_000)])
def test_retry_after_as_a_date(seconds, at_least, at_most):
    with FaultReceiver() as receiver:
        one = drive("webhook", target(f"{receiver.base}/retrydate/503/{seconds}")).only
        assert at_least <= one["retry_after_ms"] <= at_most


def test_words_are_those_of_the_contract():
    header = (PAGE.parents[2] / "include/postrider/publisher.h").read_text()
    for row in rows().values():
        assert row.outcome in OUTCOMES and row.cause in CAUSES
        assert f"RIDER_CAUSE_{row.cause.upper()}" in header


def test_a_kept_connection_that_was_closed_is_not_counted_as_a_failure():
    """The receiver closes after each answer: every further request finds a dead connection."""
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/answerandclose", {"max_in_flight": "1"}), events=20)
        assert run.outcomes == {"delivered": 20}
        assert len({r.headers["webhook-id"] for r in receiver.requests}) == len(receiver.requests) == 20
        # Some were written to a dead connection first, and are told of.
        sent = sum(c["attempt"]["requests"] for c in run.completions)
        assert run.totals["webhook_requests_total"] == sent >= 20
        assert run.totals["webhook_repeated_requests_total"] == sent - 20


@pytest.mark.parametrize("status", [200, 408])
@pytest.mark.parametrize("secure", [False, True])
def test_what_was_not_asked_for_answers_nothing(authority, status, secure):
    """Something lies in the kept connection before the next request: it is not taken for that one's answer."""
    with FaultReceiver(tls=good_context(authority) if secure else None, host="localhost") as receiver:
        def meanwhile(driven):
            for n in range(1, 5):
                wait_until(lambda n=n: driven.completed(n), "the answer was read", 60)
                receiver.unasked_due = n
                wait_until(lambda n=n: receiver.unasked == n, "it lies there", 60)
                driven.step()

        more = {"max_in_flight": "1", "target.step": "1", "ca_file": authority.ca, "allow_cidrs": "127.0.0.1,::1"}
        run = drive("webhook", target(f"{receiver.base}/unasked/{status}", more), events=5, meanwhile=meanwhile)
        assert run.outcomes == {"delivered": 5}
        assert len(receiver.requests) == len({r.headers["webhook-id"] for r in receiver.requests}) == 5
        assert run.totals["webhook_connections_total"] == receiver.connections == 5
        assert run.totals["webhook_repeated_requests_total"] == 0
        assert not any(c["attempt"]["reused"] for c in run.completions)


def test_openssl_is_there():
    """The TLS cases would otherwise fail for another reason."""
    assert subprocess.run(["openssl", "version"], capture_output=True, check=False).returncode == 0
