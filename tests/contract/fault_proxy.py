# SPDX-License-Identifier: Apache-2.0
"""fault_proxy.py - forward proxies that tunnel, or fail at CONNECT as they were told."""

import asyncio

from loop_server import LoopServer


class FaultProxy(LoopServer):
    """Listens on 127.0.0.1. `fault` is "" to work, a status, "hang", "close" or "garbage"."""

    def __init__(self, fault: str = ""):
        super().__init__()
        self.asked: list[str] = []  # what CONNECT named
        self._fault = fault

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _connection(self, reader, writer) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            where = head.split(b" ")[1].decode()
            self.asked.append(where)
            await self._serve(where, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve(self, where: str, reader, writer) -> None:
        if self._fault.isdigit():
            writer.write(f"HTTP/1.1 {self._fault} X\r\nContent-Length: 0\r\n\r\n".encode())
        elif self._fault == "hang":
            await asyncio.sleep(60)
        elif self._fault == "garbage":
            writer.write(b"\x00\xff not http\r\n\r\n")
        elif self._fault == "":
            await self._tunnel(where, reader, writer)

    @staticmethod
    async def _tunnel(where: str, reader, writer, hello: bytes = b"HTTP/1.1 200 Established\r\n\r\n") -> None:
        host, _, port = where.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(hello)

        async def pump(source, sink):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


class FaultSocks(FaultProxy):
    """The same for SOCKS 5 with names (RFC 1928); `fault` is "", "refuse", "hang" or "close"."""

    @property
    def url(self) -> str:
        return f"socks5h://127.0.0.1:{self.port}"

    async def _connection(self, reader, writer) -> None:
        try:
            methods = (await reader.readexactly(2))[1]
            await reader.readexactly(methods)
            writer.write(b"\x05\x00")  # no credentials
            kind = (await reader.readexactly(4))[3]
            size = {1: 4, 3: None, 4: 16}[kind]
            raw = await reader.readexactly(size if size else (await reader.readexactly(1))[0])
            port = int.from_bytes(await reader.readexactly(2), "big")
            where = f"{raw.decode() if kind == 3 else '.'.join(map(str, raw))}:{port}"
            self.asked.append(where)
            if self._fault == "refuse":
                writer.write(b"\x05\x05\x00\x01" + bytes(6))
            elif self._fault == "hang":
                await asyncio.sleep(60)
            elif self._fault == "":
                await self._tunnel(where, reader, writer, b"\x05\x00\x00\x01" + bytes(6))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
