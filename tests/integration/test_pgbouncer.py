# SPDX-License-Identifier: Apache-2.0
"""A pooler in transaction mode takes the session away from the relay, which says so and sends nothing."""

import time

import psycopg2
import pytest

from harness.pgbouncer import PgBouncer
from harness.relay import Relay
from harness.wait import let_run, wait_until


@pytest.mark.parametrize("extra", [
    "",  # refuses the settings that the relay asks for
    "ignore_startup_parameters = options",  # takes and drops them
], ids=["refuses", "drops"])
def test_pooler_is_named(db, postgres, postrider, tmp_path, file, extra):
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    with PgBouncer(postgres, extra) as pooler, \
            Relay(postrider, tmp_path, pooler.dsn(db.name), [file.config()]).start(wait=False) as relay:
        start = time.monotonic()
        wait_until(lambda: "pgbouncer" in relay.log(), "the log names the pooler")
        print(f"named after {time.monotonic() - start:.2f} s")
        wait_until(lambda: relay.get("/readyz")[0] == 503, "it is not ready")
        let_run(1)
        assert relay.running() and file.count() == 0
        assert relay.get("/readyz")[0] == 503 and relay.get("/livez")[0] == 200


def test_writers_may_use_a_pooler(db, postgres, relay_of, file):
    """Only the relay needs a session: an application publishes through the pooler."""
    relay_of([file])
    with PgBouncer(postgres, "ignore_startup_parameters = options") as pooler:
        connection = psycopg2.connect(pooler.dsn(db.name))
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT outbox.publish('t', 'a', '{}')")
        connection.close()
        wait_until(lambda: file.count() == 1, "the event arrives")
