# SPDX-License-Identifier: Apache-2.0
"""fault_receiver.py - a webhook endpoint that answers, or misbehaves, as the path says.

Requests are recorded as they came: names of headers in lower case, the raw body. The table FAULTS
at the end says which path does what.
"""

import asyncio
import dataclasses
import email.utils
import gzip
import socket
import ssl
import struct
import time
import urllib.parse

from loop_server import LoopServer


@dataclasses.dataclass(frozen=True)
class Request:
    """One request that was read in full."""
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int  # number of the connection that carried it


class FaultReceiver(LoopServer):
    """Listens on 127.0.0.1. `tls` is (certificate, key) or a server's context or None."""

    def __init__(self, port: int = 0, tls: tuple[str, str] | ssl.SSLContext | None = None,
                 host: str = "127.0.0.1"):
        super().__init__(port, host)
        self.requests: list[Request] = []
        self.connections = 0
        self.unasked = self.unasked_due = 0  # answers to nothing: how many were sent, and are to be
        self._tls = tls
        self._all_here = asyncio.Event()

    @property
    def base(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def received(self, request: Request) -> None:
        """Called for each request before it is answered."""

    def _context(self) -> ssl.SSLContext | None:
        if not isinstance(self._tls, tuple):
            return self._tls
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._tls)
        return context

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                path = lines[0].split(" ")[1]
                headers = dict((name.lower(), value.strip()) for name, _, value in
                               (line.partition(":") for line in lines[1:] if line))
                fault, _, argument = urllib.parse.unquote(path).strip("/").partition("/")
                if fault in ("early", "earlyclose"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                if fault == "earlyclose":
                    await writer.drain()
                    break
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(path, headers, body, number))
                self.received(self.requests[-1])
                if not await FAULTS[fault](self, writer, argument):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def _answer(status: int, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def _ok(_self, writer, _argument) -> bool:
    writer.write(_answer(200, body=b"ok"))
    return True


async def _early(_self, _writer, _argument) -> bool:
    return True


async def _status(_self, writer, argument) -> bool:
    """/status/CODE or /status/CODE/RETRY-AFTER"""
    code, _, after = argument.partition("/")
    writer.write(_answer(int(code), f"Retry-After: {after}\r\n" if after else ""))
    return True


async def _retry_date(_self, writer, argument) -> bool:
    """/retrydate/CODE/SECONDS: Retry-After as a date that many seconds from now."""
    code, _, seconds = argument.partition("/")
    when = email.utils.formatdate(time.time() + float(seconds), usegmt=True)
    writer.write(_answer(int(code), f"Retry-After: {when}\r\n"))
    return True


async def _redirect(_self, writer, argument) -> bool:
    """/redirect/CODE or /redirect/CODE/PORT: to nowhere, or to another port of this host."""
    code, _, port = argument.partition("/")
    location = f"Location: http://127.0.0.1:{port}/canary\r\n" if port else ""
    writer.write(_answer(int(code), location))
    return True


async def _header(_self, writer, argument) -> bool:
    """/header/CODE/BYTES: one header line of that length."""
    code, _, size = argument.partition("/")
    writer.write(_answer(int(code), "X-Long: " + "y" * int(size) + "\r\n"))
    return True


async def _bad_header(_self, writer, argument) -> bool:
    """/badheader/KIND"""
    line = {"latin1": b"X-Bad: \xff\xfe\x80", "nul": b"X-Bad: a\0b", "nocolon": b"no colon here",
            "control": b"X-Bad: \x01\x1b[31m"}[argument]
    writer.write(b"HTTP/1.1 200 X\r\n" + line + b"\r\nContent-Length: 0\r\n\r\n")
    return True


async def _continue(_self, writer, _argument) -> bool:
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.write(_answer(200))
    return True


async def _answer_and_close(_self, writer, _argument) -> bool:
    """Answers as if the connection stayed, then closes it."""
    writer.write(_answer(200))
    return False


async def _unasked(self, writer, argument) -> bool:
    """/unasked/CODE: answers, and when that is due once more, as servers do that tire of a kept connection."""
    writer.write(_answer(200))
    await writer.drain()
    while self.unasked == self.unasked_due:
        await asyncio.sleep(0.01)
    writer.write(_answer(int(argument)))
    await writer.drain()
    self.unasked += 1
    return True


async def _silent(_self, _writer, _argument) -> bool:
    await asyncio.sleep(60)
    return False


async def _slow(_self, writer, argument) -> bool:
    await asyncio.sleep(float(argument))
    writer.write(_answer(200))
    return True


async def _gathered(self, writer, argument) -> bool:
    """/gathered/N: answers when N requests have come."""
    if len(self.requests) >= int(argument):
        self._all_here.set()
    await self._all_here.wait()
    return await _ok(self, writer, argument)


async def _drip(writer, data: bytes, step: int = 1, pause: float = 0.2) -> None:
    while True:
        writer.write(data * step)
        await writer.drain()
        await asyncio.sleep(pause)


async def _header_drip(_self, writer, _argument) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await _drip(writer, b"a")


async def _status_drip(_self, writer, _argument) -> bool:
    for byte in b"HTTP/1.1 200 OK":
        await _drip_once(writer, bytes([byte]))
    await _drip(writer, b"K")


async def _drip_once(writer, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
    await asyncio.sleep(0.2)


async def _body_drip(_self, writer, argument) -> bool:
    """/bodydrip/CODE"""
    writer.write(f"HTTP/1.1 {argument} X\r\nContent-Length: 1000000\r\n\r\n".encode())
    await _drip(writer, b"a")


async def _body_endless(_self, writer, argument) -> bool:
    """/endless/CODE"""
    writer.write(f"HTTP/1.1 {argument} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    await _drip(writer, b"10000\r\n" + b"z" * 65536 + b"\r\n", pause=0)


async def _header_flood(_self, writer, argument) -> bool:
    """/headerflood/CODE"""
    writer.write(f"HTTP/1.1 {argument} X\r\n".encode())
    await _drip(writer, b"X-Flood: " + b"y" * 1000 + b"\r\n", pause=0)


async def _interim(_self, writer, argument) -> bool:
    """/interim/PAUSE: 1xx answers without end."""
    await _drip(writer, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", pause=float(argument))


async def _bomb(_self, writer, _argument) -> bool:
    body = gzip.compress(b"\0" * 1_000_000) * 50  # one after the other are one, too
    writer.write(_answer(200, "Content-Encoding: gzip\r\n", body))
    return True


async def _garbage(_self, writer, _argument) -> bool:
    writer.write(b"\x00\xff\xfe not http at all\r\n\r\n")
    return False


async def _close(_self, _writer, _argument) -> bool:
    """Reads the request in full, then closes."""
    return False


async def _reset(_self, writer, argument) -> bool:
    """/reset or /reset/CODE: RST, before or in the middle of the answer's body."""
    if argument:
        writer.write(f"HTTP/1.1 {argument} X\r\nContent-Length: 100\r\n\r\nhalf".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _second(self, writer, argument) -> bool:
    """The first request of a connection is answered, the second read in full and dropped."""
    here = self.requests[-1].connection
    if sum(1 for r in self.requests if r.connection == here) > 1:
        return False
    return await _ok(self, writer, argument)


async def _every_hundredth(self, writer, argument) -> bool:
    """Hangs on events whose id ends in 50; a request takes 10 ms otherwise."""
    if self.requests[-1].headers["webhook-id"].endswith("50"):
        return await _silent(self, writer, argument)
    return await _slow(self, writer, "0.01")


FAULTS = {
    "everyhundredth": _every_hundredth, "retrydate": _retry_date, "header": _header,
    "badheader": _bad_header, "continue": _continue, "answerandclose": _answer_and_close,
    "statusdrip": _status_drip, "unasked": _unasked, "gathered": _gathered,
    "ok": _ok, "canary": _ok, "early": _early, "status": _status, "redirect": _redirect,
    "silent": _silent, "slow": _slow, "headerdrip": _header_drip, "bodydrip": _body_drip,
    "endless": _body_endless, "headerflood": _header_flood, "interim": _interim, "bomb": _bomb,
    "garbage": _garbage, "close": _close, "reset": _reset, "second": _second,
}
