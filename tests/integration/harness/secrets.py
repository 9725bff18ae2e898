# SPDX-License-Identifier: Apache-2.0
"""secrets.py - a key ring and secrets of subscriptions sealed with it, as the API leaves them in the database."""

import base64
import contextlib
import os
import subprocess

import psycopg2.extras


class KeyRing:
    """The file that webhooks.key_ring names. `keys` maps numbers to lines; writing it is one rename."""

    def __init__(self, build: str, postrider: str, folder):
        self.path = os.path.join(str(folder), "keys")
        self._tool = os.path.join(build, "tests", "tools", "seal_tool")
        self._postrider = postrider
        self.lines: dict[int, str] = {}
        self.add()

    def write(self, numbers=None, current: int | None = None) -> None:
        """Writes these keys, or all, and which one is current."""
        kept = [self.lines[n] for n in sorted(self.lines if numbers is None else numbers)]
        text = "".join(line + "\n" for line in kept) + (f"current {current}\n" if current else "")
        with open(self.path + ".new", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        os.replace(self.path + ".new", self.path)

    def add(self) -> int:
        """Puts one more key into the ring, by the command, and returns its number."""
        done = subprocess.run([self._postrider, "secrets", "new-key", "--key-ring", self.path], text=True,
                              capture_output=True, check=True, timeout=120)
        number = int(done.stdout.split()[0])
        self.lines[number] = done.stdout.strip()
        self.write()
        return number

    def _filter(self, action: str, lines: list[str]) -> list[str]:
        done = subprocess.run([self._tool, action, self.path], input="".join(s + "\n" for s in lines), text=True,
                              capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def plant(self, db, n: int, destination: str = "partners", url: str = "https://a.example/",
              text: str | None = None) -> dict[str, str]:
        """Makes n subscriptions with one secret each, sealed with the current key: secret id to text.

        Every secret is random unless `text` is given.
        """
        secrets = {f"key_{os.urandom(16).hex()}": text or "whsec_" + base64.b64encode(os.urandom(32)).decode()
                   for _ in range(n)}
        owners = {key: f"sub_{os.urandom(16).hex()}" for key in secrets}
        sealed = self._filter("seal", [f"{owners[k]} {k} {text}" for k, text in secrets.items()])
        rows = [(owners[k], destination, url + owners[k], k, *line.split()) for k, line in zip(secrets, sealed)]
        with contextlib.closing(db.connect()) as c, c, c.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, """
                WITH row (sub, destination, url, id, number, hex) AS (VALUES %s),
                     made AS (INSERT INTO outbox.subscription (id, destination, url)
                              SELECT sub, destination, url FROM row RETURNING id, subscription)
                INSERT INTO outbox.subscription_secret (subscription, id, key_number, sealed)
                SELECT made.subscription, row.id, row.number::int, decode(row.hex, 'hex')
                FROM row JOIN made ON made.id = row.sub""", rows, page_size=n)
        return secrets

    def subscribe(self, db, url: str, destination: str = "partners", **columns) -> tuple[int, str, str]:
        """One subscription with one secret, as the API makes it: its number, its id, the secret."""
        sub, key = f"sub_{os.urandom(16).hex()}", f"key_{os.urandom(16).hex()}"
        columns = {"id": sub, "destination": destination, "url": url, **columns}
        places = ", ".join(["%s"] * len(columns))
        number = db.value(f"INSERT INTO outbox.subscription ({', '.join(columns)}) VALUES ({places})"
                          " RETURNING subscription", *columns.values())
        return number, sub, self.add_secret(db, number, sub, key)

    def add_secret(self, db, number: int, sub: str, key: str) -> str:
        """Seals and stores one more secret, and returns its text."""
        text = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        key_number, sealed = self._filter("seal", [f"{sub} {key} {text}"])[0].split()
        db.run("INSERT INTO outbox.subscription_secret (subscription, id, key_number, sealed)"
               " VALUES (%s, %s, %s, decode(%s, 'hex'))", number, key, int(key_number), sealed)
        return text

    def open_all(self, db) -> dict[str, str]:
        """Every secret of the database in clear, by its id. One that does not open fails the test."""
        rows = db.run("SELECT u.id, s.id, s.key_number, encode(s.sealed, 'hex') FROM outbox.subscription_secret s"
                      " JOIN outbox.subscription u USING (subscription) ORDER BY s.secret")
        texts = self._filter("open", [" ".join(map(str, row)) for row in rows])
        return {row[1]: text for row, text in zip(rows, texts)}


def by_key(db) -> dict[int, int]:
    """How many secrets each key number holds."""
    return dict(db.run("SELECT key_number, count(*) FROM outbox.subscription_secret GROUP BY 1"))
