# SPDX-License-Identifier: Apache-2.0
"""subscribers.py - many webhook endpoints in one thread, each with a path and a temper of its own.

A request is recorded when its whole body was read. Signatures are checked with hmac alone, by the text of the
Standard Webhooks specification.
"""

import asyncio
import collections
import dataclasses
import threading
import time

from . import ports
from .receiver import verify


@dataclasses.dataclass(frozen=True)
class Arrival:
    """One request."""
    endpoint: str
    event_id: str
    body: bytes
    headers: dict[str, str]
    status: int   # what it was answered with; 0: not at all
    verified: bool
    at: float     # time.time()


class Endpoint:
    """`status` says how the next requests are answered, 0 hangs; no answer leaves while `held`."""

    def __init__(self, name: str):
        self.name = name
        self.secrets: list[str] = []
        self.status, self.held = 204, False
        self.headers = ""
        self.answer = None  # called with the Arrival-to-be, returns a status


class Subscribers:
    """Use as a context manager. `endpoint(name)` makes one; its URL is url(name)."""

    def __init__(self):
        self.port = ports.take()
        self.endpoints: dict[str, Endpoint] = {}
        self.arrivals: list[Arrival] = []
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def endpoint(self, name: str) -> Endpoint:
        return self.endpoints.setdefault(name, Endpoint(name))

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def of(self, name: str) -> list[Arrival]:
        return [a for a in list(self.arrivals) if a.endpoint == name]

    def accepted(self) -> dict[str, list[Arrival]]:
        """By endpoint, what was answered with 2xx, in the order of arrival."""
        result = collections.defaultdict(list)
        for a in list(self.arrivals):
            if 200 <= a.status < 300:
                result[a.endpoint].append(a)
        return result

    def __enter__(self) -> "Subscribers":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)
        return self

    def __exit__(self, *_exc) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        ports.release(self.port)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _close(self) -> None:
        self._server.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=4096)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        e = self.endpoint(head[0].split(" ")[1].lstrip("/"))
        good = any(verify(secret, headers, body) for secret in e.secrets)
        seen = Arrival(e.name, headers.get("webhook-id", ""), body, headers, 0, good, time.time())
        status = e.answer(seen) if e.answer else e.status
        self.arrivals.append(dataclasses.replace(seen, status=status))
        if status == 0:
            await asyncio.sleep(120)
            return False
        while e.held:
            await asyncio.sleep(0.01)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{e.headers}\r\n".encode())
        await writer.drain()
        return True
