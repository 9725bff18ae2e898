# SPDX-License-Identifier: Apache-2.0
"""test_webhook_addresses.py - what may not be dialled is not dialled: canaries count who comes."""

import ipaddress
import json
import os
import shutil
import subprocess
import sys

import pytest

from adapter import BUILD, drive
from fault_proxy import FaultProxy
from fault_receiver import FaultReceiver
from webhook_cases import HERE, LOCAL, DualStackCanary, drive_with_resolver, options, target


@pytest.fixture
def receiver():
    with FaultReceiver() as server:
        yield server


@pytest.fixture(scope="session")
def battery():
    """The report of address_battery.py, from a network of its own."""
    enter = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if not shutil.which("ip") or not shutil.which("unshare") or \
            subprocess.run(enter + ["true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network namespace: the battery needs unshare(1) and ip(8)")
    done = subprocess.run(enter + [sys.executable, os.path.join(HERE, "address_battery.py")], capture_output=True,
                          text=True, timeout=600, env=os.environ | {"POSTRIDER_BUILD": BUILD}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_connection_reaches_a_canary(battery):
    print(f"{len(battery['refused'])} cases, connections that reached a canary: {battery['reached']}")
    assert len(battery["refused"]) > 700
    assert battery["reached"] == 0


def test_every_special_address_is_refused_when_checked_sent_and_tried(battery):
    for case in battery["refused"]:
        # A name with a final dot is not known to every resolver, nor are names inside the namespace.
        unknown = case["host"].lower().startswith("localhost") and case["cause"] == "unreachable"
        assert unknown or (case["outcome"], case["cause"]) == ("unroutable", "blocked_address"), case
        assert (case["flags"], case["requests"]) == (0, 0), case
        assert case["refused"] or unknown or case["how"].startswith("rebinding"), case


def test_the_canary_would_have_noticed(battery):
    """Public addresses right beside the special ones are dialled, and all of them arrive."""
    assert all(not case["refused"] for case in battery["public"])
    assert battery["reached_public"] >= len(battery["public"])


REFUSED_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "2130706433",
    "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "127.0.0.2", "127.255.255.254",
]


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_an_own_url_is_held_to_the_same(host):
    """Without subscriptions and without a namespace: create() or the guard of the connection refuses."""
    with DualStackCanary() as canary:
        more = {"url": f"http://{host}:{canary.port}/canary", "allow_cidrs": "10.0.0.0/8"}
        try:
            one = drive("webhook", LOCAL | more).only
            unknown = host.endswith(".") and one["cause"] == "unreachable"
            assert unknown or (one["outcome"], one["cause"], one["flags"]) == ("unroutable", "blocked_address", 0)
        except ValueError as refused:
            assert "url: " in str(refused)
        assert canary.accepted == []


def test_of_mixed_answers_only_the_allowed_is_dialled(receiver):
    """The refused address comes first and has a listener, too."""
    with FaultReceiver(receiver.port, host="127.0.0.2") as canary:
        run = drive_with_resolver("127.0.0.2,127.0.0.1", target(f"http://partner.example:{receiver.port}/ok"))
        assert run.outcomes == {"delivered": 1}
        assert run.totals["webhook_blocked_addresses_total"] == 1
        assert canary.connections == 0
        assert run.only["attempt"]["remote"] == f"127.0.0.1:{receiver.port}"
        # The name travels in the request, whatever address was dialled.
        assert receiver.requests[0].headers["host"] == f"partner.example:{receiver.port}"


def test_each_connection_is_judged_anew(receiver):
    """Two names, one after the other: the first is good, the second answers with a canary's address."""
    with FaultReceiver(receiver.port, host="127.0.0.2") as canary:
        run = drive_with_resolver("127.0.0.1;127.0.0.2", target(f"http://partner{{n}}.example:{receiver.port}/ok",
                                                                {"target.count": "2"}), events=2)
        assert sorted(run.outcomes) == ["delivered", "unroutable"]
        assert (canary.connections, receiver.connections) == (0, 1)


def own_addresses() -> list[str]:
    text = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout
    return text.split()


def send_to_own(address: str, cidrs: str | None):
    """The only outcome, the check's, and how many connections the listener on that address saw."""
    host = f"[{address}]" if ":" in address else address
    with DualStackCanary() as canary:
        more = {"ports": str(canary.port), "target.check": "1"} | ({"allow_cidrs": cidrs} if cidrs else {})
        run = drive("webhook", target(f"http://{host}:{canary.port}/", more))
        return run.only, run.checks[0]["refused"], len(canary.accepted)


def test_own_interface_addresses_are_refused():
    """Whatever this host's addresses are, private or public, and whatever block they lie in."""
    for address in own_addresses():
        around = str(ipaddress.ip_network(f"{address}/{'64' if ':' in address else '24'}", strict=False))
        for cidrs in (None, "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7", around):
            one, refused, reached = send_to_own(address, cidrs)
            assert (one["outcome"], one["cause"], reached) == ("unroutable", "blocked_address", 0), (address, cidrs)
            assert refused != 0, (address, cidrs)


def test_an_own_address_opens_by_an_entry_of_its_own():
    for address in own_addresses():
        one, refused, reached = send_to_own(address, address)
        assert (refused, reached > 0) == (0, True), (address, one)


def test_proxies_of_the_environment_are_ignored(receiver):
    with FaultReceiver() as proxy:
        hostile = {name: proxy.base for name in
                   ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
        one = drive("webhook", options(receiver, "ok"), env=hostile | {"no_proxy": "example.com"}).only
        assert one["outcome"] == "delivered"
        assert proxy.connections == 0


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("value", ["*", "127.0.0.1", ".example"])
def test_the_environment_cannot_lead_past_an_explicit_proxy(receiver, variable, value):
    """Behind a proxy the address is the proxy's business: nothing may go past it."""
    with FaultProxy("502") as proxy:
        for host in ("127.0.0.1", "partner.example"):
            proxy.asked.clear()
            drive("webhook", target(f"http://{host}:{receiver.port}/ok", {"proxy": proxy.url}), env={variable: value})
            assert proxy.asked == [f"{host}:{receiver.port}"]


@pytest.mark.parametrize("host", ["127.0.0.2", "0x7f.2", "2130706434", "%32130706434", "0%787f.2",
                                  "%31%32%37.0.0.2", "%EF%BC%91%EF%BC%92%EF%BC%97.0.0.2"])
def test_behind_a_proxy_an_address_in_the_url_is_judged(host):
    """The proxy is given names only to resolve; 127.0.0.2 is not one of the allowed. Encoded, it
    looks like a name to a check, and is a number to whoever resolves it; the last is in full-width digits."""
    with FaultProxy() as proxy:
        run = drive("webhook", target(f"http://{host}:9/ok", {"proxy": proxy.url, "target.check": "1"}))
        assert (run.only["outcome"], run.only["cause"]) == ("unroutable", "blocked_address")
        assert run.checks[0]["refused"] != 0
        assert proxy.asked == []


def test_a_kept_connection_is_judged_before_each_use(tmp_path):
    """The address becomes one of this host's after the first request: the connection is there, and is not used."""
    own = next((a for a in own_addresses() if ":" not in a), None)
    if own is None:
        pytest.skip("this host has no IPv4 address but loopback")
    appeared = tmp_path / "interfaces"

    class Revealing(FaultReceiver):
        def received(self, _request):
            appeared.touch()

    with Revealing(host=own) as server:
        around = str(ipaddress.ip_network(f"{own}/24", strict=False))
        run = drive_with_resolver("", target(f"{server.base}/ok", {
            "allow_cidrs": around, "max_in_flight": "1", "target.rate": "2"}), events=6, interfaces=str(appeared))
        # The list of interfaces is a second old at most.
        outcomes = [run.outcomes["delivered"], run.outcomes["unroutable"]]
        assert sum(outcomes) == 6 and 1 <= outcomes[0] <= 4
        assert len(server.requests) == outcomes[0] and server.connections == 1
        assert run.causes["blocked_address"] == outcomes[1]
        refused = [c for c in run.completions if c["cause"] != 0]
        assert all(c["flags"] == 0 and c["attempt"]["requests"] == 0 for c in refused)
        assert all(c["attempt"]["remote"] == f"{own}:{server.port}" for c in refused)
