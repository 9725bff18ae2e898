# SPDX-License-Identifier: Apache-2.0
"""Migrations: repeated, concurrent, by users of few rights, and refused."""

import concurrent.futures
import contextlib
import glob
import os
import re
import subprocess

import pytest


@pytest.fixture(scope="session")
def tool(build) -> str:
    path = os.path.join(build, "tests", "tools", "outbox_tool")
    assert os.access(path, os.X_OK), f"{path} is missing: build first, or set POSTRIDER_BUILD"
    return path


@pytest.fixture
def empty(postgres, request):
    """An empty database of this test alone."""
    database = postgres.create_database("m_" + request.node.name)
    yield database
    database.drop()


@pytest.fixture
def private(tmp_path):
    """A cluster without the four roles, which are cluster-wide."""
    from harness.postgres import Postgres
    with Postgres(fsync=False) as server:
        yield server.create_database("m_private")


def migrate(tool: str, dsn: str, *options: str) -> tuple[int, list[str], str]:
    done = subprocess.run([tool, "migrate", dsn, *options], text=True, capture_output=True,
                          timeout=300, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


MIGRATIONS = sorted(os.path.basename(path)[:-len(".sql")] for path in glob.glob(os.path.join(
    os.path.dirname(__file__), "..", "..", "core", "outbox", "schema", "[0-9]*.sql")))
LATEST = len(MIGRATIONS)


def as_user(db, user: str) -> str:
    return re.sub(r"//[^@]+@", f"//{user}@", db.dsn)


def test_it_applies_everything_once(tool, empty):
    assert migrate(tool, empty.dsn) == (
        0, [*(f"applied {name} " for name in MIGRATIONS), "applied roles ", f"version 0 {LATEST}"], "")
    assert migrate(tool, empty.dsn) == (0, ["applied roles ", f"version {LATEST} {LATEST}"], "")
    assert empty.value("SELECT schema_version FROM outbox.meta") == LATEST


def test_it_continues_where_it_stopped(tool, empty, root):
    empty.run_file(os.path.join(root, "core", "outbox", "schema", "001_tables.sql"))
    status, lines, _ = migrate(tool, empty.dsn)
    assert status == 0
    assert lines[0] == "applied 002_writer " and lines[-1] == f"version 1 {LATEST}"


def test_a_dry_run_prints_and_changes_nothing(tool, empty):
    status, lines, _ = migrate(tool, empty.dsn, "--dry-run")
    assert status == 0 and lines[-1] == f"version 0 {LATEST}"
    text = "\n".join(lines)
    assert "CREATE TABLE outbox.event (" in text and "CREATE ROLE" in text
    assert empty.value("SELECT to_regnamespace('outbox') IS NULL")
    migrate(tool, empty.dsn)
    _, lines, _ = migrate(tool, empty.dsn, "--dry-run", "--no-roles")
    assert lines == [f"version {LATEST} {LATEST}"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_migrators_do_not_race(tool, empty, isolation):
    empty.run(f'ALTER DATABASE "{empty.name}" SET default_transaction_isolation = \'{isolation}\'')
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: migrate(tool, empty.dsn), range(6)))
    assert [d[0] for d in done] == [0] * 6, done
    applied = [line for d in done for line in d[1] if line.startswith("applied 0")]
    assert sorted(applied) == [f"applied {name} " for name in MIGRATIONS]


def test_a_newer_version_is_refused(tool, empty):
    migrate(tool, empty.dsn)
    empty.run("UPDATE outbox.meta SET schema_version = 99")
    status, lines, err = migrate(tool, empty.dsn)
    assert (status, lines) == (1, [])
    assert f"version 99, and this postrider knows up to {LATEST}: upgrade postrider" in err


def test_a_foreign_schema_is_left_alone(tool, empty):
    empty.run("CREATE SCHEMA outbox")
    empty.run("CREATE TABLE outbox.message (id int)")
    status, _, err = migrate(tool, empty.dsn)
    assert status == 1 and 'has a schema "outbox" that is not postrider\'s' in err


