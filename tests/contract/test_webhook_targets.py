# SPDX-License-Identifier: Apache-2.0
"""test_webhook_targets.py - the webhook adapter as a host with subscriptions uses it."""

import contextlib
import json
import os
import pty
import resource
import shutil
import ssl
import statistics
import subprocess

import pytest

from adapter import BUILD, CAUSES, MAYBE_DELIVERED, OUTCOMES, command, drive
from fault_proxy import FaultProxy, FaultSocks
from fault_receiver import FaultReceiver
from webhook_cases import OLD_SECRET, SECRET, Authority, drive_with_resolver, judge_by_npm, signature, stop_when, target

SIGNING_KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


@pytest.fixture
def receiver():
    with FaultReceiver() as server:
        yield server


def test_url_and_secret_belong_to_the_subscriptions():
    for own in ({"url": "https://example.com/"}, {"secret": SECRET}, {"previous_secret": OLD_SECRET}):
        with pytest.raises(ValueError, match=f"{next(iter(own))} is not allowed with subscriptions"):
            drive("webhook", target("https://example.com/", own))
    for missing in ({"secret": SECRET}, {"url": "https://example.com/"}):
        with pytest.raises(ValueError, match="is missing: a destination without subscriptions needs one"):
            drive("webhook", missing)


def test_an_event_without_a_target_goes_nowhere(receiver):
    one = drive("webhook", target(f"{receiver.base}/ok", {"target.no_events": "1"})).only
    assert (one["outcome"], one["cause"], one["attempt"]) == ("unroutable", "adapter_fault", None)
    assert receiver.connections == 0


def test_each_event_goes_to_its_target(receiver):
    run = drive("webhook", target(f"{receiver.base}/ok/{{n}}", {"target.count": "7"}), events=700)
    assert run.outcomes == {"delivered": 700}
    for request in receiver.requests:
        assert int(request.headers["webhook-id"][-12:]) % 7 == int(request.path.rsplit("/", 1)[1])
        assert request.headers["webhook-signature"] == signature(SECRET, request)


def test_a_url_that_changes_while_deliveries_wait(receiver):
    """One subscription with twelve URLs of two lengths in turn: each delivery goes to the one it was given."""
    more = {"target.count": "12", "target.one_id": "1", "max_in_flight": "2"}
    run = drive("webhook", target(f"{receiver.base}/ok/{{n}}", more), events=120)
    assert run.outcomes == {"delivered": 120}
    for request in receiver.requests:
        assert int(request.headers["webhook-id"][-12:]) % 12 == int(request.path.rsplit("/", 1)[1])


def test_endpoints_do_not_decide_about_the_destination(receiver):
    """Health is UP (1) whatever a subscription's endpoint does; that of an own URL says DOWN (3)."""
    assert drive("webhook", target(f"{receiver.base}/status/503"), events=9).totals["health"] == 1
    own = {"url": f"{receiver.base}/status/503", "secret": SECRET, "allow_http": "true", "allow_cidrs": "127.0.0.1"}
    assert drive("webhook", own | {"max_in_flight": "9"}, events=9).totals["health"] == 3


def test_old_and_asymmetric_keys_sign_too(receiver, tmp_path):
    drive("webhook", target(f"{receiver.base}/ok", {"target.secret": [SECRET, OLD_SECRET, SIGNING_KEY]}), events=50)
    for request in receiver.requests:
        entries = request.headers["webhook-signature"].split(" ")
        assert entries[:2] == [signature(SECRET, request), signature(OLD_SECRET, request)]
        assert len(entries) == 3 and entries[2].startswith("v1a,")
    judge_by_npm(tmp_path, receiver.requests, [SECRET, OLD_SECRET, PUBLIC_KEY])


@pytest.mark.parametrize("secrets", [[SIGNING_KEY, SECRET], ["whsec_dG9vc2hvcnQ="], ["nonsense"], [PUBLIC_KEY]])
def test_secrets_that_no_receiver_could_verify_are_refused(receiver, secrets):
    run = drive("webhook", target(f"{receiver.base}/ok", {"target.secret": secrets, "target.check": "1"}))
    assert (run.only["outcome"], run.only["cause"], run.only["attempt"]) == ("unroutable", "secret_undecryptable", None)
    assert run.checks[0]["member"] == "secrets"
    assert receiver.connections == 0
    assert not any(secret in str(run) for secret in secrets)


