# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one PostgreSQL cluster a session, one migrated database a test, brokers on demand."""

import os
import re
import subprocess

import pytest

from harness.postgres import Database, Postgres
from harness.writers import Writers

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
    with Postgres() as server:
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
def migrated_template(postgres, postrider) -> str:
    """A database with the schema, made by `postrider migrate`."""
    db = postgres.create_database("template_migrated")
    subprocess.run([postrider, "migrate", "--dsn", db.dsn], check=True, timeout=60)
    return db.name


@pytest.fixture
def db(postgres, migrated_template, request) -> Database:
    """A migrated database of this test alone, with the tables of the ground truth."""
    database = postgres.create_database(request.node.name, template=migrated_template)
    Writers.prepare(database)
    yield database
    database.drop()