def test_a_failing_migration_leaves_nothing_behind(tool, empty):
    empty.run("CREATE SCHEMA outbox")
    empty.run("CREATE DOMAIN outbox.lane AS int")  # takes the name of the table's row type
    status, _, err = migrate(tool, empty.dsn)
    assert status == 1 and "could not apply 001_tables" in err and "SQLSTATE" in err
    assert empty.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'outbox'::regnamespace") == 0


def test_an_owner_without_createrole_is_told_and_can_go_on(tool, private):
    private.run("CREATE ROLE few LOGIN")
    private.run(f'GRANT CREATE ON DATABASE "{private.name}" TO few')
    dsn = as_user(private, "few")
    status, lines, err = migrate(tool, dsn)
    assert status == 0, err
    notices = [line for line in lines if line.startswith("notice roles")]
    assert len(notices) == 5
    assert 'role "outbox_writer" is missing and user "few" cannot create it' in notices[0]
    assert "CREATE ROLE outbox_writer NOLOGIN" in notices[0] and "--no-roles" in notices[0]
    # The administrator does as told, and a second migration grants.
    for role in ("writer", "relay", "api", "operator", "monitor"):
        private.run(f"CREATE ROLE outbox_{role}")
    status, lines, _ = migrate(tool, dsn)
    assert (status, lines) == (0, ["applied roles ", f"version {LATEST} {LATEST}"])
    with contextlib.closing(private.connect()) as c, c.cursor() as cursor:
        cursor.execute("SET ROLE outbox_writer")
        cursor.execute("SELECT outbox.publish('T', 'a', '1')")


def test_an_owner_with_createrole_makes_the_roles(tool, private):
    private.run("CREATE ROLE many LOGIN CREATEROLE")
    private.run(f'GRANT CREATE ON DATABASE "{private.name}" TO many')
    status, lines, err = migrate(tool, as_user(private, "many"))
    assert status == 0, err
    assert not [line for line in lines if line.startswith("notice")]
    assert private.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'outbox%' AND NOT rolcanlogin") == 5


def test_no_roles_makes_none(tool, private):
    status, lines, _ = migrate(tool, private.dsn, "--no-roles")
    assert status == 0 and "applied roles " not in lines
    assert private.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'outbox%'") == 0
    assert not private.value("SELECT bool_or(has_function_privilege('public', oid, 'EXECUTE'))"
                             " FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace")


def test_an_owner_of_the_schema_alone_can_migrate(tool, empty):
    empty.run("DROP ROLE IF EXISTS schema_owner")
    empty.run("CREATE ROLE schema_owner LOGIN")
    empty.run("CREATE SCHEMA outbox AUTHORIZATION schema_owner")
    status, lines, err = migrate(tool, as_user(empty, "schema_owner"), "--no-roles")
    assert (status, lines[-1]) == (0, f"version 0 {LATEST}"), err


def test_a_user_who_may_nothing_is_told_so(tool, empty):
    empty.run("DROP ROLE IF EXISTS nothing")
    empty.run("CREATE ROLE nothing LOGIN")
    status, _, err = migrate(tool, as_user(empty, "nothing"))
    assert status == 1 and "permission denied" in err and err.startswith("-6:")


def test_odd_settings_of_the_role_do_not_matter(tool, empty):
    empty.run("CREATE SCHEMA evil")
    empty.run("CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql RETURN '-infinity'::timestamptz")
    empty.run(f'ALTER DATABASE "{empty.name}" SET search_path = evil, pg_catalog')
    empty.run(f'ALTER DATABASE "{empty.name}" SET standard_conforming_strings = off')
    status, _, err = migrate(tool, empty.dsn)
    assert status == 0, err
    assert empty.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                       " WHERE conname = 'event_payload_without_nul'").count("u0000") == 2
    assert "evil" not in str(empty.run("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef"))


@pytest.mark.parametrize("dsn", ["postgres//user:hunter2@host/db", "password=hunter2 nonsense"])
def test_a_connection_string_is_never_quoted(tool, dsn):
    status, _, err = migrate(tool, dsn)
    assert status == 1 and "cannot parse the connection string" in err and "hunter2" not in err


def test_a_server_that_is_down_is_named(tool):
    status, _, err = migrate(tool, "postgresql://u:hunter2@127.0.0.1:1/db")
    assert status == 1 and "could not connect to PostgreSQL" in err and "hunter2" not in err
