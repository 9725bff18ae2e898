# SPDX-License-Identifier: Apache-2.0
"""address_battery.py - every special address, in every notation, with a canary on all of them.

    unshare -n python3 address_battery.py

Runs inside a network namespace in which every address is local, so whatever the adapter dials reaches
the one canary. Each case is judged by check_target(), sent as a delivery and sent as a trial. Prints
one JSON object: the cases with their outcomes, and how many connections reached the canary during
them; then the same for public addresses, which have to reach it.
"""

import ipaddress
import json
import os
import subprocess

from adapter import BUILD, drive
from webhook_cases import PATIENT, SECRET, DualStackCanary

# From the IANA registries and the providers, not from the adapter's own table.
IPV4 = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
255.255.255.255/32 168.63.129.16/32 169.254.169.254/32 192.0.0.192/32 100.100.100.200/32""".split()
IPV6 = """::/128 ::1/128 ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001::/32 2001:db8::/32 2002::/16
3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 fd00:ec2::254/128""".split()
ODD = """127.1 127.0.1 0x7f.1 0x7f000001 0177.0.0.1 017700000001 2130706433 0 0x0 0xa9fea9fe 2852039166 0251.0376.0251.0376
0xa9.0xfe.0xa9.0xfe 169.254.43518 10.1 0xa.1 012.1 3232235521 localhost LOCALHOST localhost. [::ffff:7f00:1]
[0:0:0:0:0:ffff:7f00:1] [::ffff:169.254.169.254] [::127.0.0.1] [::ffff:0:127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b::a9fe:a9fe] [2002:7f00:1::] [2002:a9fe:a9fe::] [2001:0:7f00:1::] [fe80::1%25lo] [::1%25lo]
127.0.0.1%23@example.com 127.0.0.1%2f.example.com""".split()
PUBLIC = """1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 223.255.255.255 [2001:200::1] [2003::1] [2606:4700::1111] [2a00::1]""".split()
PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
OWN = "8.8.4.4"  # put on an interface of this host, like OWN_PRIVATE, which lies in BLOCK
OWN_PRIVATE, BESIDE_IT, BLOCK = "10.9.8.7", "10.9.8.6", "10.0.0.0/8"


def inside(block: str) -> list[str]:
    """First, second, a middle and the last address of a block."""
    net = ipaddress.ip_network(block)
    picked = {0, min(1, net.num_addresses - 1), net.num_addresses // 2, net.num_addresses - 1}
    return [str(net[i]) for i in sorted(picked)]


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def settings(host: str, port: int, **more) -> dict:
    """The canary's port is open to public addresses, so only the address can be refused."""
    return PATIENT | {"allow_http": "true", "ports": str(port), "target.secret": SECRET,
                      "target.url": f"http://{host}:{port}/", "target.check": "1"} | more


def send(host: str, canary: DualStackCanary, how: str, env: dict | None = None, **more) -> dict:
    run = drive("webhook", settings(host, canary.port, **more), env=env)
    one = run.only
    return {"host": host, "how": how, "outcome": one["outcome"], "cause": one["cause"], "flags": one["flags"],
            "refused": run.checks[0]["refused"] != 0, "requests": (one["attempt"] or {"requests": 0})["requests"]}


def resolving(addresses: str) -> dict:
    return {"LD_PRELOAD": os.path.join(BUILD, "tests", "contract", "fake_resolver.so"), "FAKE_ADDRESSES": addresses}


def special_hosts() -> list[str]:
    plain = [address for block in IPV4 + IPV6 for address in inside(block)]
    v4 = [address for block in IPV4 for address in inside(block)]
    mapped = [f"::ffff:{address}" for address in v4] + [f"::{address}" for address in v4] + \
             [f"64:ff9b::{address}" for address in v4]
    return list(dict.fromkeys(map(in_url, plain + mapped))) + ODD + [OWN]


def refused_cases(canary: DualStackCanary) -> list[dict]:
    hostile = {name: f"http://1.1.1.1:{canary.port}" for name in PROXY_VARIABLES}
    resolver = "asan" not in BUILD and "tsan" not in BUILD  # sanitizers bring a getaddrinfo of their own
    cases = []
    for host in special_hosts():
        cases.append(send(host, canary, "delivery"))
        cases.append(send(host, canary, "trial", {"no_proxy": "*", "NO_PROXY": host}, **{"target.flags": "1"}))
        address = host.strip("[]")
        if resolver and "%" not in address and address.count(".") in (0, 3) and set(address) <= set("0123456789abcdef.:"):
            cases.append(send("partner.example", canary, f"name {address}", resolving(address)))
    for host in (OWN_PRIVATE, f"[::ffff:{OWN_PRIVATE}]"):
        cases.append(send(host, canary, "own address in an allowed block", allow_cidrs=BLOCK))
    for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]"):
        for no_proxy in ("", "*", "example.com"):
            cases.append(send(host, canary, "hostile proxy variables", hostile | {"no_proxy": no_proxy}))
    if resolver:
        # Good when it is checked, bad when it is dialled.
        for later in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", OWN):
            cases.append(send("rebinding.example", canary, f"rebinding {later}", resolving(f"1.1.1.1;{later}")))
    return cases


def main() -> None:
    for command in ("ip link set lo up", "ip route add local 0.0.0.0/0 dev lo",
                    "ip -6 route add local ::/0 dev lo", f"ip addr add {OWN}/32 dev lo",
                    f"ip addr add {OWN_PRIVATE}/32 dev lo"):
        subprocess.run(command.split(), check=True)
    with DualStackCanary() as canary:
        refused = refused_cases(canary)
        reached = len(canary.accepted)
        public = [send(host, canary, "delivery") for host in PUBLIC]
        public.append(send(BESIDE_IT, canary, "allowed block", allow_cidrs=BLOCK))
        public.append(send(OWN_PRIVATE, canary, "allowed alone", allow_cidrs=f"{BLOCK},{OWN_PRIVATE}"))
        print(json.dumps({"refused": refused, "reached": reached, "public": public,
                          "reached_public": len(canary.accepted) - reached}))


if __name__ == "__main__":
    main()