def test_a_trial_says_so(receiver):
    drive("webhook", target(f"{receiver.base}/ok", {"target.flags": "1"}))
    drive("webhook", target(f"{receiver.base}/ok"))
    assert receiver.requests[0].headers["webhook-test"] == "true"
    assert "webhook-test" not in receiver.requests[1].headers


@pytest.mark.parametrize("header, fine", [
    ("X-Api-Key:k", True), ("webhook-test:true", False), ("Host:evil", False), ("Content-Length:0", False),
    ("X-Bad:a\r\nX-Evil: 1", False), ("X Bad:a", False), ("X-Bad:\u00e9", False)])
def test_custom_headers(receiver, header, fine):
    run = drive("webhook", target(f"{receiver.base}/ok", {"target.header": header, "target.check": "1"}))
    assert run.outcomes == ({"delivered": 1} if fine else {"rejected": 1})
    assert (run.checks[0]["refused"], run.checks[0]["member"]) == ((0, "") if fine else (-1, "headers"))
    assert len(receiver.requests) == (1 if fine else 0)


def test_a_target_has_its_own_deadline(receiver):
    one = drive("webhook", target(f"{receiver.base}/slow/1.5", {"timeout": "1s", "target.timeout_ms": "30000"})).only
    assert one["outcome"] == "delivered" and one["ms"] >= 1500
    one = drive("webhook", target(f"{receiver.base}/silent", {"target.timeout_ms": "1000"})).only
    assert one["attempt"]["category"] == "timeout" and 1000 <= one["ms"] < 20_000  # not thirty seconds


@pytest.mark.parametrize("keep, length", [(0, 0), (5, 5), (64, 64), (1_000_000, 16_384)])
def test_the_answer_is_kept_as_far_as_wanted(receiver, keep, length):
    one = drive("webhook", target(f"{receiver.base}/endless/500", {"target.keep_response": str(keep)})).only
    assert one["attempt"]["response"] == "z" * length


def test_explain_shows_no_credential(receiver):
    """Neither the path, which often is one, nor the value of a header, nor a usable signature."""
    run = drive("webhook", target(f"{receiver.base}/ok?token=T0KEN", {
        "target.header": "Authorization:Bearer S3CRET", "target.flags": "1", "target.explain": "1"}))
    assert ("endpoint", receiver.base) in run.explained
    assert ("header of the subscription", "Authorization") in run.explained
    assert ("header", "webhook-test: true") in run.explained
    assert ("header", "webhook-signature: v1,(made when it is sent)") in run.explained
    assert "T0KEN" not in str(run) and "S3CRET" not in str(run)
    each = drive("webhook", target(f"{receiver.base}/ok", {"target.no_events": "1", "target.explain": "1"})).explained
    assert ("endpoint", "that of each matching subscription") in each


