# SPDX-License-Identifier: Apache-2.0
"""pgbouncer.py - a pooler in transaction mode in front of a private cluster."""

import os
import shutil
import subprocess
import tempfile

import psycopg2

from . import ports
from .postgres import Postgres, server_user
from .wait import Hopeless, wait_until

CONFIG = """\
[databases]
* = host=127.0.0.1 port={server} user=postrider
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
{extra}
"""


class PgBouncer:
    """Use as a context manager. `extra` are lines of its [pgbouncer] section."""

    def __init__(self, server: Postgres, extra: str = ""):
        self.folder = tempfile.mkdtemp(prefix="postrider-pgbouncer-")
        self.port = ports.take()
        self._process: subprocess.Popen | None = None
        self._user = server_user()  # it refuses to run as root, too
        path = os.path.join(self.folder, "pgbouncer.ini")
        with open(path, "w", encoding="ascii") as f:
            f.write(CONFIG.format(server=server.port, port=self.port, extra=extra))
        if self._user:
            for name in (self.folder, path):
                os.chown(name, self._user.pw_uid, self._user.pw_gid)

    def dsn(self, database: str) -> str:
        return f"postgresql://postrider@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> "PgBouncer":
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "pgbouncer is missing: run deploy/install-deps.sh tests"
        as_user = {} if not self._user else {
            "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self._process = subprocess.Popen([program, "pgbouncer.ini"], cwd=self.folder, stdout=log,
                                             stderr=log, stdin=subprocess.DEVNULL, **as_user)
        wait_until(self._answers, "pgbouncer answers")
        return self

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as f:
                raise Hopeless(f"pgbouncer ended:\n{f.read()[-2000:]}")
        psycopg2.connect(self.dsn("postgres"), connect_timeout=20).close()
        return True

    def __exit__(self, *_exc) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
        ports.release(self.port)
