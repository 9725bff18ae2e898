# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one PostgreSQL cluster a session, one migrated database a test, brokers on demand."""

import contextlib
import logging
import os
import re
import subprocess
import uuid

import pytest

from harness.api import Endpoint
from harness.expander import Expander
from harness.postgres import Database, Postgres
from harness.receiver import Receiver
from harness.relay import Relay
from harness.sinks import FileSink, KafkaSink, RabbitSink, WebhookSink, file_sink
from harness.writers import Writers

# Clients that wait for a broker to come back say so at every try.
for noisy in ("pika", "kafka"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


@pytest.fixture(scope="session")
def root() -> str:
    """The source tree."""
    return ROOT


@pytest.fixture(scope="session")
def build() -> str:
    """The build folder: POSTRIDER_BUILD, or build/ in the source tree."""
    return os.path.abspath(os.environ.get("POSTRIDER_BUILD", os.path.join(ROOT, "build")))


@pytest.fixture(scope="session")
def postrider(build) -> str:
    """The program under test."""
    path = os.path.join(build, "postrider")
    assert os.access(path, os.X_OK), f"{path} is missing: build first, or set POSTRIDER_BUILD"
    return path


@pytest.fixture(scope="session")
def postgres():
    """The cluster that tests share; those that stop the server make their own."""
    with Postgres(fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
def empty_template(postgres) -> str:
    """A database with the schema, made by the SQL files themselves: needs no binary."""
    db = postgres.create_database("template_files")
    folder = os.path.join(ROOT, "core", "outbox", "schema")
    names = sorted(n for n in os.listdir(folder) if re.match(r"\d+_.*\.sql$", n))
    for name in names + ["roles.sql"]:
        db.run_file(os.path.join(folder, name))
    return db.name


@pytest.fixture(scope="session")
def migrate(postrider):
    """migrate(db) brings a database to the newest schema."""
    return lambda db: subprocess.run([postrider, "migrate", "--dsn", db.dsn], check=True, timeout=180)


@pytest.fixture(scope="session")
def migrated_template(postgres, migrate) -> str:
    """A database with the schema, made by `postrider migrate`."""
    db = postgres.create_database("template_migrated")
    migrate(db)
    return db.name


@pytest.fixture
def own_postgres():
    """A cluster that this test may stop; fsync is on, as in production."""
    with Postgres(fsync=True) as server:
        yield server


@pytest.fixture
def db(postgres, migrated_template, request) -> Database:
    """A migrated database of this test alone, with the tables of the ground truth."""
    database = postgres.create_database(request.node.name, template=migrated_template)
    Writers.prepare(database)
    yield database
    database.drop()


@pytest.fixture
def lane(postgres, empty_template, request):
    """A lane of subscriptions in a database of this test alone."""
    database = postgres.create_database("x_" + request.node.name, template=empty_template)
    yield Expander(database)
    database.drop()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory):
    """A RabbitMQ node of this session."""
    from harness.rabbitmq import RabbitMQ
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_server():
    """An Apache Kafka node of this session; run.sh has fetched it."""
    if os.environ.get("POSTRIDER_NO_KAFKA"):
        pytest.skip("Kafka could not be fetched, or was left out")
    from harness.kafka import Kafka
    with Kafka() as broker:
        yield broker


@pytest.fixture
def receiver():
    """A webhook endpoint that is up."""
    with Receiver() as r:
        yield r


@pytest.fixture
def endpoint():
    """A receiver of subscriptions, by path."""
    e = Endpoint()
    yield e
    e.stop()


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def file(tmp_path) -> FileSink:
    return file_sink(tmp_path)


@pytest.fixture
def hook(receiver) -> WebhookSink:
    return WebhookSink("hook", receiver)


@pytest.fixture
def queue(rabbitmq_server) -> RabbitSink:
    return RabbitSink("queue", rabbitmq_server, unique("events"))


@pytest.fixture
def topic(kafka_server) -> KafkaSink:
    return KafkaSink("topic", kafka_server, unique("events"))


@pytest.fixture
def relay_of(postrider, db, tmp_path):
    """Makes a relay of this test's database: relay_of([sink or dict, ...], **settings).

    Every relay made is killed at the end, and its log is shown when the test fails.
    """
    with contextlib.ExitStack() as stack:
        def make(destinations, start: bool = True, routes=None, extra=None, **settings) -> Relay:
            dicts = [d if isinstance(d, dict) else d.config(**(extra or {})) for d in destinations]
            folder = tmp_path / unique("relay")
            folder.mkdir()
            r = Relay(postrider, folder, db.dsn, dicts, routes, **settings)
            stack.callback(r.__exit__)
            stack.callback(lambda: print(f"--- log of {folder.name}\n{r.tail()}"))
            return r.start() if start else r
        yield make