def test_reuse_is_told(receiver):
    run = drive("webhook", target(f"{receiver.base}/ok", {"max_in_flight": "1"}), events=10)
    attempts = [c["attempt"] for c in run.completions]
    assert [a["reused"] for a in attempts] == [False] + [True] * 9
    assert attempts[0]["connect_us"] > 0
    for attempt in attempts[1:]:
        assert (attempt["dns_us"], attempt["connect_us"], attempt["tls_us"]) == (0, 0, 0)
        assert 0 < attempt["first_byte_us"] <= attempt["total_us"]
        assert attempt["remote"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("host, proxy", [("127.0.0.1", None), ("::1", None), ("127.0.0.1", FaultProxy),
                                         ("127.0.0.1", FaultSocks)])
def test_a_clean_connection_is_used_again(host, proxy):
    """Whatever it leads by: one connection carries all."""
    with FaultReceiver(host=host) as receiver, (proxy or contextlib.nullcontext)() as way:
        url = f"http://{f'[{host}]' if ':' in host else host}:{receiver.port}/ok"
        more = {"allow_cidrs": "127.0.0.1,::1", "max_in_flight": "1"} | ({"proxy": way.url} if way else {})
        run = drive("webhook", target(url, more), events=20)
        assert run.outcomes == {"delivered": 20}
        assert receiver.connections == run.totals["webhook_connections_total"] == 1


def test_what_goes_back_unsent_tells_of_no_attempt(receiver):
    run = drive("webhook", target(f"{receiver.base}/status/503", {"max_in_flight": "2"}), events=50)
    assert run.outcomes == {"unavailable": 50}
    tried = [c for c in run.completions if c["attempt"]]
    assert len(tried) == len(receiver.requests) <= 4
    assert all(c["flags"] == 0 for c in run.completions)


def test_a_stop_tells_of_what_was_tried(receiver):
    run = drive("webhook", target(f"{receiver.base}/silent", {"max_in_flight": "4"}), events=20, seconds=60,
                meanwhile=stop_when(lambda: len(receiver.requests) == 4))
    assert run.outcomes == {"unavailable": 20}
    tried = [c for c in run.completions if c["attempt"]]
    assert len(tried) == 4
    assert all(c["flags"] == MAYBE_DELIVERED for c in tried)
    assert all(c["flags"] == 0 for c in run.completions if not c["attempt"])


# --- files that a subscription names -----------------------------------------------------------------


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two authorities "red" and "blue", and client certificates of each, as an operator would lay them out."""
    where = tmp_path_factory.mktemp("tls")
    found = {"path": str(where)}
    for name in ("red", "blue"):
        authority = Authority(str(tmp_path_factory.mktemp(name)), name)
        found[name] = authority
        certificate, key = authority.issue("sender")
        shutil.copy(authority.ca, where / f"{name}.ca.pem")
        shutil.copy(certificate, where / f"{name}.cert.pem")
        shutil.copy(key, where / f"{name}.key.pem")
    return found


def tls_server(authority, clients=None):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost", "DNS:localhost"))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.ca)
    return FaultReceiver(tls=context)


def tls_target(receiver, folder, more):
    return target(f"https://localhost:{receiver.port}/ok",
                  {"allow_cidrs": "127.0.0.1,::1", "tls_folder": folder["path"], "target.check": "1"} | more)


def test_a_subscription_may_trust_its_own_authority(folder):
    with tls_server(folder["red"]) as receiver:
        assert drive("webhook", tls_target(receiver, folder, {"target.ca_ref": "red"})).outcomes == {"delivered": 1}
        for trust in ({}, {"target.ca_ref": "blue"}, {"ca_file": folder["blue"].ca}):
            one = drive("webhook", tls_target(receiver, folder, trust)).only
            assert (one["outcome"], one["cause"]) == ("unavailable", "tls")
        # The destination's file, where the subscription names none.
        one = drive("webhook", tls_target(receiver, folder, {"ca_file": folder["red"].ca})).only
        assert one["outcome"] == "delivered"


def test_a_subscription_may_have_its_own_certificate(folder):
    with tls_server(folder["red"], clients=folder["blue"]) as receiver:
        more = {"target.ca_ref": "red", "target.cert_ref": "blue"}
        assert drive("webhook", tls_target(receiver, folder, more)).outcomes == {"delivered": 1}
        for certificate in ({}, {"target.cert_ref": "red"}):
            one = drive("webhook", tls_target(receiver, folder, {"target.ca_ref": "red"} | certificate)).only
            assert one["outcome"] == "unavailable" and not receiver.requests[1:]


@pytest.mark.parametrize("names, host, fine", [
    ("IP:127.0.0.1", "127.0.0.1", True), ("DNS:localhost", "localhost", True), ("IP:127.0.0.2", "127.0.0.1", False),
    ("DNS:127.0.0.1", "127.0.0.1", False), ("DNS:*.0.0.1", "127.0.0.1", False), ("IP:127.0.0.1", "localhost", False),
    ("DNS:*", "localhost", False), ("DNS:localhost.example", "localhost", False), ("IP:::1", "[::1]", True),
    ("DNS:::1", "[::1]", False)])
def test_a_certificate_is_for_the_host_that_was_asked_for(folder, names, host, fine):
    """An address has to be there as an address: a name that looks like one is not one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*folder["red"].issue("other", names))
    with FaultReceiver(tls=context, host=host.strip("[]")) as receiver:
        run = drive("webhook", target(f"https://{host}:{receiver.port}/ok", {
            "allow_cidrs": "127.0.0.1,::1", "ca_file": folder["red"].ca}))
        assert (run.only["cause"], len(receiver.requests)) == (("none", 1) if fine else ("tls", 0))


