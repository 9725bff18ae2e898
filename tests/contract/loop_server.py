# SPDX-License-Identifier: Apache-2.0
"""loop_server.py - a server in an asyncio loop and a thread of its own, as a context manager."""

import asyncio
import os
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import ports  # noqa: E402


class LoopServer:
    """Runs _connection() for whoever connects. `port` 0: one of its own, below those of outgoing connections."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1"):
        self.host, self.port = host, port or ports.take()
        self._loop = asyncio.new_event_loop()
        self._own_port = port == 0
        self._thread: threading.Thread | None = None

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def _context(self) -> ssl.SSLContext | None:
        return None

    def __enter__(self):
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(60)
        return self

    def __exit__(self, *_exc) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if self._own_port:
            ports.release(self.port)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(
            self._connection, self.host, self.port, ssl=self._context(), backlog=1024))
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()
