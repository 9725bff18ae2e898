# SPDX-License-Identifier: Apache-2.0
"""ports.py - free loopback ports that two test runs on one machine never share.

A port is taken by binding an abstract UNIX socket named after it, which lasts until release() or
the end of the process and leaves no file behind, so that a server may stop and start again on the
same number. Ports come from below the kernel's ephemeral range: no outgoing connection can occupy
one while its server is down. deploy/quickstart.sh looks for free ports below 20000, and rabbitmqctl
listens 10000 above its node: neither finds one of these.
"""

import random
import socket

FIRST, LAST = 20000, 29999
_held: dict[int, socket.socket] = {}


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def take() -> int:
    """Returns a free port and holds it. Raises RuntimeError when none is left."""
    for port in random.sample(range(FIRST, LAST), 500):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0postrider-port-{port}")
        except OSError:
            claim.close()
            continue
        if _is_free(port):
            _held[port] = claim
            return port
        claim.close()
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")


def release(port: int) -> None:
    """Gives a port back; harmless for one that is not held."""
    claim = _held.pop(port, None)
    if claim is not None:
        claim.close()