def test_the_systems_authorities_come_back(folder):
    """One handle serves a subscription with an authority of its own, then one without."""
    with tls_server(folder["red"]) as receiver:
        url = f"https://localhost:{receiver.port}/ok"
        base = {"allow_cidrs": "127.0.0.1,::1", "tls_folder": folder["path"], "max_connections": "1"}
        run = drive("webhook", target(url, base | {"target.count": "2", "target.sick": "1", "target.sick_url": url,
                                                   "target.sick_ca_ref": "red"}), events=2)
        assert run.outcomes == {"delivered": 1, "unavailable": 1}
        assert {c["target"]: c["cause"] for c in run.completions} == {0: 0, 1: 3}


@pytest.mark.parametrize("refs", [{"target.sick_ca_ref": "red", "target.ca_ref": "blue"},
                                  {"target.sick_ca_ref": "red", "target.ca_ref": "red",
                                   "target.sick_cert_ref": "blue", "target.cert_ref": "red"},
                                  {"target.sick_ca_ref": "red", "target.ca_ref": "red",
                                   "target.sick_cert_ref": "blue"}])
def test_connections_are_not_shared_between_tls_settings(folder, refs):
    """The first subscription opens a connection that the second may not use: its files forbid it. Both go
    to one URL, events take turns, and only those of the first arrive."""
    with tls_server(folder["red"], clients=folder["blue"] if "target.sick_cert_ref" in refs else None) as receiver:
        url = f"https://localhost:{receiver.port}/ok"
        run = drive("webhook", target(url, {"allow_cidrs": "127.0.0.1,::1", "tls_folder": folder["path"],
                                            "max_connections": "1", "target.count": "2", "target.sick": "1",
                                            "target.sick_url": url} | refs), events=20)
        by_target = {n: {c["outcome"] for c in run.completions if c["target"] == n} for n in (0, 1)}
        assert by_target == {0: {0}, 1: {3}}
        assert len(receiver.requests) == 10
        assert sum(c["attempt"]["reused"] for c in run.completions if c["attempt"] and c["target"] == 0) >= 5


@pytest.mark.parametrize("more, member, says", [
    ({"target.ca_ref": "green"}, "ca_ref", "no readable file NAME.ca.pem"),
    ({"target.cert_ref": "green"}, "cert_ref", "no readable files NAME.cert.pem"),
    ({"target.ca_ref": "../red"}, "ca_ref", "letters, digits"),
    ({"target.ca_ref": "a" * 65}, "ca_ref", "letters, digits"),
])
def test_a_name_without_files_is_refused(folder, more, member, says):
    run = drive("webhook", target("https://127.0.0.1:1/", {"tls_folder": folder["path"], "target.check": "1"} | more))
    assert (run.only["outcome"], run.only["cause"], run.only["attempt"]) == ("unroutable", "tls", None)
    assert says in run.only["reason"] and says in run.checks[0]["detail"]
    assert run.checks[0]["member"] == member


