# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver: python3 receive.py PORT DATABASE, with the secret in WEBHOOK_SECRET."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import os
import sqlite3
import sys
import time

TOLERANCE_S = 300


def verify(secret, headers, body, now):
    """True if one v1 entry was made with this secret over exactly these bytes, and just now."""
    event_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if not event_id or not (timestamp or "").isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    mac = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(mac)
    entries = (headers["webhook-signature"] or "").encode().split(b" ")
    return any([hmac.compare_digest(expected, entry) for entry in entries])


def apply_once(path, event_id, body):
    """Stores the id and the effect in one transaction. False: it has been applied before."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
        if database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (event_id, time.time())).rowcount == 0:
            return False
        database.execute("INSERT INTO inbox VALUES (?, ?)", (event_id, body))
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        if not verify(os.environ["WEBHOOK_SECRET"], self.headers, body, time.time()):
            return self.answer(401)
        new = apply_once(sys.argv[2], self.headers["webhook-id"], body)
        sys.stdout.write(f"{'new' if new else 'repeat'} {self.headers['webhook-id']}\n")
        return self.answer(204)  # a repeat is a success, too

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


if __name__ == "__main__":
    with contextlib.closing(sqlite3.connect(sys.argv[2])) as setup:
        setup.execute("PRAGMA journal_mode = WAL")
        setup.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at REAL)")
        setup.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT, body BLOB)")
    # A thread for each connection: senders keep several open.
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    sys.stdout.reconfigure(line_buffering=True)
    print("listening on", server.server_port)
    server.serve_forever()
