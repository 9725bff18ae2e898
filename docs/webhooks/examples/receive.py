# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver: python3 receive.py PORT DATABASE, with the secret in WEBHOOK_SECRET."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import re
import sqlite3
import sys
import time

TOLERANCE_S = 300
KEEP_S = 30 * 86400  # as long as events may be sent again; for replays alone twice the tolerance would do
MAX_BODY = 1 << 20


def verify(secret, headers, body, now):
    """True if one v1 entry was made with this secret over exactly these bytes, and just now."""
    event_id, timestamp = headers["webhook-id"] or "", headers["webhook-timestamp"] or ""
    if not event_id or not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    mac = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(mac)
    entries = (headers["webhook-signature"] or "").encode().split(b" ")
    return any([hmac.compare_digest(expected, entry) for entry in entries])


def handshake(body):
    """The answer that agrees to a subscription, if that is what the request asks for; otherwise None."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        message = json.loads(body)
        if message["type"] == "verification":
            return json.dumps({"challenge": message["challenge"]}).encode()
    return None


def apply_once(path, event_id, body):
    """Stores the id and the effect in one transaction. False: it has been applied before."""
    now = time.time()
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
        if database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (event_id, now)).rowcount == 0:
            return False
        database.execute("DELETE FROM seen WHERE at < ?", (now - KEEP_S,))
        database.execute("INSERT INTO inbox VALUES (?, ?)", (event_id, body))
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 15

    def do_POST(self):
        length = self.headers["content-length"] or "0"
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > MAX_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))  # the raw bytes: nothing is parsed before they are verified
        if not verify(os.environ["WEBHOOK_SECRET"], self.headers, body, time.time()):
            return self.answer(401)
        agreed = handshake(body)
        if agreed or self.headers["webhook-test"] == "true":  # a trial: like a handshake it has no effect
            return self.answer(200, agreed or b"")
        new = apply_once(sys.argv[2], self.headers["webhook-id"], body)
        sys.stdout.write(f"{'new' if new else 'repeat'} {self.headers['webhook-id']}\n")
        return self.answer(204)  # a repeat is a success, too: otherwise the sender would go on trying

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


if __name__ == "__main__":
    with contextlib.closing(sqlite3.connect(sys.argv[2])) as setup:
        setup.execute("PRAGMA journal_mode = WAL")
        setup.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at REAL)")
        setup.execute("CREATE INDEX IF NOT EXISTS seen_at ON seen (at)")
        setup.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT, body BLOB)")
    # A thread for each connection: senders keep several open.
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    sys.stdout.reconfigure(line_buffering=True)
    print("listening on", server.server_port)
    server.serve_forever()