def test_an_authority_that_was_replaced_is_trusted_no_more(folder, tmp_path):
    """By the next connection, although libcurl would keep authorities for a day, and TLS sessions."""
    for name in ("cert", "key"):
        shutil.copy(f"{folder['path']}/red.{name}.pem", tmp_path)
    changing = tmp_path / "red.ca.pem"
    shutil.copy(folder["red"].ca, changing)

    class Replacing(FaultReceiver):
        def received(self, _request):
            shutil.copy(folder["blue"].ca, changing)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*folder["red"].issue("localhost", "DNS:localhost"))
    with Replacing(tls=context) as receiver:
        run = drive("webhook", target(f"https://localhost:{receiver.port}/answerandclose", {
            "allow_cidrs": "127.0.0.1,::1", "tls_folder": str(tmp_path), "target.ca_ref": "red",
            "max_in_flight": "1", "target.rate": "5"}), events=3)
        assert [c["cause"] for c in sorted(run.completions, key=lambda c: c["ticket"])] == [0, 3, 3]
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("own", [False, True])
def test_the_systems_authorities_are_not_read_each_time(folder, own):
    """They are a hundred and more, and reading them takes as long as twenty handshakes, in which nothing else is
    sent. A subscription with an authority of its own, each second time, changes nothing. What comes while one fails
    goes back untried. The work is measured, which a machine that is busy with other things does not make more."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.exists(bundle) or os.path.getsize(bundle) < 100_000:
        pytest.skip("this system has no bundle of authorities")
    base = {"target.ca_ref": "red", "target.sick_ca_ref": "red"}
    with tls_server(folder["red"]) as receiver:
        url = f"https://localhost:{receiver.port}/answerandclose"
        runs = [drive("webhook", target(url, {
            "allow_cidrs": "127.0.0.1,::1", "max_connections": "1", "target.count": "2", "target.rate": "50",
            "tls_folder": folder["path"], "target.sick": "1", "target.sick_url": url} | refs), events=100)
            for refs in (base, {"target.sick_ca_ref": "red"} if own else {})]
    # The server's authority is none of the system's.
    assert [run.causes for run in runs] == [{"none": 100}, {"none": 50, "tls": 50} if own else {"tls": 100}]
    tried = [sum(1 for c in run.completions if c["attempt"]) for run in runs]
    each = [run.totals["cpu_ms"] / n for run, n in zip(runs, tried)]
    print(f"a handshake is {each[0]:.1f} ms of work without the system's authorities, {each[1]:.1f} ms with them")
    assert tried[1] >= 20
    # Reading makes it three times as much for two of whom one has its own, and twelve times otherwise.
    assert each[1] < 2 * each[0]


def test_an_encrypted_key_asks_nobody(folder, tmp_path):
    """On a terminal OpenSSL would ask for the passphrase, and everything would wait for the answer."""
    certificate, key = folder["red"].issue("sender")
    locked = str(tmp_path / "locked.pem")
    subprocess.run(["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked], check=True,
                   capture_output=True)
    with tls_server(folder["red"]) as receiver:
        options = {"allow_cidrs": "127.0.0.1,::1", "ca_file": folder["red"].ca, "cert_file": certificate,
                   "key_file": locked}
        keyboard, terminal = pty.openpty()
        try:
            done = subprocess.run(["setsid", "--ctty", "--wait", *command(
                "webhook", 1, 0, 200, target(f"https://localhost:{receiver.port}/ok", options))],
                stdin=terminal, capture_output=True, timeout=90, check=True)
        finally:
            os.close(keyboard)
            os.close(terminal)
    one = json.loads(done.stdout.splitlines()[0])
    assert (OUTCOMES[one["outcome"]], CAUSES[one["cause"]]) == ("unavailable", "tls")
    assert one["reason"] == "the client certificate cannot be used"


def test_a_folder_that_is_missing_is_named():
    with pytest.raises(ValueError, match="tls_folder"):
        drive("webhook", target("https://example.com/", {"tls_folder": "/nonexistent"}))
    one = drive("webhook", target("https://127.0.0.1:1/", {"target.ca_ref": "red"})).only
    assert "tls_folder is not set" in one["reason"]


# --- isolation ---------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[int(share * 1000) - 1]


SECONDS, RATE = 8, 400


def p99(sick: int) -> float:
    """Milliseconds from offer to outcome of what went to healthy endpoints, of 200 that get two events a second
    each; a sick one never answers, until the deadline of 10 s. That of the median second: a machine that is busy
    for a moment does not count, what holds others up does so all the time."""
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/slow/0.005", {
            "timeout": "10s", "target.count": "200", "target.sick": str(sick),
            "target.sick_url": f"{receiver.base}/silent", "target.rate": str(RATE)}), events=SECONDS * RATE)
    healthy = [c for c in run.completions if c["target"] >= sick]
    assert len(healthy) == SECONDS * RATE // 200 * (200 - sick)
    assert all(c["outcome"] == 0 for c in healthy)
    assert all(c["outcome"] != 0 for c in run.completions if c["target"] < sick)
    seconds = [percentile([c["ms"] for c in healthy if c["ticket"] // RATE == n], 0.99) for n in range(SECONDS)]
    values = [c["ms"] for c in healthy]
    print(f"{sick} of 200 endpoints hang, {len(values)} deliveries to healthy ones: p50 "
          f"{percentile(values, 0.5):.0f} ms, p99 {percentile(values, 0.99):.0f} ms, max {max(values):.0f} ms; "
          f"p99 second by second {[round(x) for x in seconds]}")
    return statistics.median(seconds)


def test_healthy_endpoints_do_not_feel_those_that_hang():
    """With nothing but the adapter's own queues: no host that slows down what hangs. A busy machine is felt, too, so
    the best of up to five counts."""
    calm, sick = [], []
    for _ in range(5):
        calm.append(p99(0))
        sick.append(p99(40))
        if min(sick) < 2 * min(calm) + 50:
            return
    pytest.fail(f"p99 {calm} ms, and {sick} ms beside endpoints that hang")


def test_names_that_hang_hold_up_nobody_else():
    """20 names that take ten seconds to resolve, beside one that is known."""
    with FaultReceiver() as receiver:
        run = drive_with_resolver("127.0.0.1", target(f"http://quick.example:{receiver.port}/ok", {
            "target.count": "40", "target.sick": "20",
            "target.sick_url": f"http://slow{{n}}.example:{receiver.port}/ok"}), slow=10, events=400)
    assert run.outcomes == {"delivered": 400}
    assert max(c["ms"] for c in run.completions if c["target"] >= 20) < 8000
    assert min(c["ms"] for c in run.completions if c["target"] < 20) >= 9900


def test_a_burst_gets_past_endpoints_that_hang():
    """4000 events at once, 100 of them to each of 40 endpoints, of which 38 hang and could hold everything."""
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/ok", {
            "timeout": "12s", "target.count": "40", "target.sick": "38", "max_connections": "256",
            "target.sick_url": f"{receiver.base}/silent"}), events=4000)
    healthy = [c["ms"] for c in run.completions if c["target"] >= 38]
    assert len(healthy) == 200 and run.outcomes["delivered"] == 200
    assert max(healthy) < 9000  # those that hang end after twelve seconds


@pytest.fixture
def many_files():
    """The receiver runs in this process and holds the other end of each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 8192:
        pytest.skip(f"this user may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_thousands_are_in_flight():
    """None is answered before fifteen hundred are there, which is more than the 1024 that select() could serve."""
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/gathered/1500", {
            "target.count": "1000", "max_connections": "4096"}), events=2500)
    print(f"1500 in flight, 2500 delivered: {run.totals['ms']} ms, {run.totals['peak_kb']} kB")
    assert run.outcomes == {"delivered": 2500}
    assert run.totals["webhook_connections_total"] >= 1500
    assert run.totals["peak_kb"] < 512 * 1024


