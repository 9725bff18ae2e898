# SPDX-License-Identifier: Apache-2.0
"""receiver.py - a webhook endpoint that checks signatures and misbehaves when told to.

The signature is computed here with hmac alone, from the text of the Standard Webhooks
specification, so that it shares no code with the sender. A delivery is recorded after its whole
body was read and before it is answered; `accepted` are those that were answered with 2xx.
"""

import base64
import dataclasses
import hashlib
import hmac
import http.server
import threading
import time

from . import ports
from .checker import Receipt

TOLERANCE_S = 300


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One request as it came in."""
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int              # what it was answered with
    verified: bool
    at: float                # time.time()

    @property
    def event_id(self) -> str:
        return self.headers.get("webhook-id", "")


def new_secret() -> str:
    return "whsec_" + base64.b64encode(hashlib.sha256(str(time.time_ns()).encode()).digest()).decode()


def verify(secret: str, headers: dict[str, str], body: bytes, now: float | None = None) -> bool:
    """Standard Webhooks, symmetric: HMAC-SHA256 over `id.timestamp.body`, any `v1` entry may match."""
    try:
        stamp = headers["webhook-timestamp"]
        signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
        given = headers["webhook-signature"].split(" ")
        fresh = abs((now or time.time()) - int(stamp)) <= TOLERANCE_S
    except (KeyError, ValueError):
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return fresh and any(hmac.compare_digest(want, entry) for entry in given)


class Receiver:
    """Listens on a port of its own, which it keeps while it is down.

    `status` and `delay` say how the next requests are answered; `answer`, when set, is a function
    of the Delivery-to-be (status 0) and returns the status.
    """

    def __init__(self, secret: str | None = None):
        self.secret = secret or new_secret()
        self.port = ports.take()
        self.status, self.delay = 204, 0.0
        self.answer = None
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def up(self) -> "Receiver":
        if self._server:
            return self
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def down(self) -> None:
        """Stops listening and closes open connections; new ones are refused."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
            server.close_connections()

    def stop(self) -> None:
        self.down()
        ports.release(self.port)

    def __enter__(self) -> "Receiver":
        return self.up()

    def __exit__(self, *_exc) -> None:
        self.stop()

    @property
    def deliveries(self) -> list[Delivery]:
        with self._lock:
            return list(self._deliveries)

    @property
    def accepted(self) -> list[Delivery]:
        return [d for d in self.deliveries if 200 <= d.status < 300]

    def receipts(self) -> list[Receipt]:
        """What counts as received, for the checker."""
        return [Receipt(d.event_id, d.body) for d in self.accepted]

    def record(self, path: str, headers: dict[str, str], body: bytes) -> int:
        verified = verify(self.secret, headers, body)
        seen = Delivery(path, headers, body, 0, verified, time.time())
        status = self.answer(seen) if self.answer else self.status
        if not verified:
            status = 401
        with self._lock:
            self._deliveries.append(dataclasses.replace(seen, status=status))
        if self.delay:
            time.sleep(self.delay)
        return status


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, *args):
        self._open: set = set()
        super().__init__(*args)

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for request in list(self._open):
            try:
                request.shutdown(2)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        """A connection that breaks is part of the tests."""


def _handler(receiver: Receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):  # pylint: disable=invalid-name
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.record(self.path, headers, body)
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args):
            pass

    return Handler
