# SPDX-License-Identifier: Apache-2.0
"""tcp_proxy.py - a wire between a client and a server that a test can delay, hold and cut.

Each connection has two threads, one a direction. A held direction is not read beyond one piece, so that
its sender first fills the buffers of the kernel and then waits, as with a peer that hangs.
"""

import contextlib
import socket
import threading
import time

from . import ports

PIECE = 65536


class TcpProxy:
    """Listens on `port` and connects to `target` on loopback. Use as a context manager."""

    def __init__(self, target: int, delay: float = 0.0):
        self.port = ports.take()
        self.target, self.delay = target, delay
        self.accepted = 0
        self.held: set[str] = set()  # the directions that something waits in
        self._flows = {"up": threading.Event(), "down": threading.Event()}
        for flow in self._flows.values():
            flow.set()
        self._sockets: list[socket.socket] = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, *directions: str) -> None:
        """Stops "up" (client to server), "down" or, without arguments, both."""
        for name in directions or self._flows:
            self.held.discard(name)
            self._flows[name].clear()

    def release(self) -> None:
        for flow in self._flows.values():
            flow.set()

    def cut(self) -> None:
        """Ends all connections; new ones are accepted."""
        sockets, self._sockets = self._sockets, []
        for s in sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.release()
        ports.release(self.port)

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._sockets += [client, server]
            for name, source, sink in (("up", client, server), ("down", server, client)):
                threading.Thread(target=self._pump, args=(name, source, sink), daemon=True).start()

    def _pump(self, name: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(PIECE)
                if not self._flows[name].is_set():
                    self.held.add(name)
                    self._flows[name].wait()
                if not data:
                    break
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