@pytest.mark.usefixtures("many_files")
def test_thousands_are_ended_by_a_stop():
    """All to one host, among whose connections libcurl looks for each; drive_adapter gives two seconds."""
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/silent", {
            "target.count": "1000", "max_connections": "4096"}), events=4500, seconds=60,
            meanwhile=stop_when(lambda: len(receiver.requests) > 3000))
        in_flight = sum(1 for c in run.completions if c["flags"] == MAYBE_DELIVERED)
    print(f"{in_flight} in flight: ended {run.totals['stop_ms'] - 2000} ms after the deadline, "
          f"with {run.totals['stop_cpu_ms']} ms of work after {run.totals['cpu_ms']}")
    assert run.outcomes == {"unavailable": 4500} and in_flight > 2000
    assert run.totals["stop_ms"] < 20_000
    # About a tenth of the work of sending; ending the youngest first makes it a third and more.
    assert run.totals["stop_cpu_ms"] < 0.22 * run.totals["cpu_ms"]


def test_a_low_limit_of_descriptors_is_no_fault_of_the_endpoint():
    with FaultReceiver() as receiver:
        run = drive("webhook", target(f"{receiver.base}/slow/0.2", {"target.count": "300"}), events=300, descriptors=256)
    assert run.outcomes == {"delivered": 300}


@pytest.mark.parametrize("rate", ["0", "200"])
def test_many_names_do_not_use_up_the_descriptors(rate):
    """Each has a kept connection of its own, and a resolver's question takes descriptors, too."""
    with FaultReceiver() as receiver:
        run = drive_with_resolver("127.0.0.1", target(f"http://host{{n}}.example:{receiver.port}/ok", {
            "target.count": "400", "target.rate": rate}), events=400, descriptors=256)
    assert run.outcomes == {"delivered": 400}
