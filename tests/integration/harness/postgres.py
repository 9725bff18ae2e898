# SPDX-License-Identifier: Apache-2.0
"""postgres.py - a private PostgreSQL cluster in a temporary folder.

The server runs as a child of the tests on a loopback port. PostgreSQL refuses to run as root, so
root runs it as the package's own user (or nobody), who then owns the folder.
"""

import contextlib
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading

import psycopg2

from . import ports
from .wait import Hopeless, wait_until

SUPERUSER = "postrider"


def bindir() -> str:
    """Folder of initdb and postgres: PG_BINDIR, else the newest Debian package, else pg_config's."""
    if os.environ.get("PG_BINDIR"):
        return os.environ["PG_BINDIR"]
    base = "/usr/lib/postgresql"
    versions = os.listdir(base) if os.path.isdir(base) else []
    for version in sorted((v for v in versions if v.isdigit()), key=int, reverse=True):
        folder = os.path.join(base, version, "bin")
        if os.path.exists(os.path.join(folder, "initdb")):
            return folder
    return subprocess.check_output(["pg_config", "--bindir"], text=True).strip()


def server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root; None: as ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("neither user postgres nor user nobody exists")


class Postgres:
    """One cluster. Use as a context manager, or call start() and stop()."""

    def __init__(self, fsync: bool = True, settings: dict[str, str] | None = None):
        self.folder = tempfile.mkdtemp(prefix="postrider-pg-")
        self.port = ports.take()
        self.log_path = os.path.join(self.folder, "server.log")
        self._user = server_user()
        self._process: subprocess.Popen | None = None
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": self.folder,
            "max_prepared_transactions": "20",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "fsync": "on" if fsync else "off",
            "wal_level": "replica",
            "log_min_messages": "warning",
            **(settings or {}),
        }
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", SUPERUSER, "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")

    @property
    def _data(self) -> str:
        return os.path.join(self.folder, "data")

    def _as_user(self) -> dict:
        if not self._user:
            return {"cwd": self.folder}
        return {"cwd": self.folder, "user": self._user.pw_uid, "group": self._user.pw_gid,
                "extra_groups": []}

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run([os.path.join(bindir(), program), *args], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self._as_user())
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}")

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", **options):
        """A psycopg2 connection; the caller closes it."""
        return psycopg2.connect(self.dsn(database), connect_timeout=30, **options)

    def start(self) -> "Postgres":
        args = [os.path.join(bindir(), "postgres"), "-D", self._data]
        for name, value in self._settings.items():
            args += ["-c", f"{name}={value}"]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(args, stdout=log, stderr=log,
                                             stdin=subprocess.DEVNULL, **self._as_user())
        wait_until(self._answers, "PostgreSQL answers", timeout=180)
        return self

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                raise Hopeless(f"PostgreSQL ended:\n{f.read()[-2000:]}")
        self.connect().close()
        return True

    def halt(self, mode: str = "fast") -> None:
        """Stops the server and keeps the data. `mode`: fast or immediate."""
        if self._process and self._process.poll() is None:
            self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            self._process.wait(timeout=180)
        self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.halt(mode)
        self.start()

    def stop(self) -> None:
        """Ends the server and removes the cluster."""
        self.halt("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
        ports.release(self.port)

    def __enter__(self) -> "Postgres":
        return self.start()

    def __exit__(self, *_exc) -> None:
        self.stop()

    # Databases -----------------------------------------------------------------------------------

    def create_database(self, name: str, template: str = "template1") -> "Database":
        name = re.sub(r"[^a-z0-9_]", "_", name.lower())[:50]
        self.execute_alone(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.execute_alone(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self, name)

    def execute_alone(self, sql: str) -> None:
        """Runs what no session of a database may see; each time the server waits 5 s for the last one to end."""
        for left in reversed(range(12)):
            with contextlib.closing(self.connect()) as c:
                c.autocommit = True
                try:
                    c.cursor().execute(sql)
                    return
                except psycopg2.errors.ObjectInUse:
                    if left == 0:
                        raise


class Database:
    """One database of a cluster, with the small queries tests ask for."""

    def __init__(self, server: Postgres, name: str):
        self.server, self.name = server, name
        self._kept = threading.local()

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.name)

    def connect(self, **options):
        return self.server.connect(self.name, **options)

    def run(self, sql: str, *args) -> list[tuple]:
        """Executes one statement in a transaction of its own and returns its rows, if any.

        A thread keeps its connection, since a new one costs the server 10 ms of a processor. So what is set
        for a session, and what a database sets for new ones, needs forget() or connect().
        """
        with self.kept().cursor() as cursor:
            cursor.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

    def kept(self):
        """This thread's connection, or a new one where the server has ended that: its last words make it
        readable."""
        c = getattr(self._kept, "connection", None)
        if c is None or c.closed or select.select([c], [], [], 0)[0]:
            self.forget()
            self._kept.connection = c = self.connect()
            c.autocommit = True
        return c

    def forget(self) -> None:
        """Ends this thread's connection."""
        c = self._kept.__dict__.pop("connection", None)
        if c is not None:
            c.close()

    def value(self, sql: str, *args):
        """The first column of the first row."""
        return self.run(sql, *args)[0][0]

    def run_file(self, path: str) -> None:
        """Executes a file, in a session of its own."""
        with open(path, encoding="utf-8") as f:
            self.forget()
            self.run(f.read())
            self.forget()

    def drop(self) -> None:
        with contextlib.closing(self.server.connect()) as c:
            c.autocommit = True
            with c.cursor() as cursor:
                cursor.execute(
                    "SELECT gid FROM pg_prepared_xacts WHERE database = %s", (self.name,))
                gids = [row[0] for row in cursor.fetchall()]
        if gids:
            with contextlib.closing(self.connect()) as c:
                c.autocommit = True
                with c.cursor() as cursor:
                    for gid in gids:
                        cursor.execute("ROLLBACK PREPARED %s", (gid,))
        self.server.execute_alone(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
