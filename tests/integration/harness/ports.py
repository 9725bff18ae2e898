# SPDX-License-Identifier: Apache-2.0
"""ports.py - free loopback ports that two test runs on one machine never share.

A port is taken by an exclusive lock on a file named after it and kept until release() or the end of
the process, so that a server may stop and start again on the same number. Ports come from below the
kernel's ephemeral range: no outgoing connection can occupy one while its server is down.
"""

import fcntl
import os
import random
import socket
import tempfile

FIRST, LAST = 12000, 29000
_held: dict[int, int] = {}


def _lock_file(port: int) -> int:
    path = os.path.join(tempfile.gettempdir(), f"postrider-port-{os.getuid()}-{port}.lock")
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


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
        if port in _held:
            continue
        fd = _lock_file(port)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            continue
        if _is_free(port):
            _held[port] = fd
            return port
        os.close(fd)
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")


def release(port: int) -> None:
    """Gives a port back; harmless for one that is not held."""
    fd = _held.pop(port, None)
    if fd is not None:
        os.close(fd)
