# SPDX-License-Identifier: Apache-2.0
"""api.py - a client of the HTTP API that remembers every exchange, and endpoints for subscriptions."""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import secrets
import threading
import weakref
from typing import Any

from . import ports
from .receiver import verify

SCOPES = {"reader": "read", "writer": "read,write", "hooks-reader": "webhooks.read", "hooks-writer": "webhooks.write"}
LOOPBACK = {"allow_http": True, "allow_cidrs": "127.0.0.0/8"}


def partners(name: str = "partners", **extra) -> dict:
    """A destination with subscriptions whose endpoints may be on this machine."""
    options = {**LOOPBACK, **extra.pop("options", {})}
    return {"name": name, "adapter": "webhook", "subscriptions": True, "options": options, **extra}


class Answer:
    """What came back. `body` is JSON, or None where there is none."""

    def __init__(self, status: int, headers: list[tuple[str, str]], text: bytes):
        self.status, self.text = status, text
        self.headers = {k.lower(): v for k, v in headers}
        self.body: Any = json.loads(text) if text else None

    @property
    def etag(self) -> str:
        return self.headers["etag"]

    @property
    def code(self) -> str:
        return self.body["code"]

    def faults(self) -> dict[str, str]:
        """Pointer to code."""
        return {e["pointer"]: e["code"] for e in self.body.get("errors", [])}

    def __repr__(self) -> str:
        return f"{self.status} {self.text[:2000]!r}"


class ApiClient:
    """Tokens of each scope and the requests; `exchanges` has all of them, for the contract test."""

    def __init__(self, folder):
        self.port = ports.take()
        weakref.finalize(self, ports.release, self.port)
        self.exchanges: list[dict] = []
        self.tokens = {name: secrets.token_urlsafe(32) for name in SCOPES}
        self.token_file = os.path.join(str(folder), "tokens")
        with open(self.token_file, "w", encoding="ascii") as f:
            for name, token in self.tokens.items():
                f.write(f"{name} {SCOPES[name]} {hashlib.sha256(token.encode()).hexdigest()}\n")

    @property
    def settings(self) -> dict:
        return {"listen": f"127.0.0.1:{self.port}", "token_file": self.token_file}

    def __call__(self, method: str, path: str, body=None, *, who: str | None = "writer", **headers: str) -> Answer:
        """`body` is JSON, or bytes and texts as they are; a header x_y=... is sent as "x-y"."""
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        if who:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            sent.setdefault("content-type", f"application/{kind}")
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            # A refusal may come before all of the body is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body.encode() if isinstance(body, str) else body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        self._remember(method, path, sent, body, answer)
        return answer

    def _remember(self, method, path, sent, body, answer) -> None:
        try:
            request = json.loads(body) if body else None
        except (ValueError, RecursionError):
            request = None
        self.exchanges.append({
            "method": method, "path": path, "requestHeaders": {k.lower(): v for k, v in sent.items()},
            "request": request, "status": answer.status, "headers": answer.headers, "body": answer.body})

    def save(self, path) -> None:
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(e) + "\n" for e in self.exchanges)


class Endpoint:
    """Listens for deliveries of any number of subscriptions, which differ by path.

    `answers[path]` is a status, or a function of (headers, body) that returns (status, body). The
    requests are in `seen` as (path, headers with names in lower case, body).
    """

    def __init__(self):
        self.answers: dict[str, Any] = {}
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str = "/hook") -> list[tuple[dict[str, str], bytes]]:
        return [(h, b) for p, h, b in self.seen if p == path]

    def verified(self, secret: str, path: str = "/hook") -> bool:
        """Whether something came there, all of it signed with the secret."""
        return bool(self.at(path)) and all(verify(secret, h, b) for h, b in self.at(path))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.seen.append((path, headers, body))
        given = self.answers.get(path, 204)
        return given(headers, body) if callable(given) else (given, b"")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # beyond it a connection takes a second more


def agree(_headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """The answer to a handshake."""
    message = json.loads(body)
    return 200, json.dumps({"challenge": message.get("challenge")}).encode()


def _handler(endpoint: Endpoint):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):  # pylint: disable=invalid-name
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, answer = endpoint.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if answer:
                self.wfile.write(answer)

        def log_message(self, *_args):
            pass

    return Handler
