# SPDX-License-Identifier: Apache-2.0
"""rider_outbox_write() of libpostrider on a live connection, and programs that link the SDK."""

import contextlib
import ctypes
import os
import subprocess
import textwrap
import uuid

import psycopg2
import psycopg2.extensions
import pytest

INVALID, NO_TRANSACTION, UNKNOWN_TYPE, DENIED, NO_SCHEMA, LOST, FAILED = range(-1, -8, -1)
AUTOCOMMIT = 1


class Event(ctypes.Structure):
    """struct rider_outbox_event."""
    _fields_ = [("struct_size", ctypes.c_size_t)] + [
        (name, ctypes.c_char_p) for name in ("type", "aggregate_id", "payload", "aggregate_type", "headers",
                                             "event_id", "occurred_at")] + [
        ("version", ctypes.c_int), ("flags", ctypes.c_uint)]


@pytest.fixture(scope="session")
def sdk(build):
    path = os.path.join(build, "core", "outbox", "libpostrider.so")
    assert os.path.exists(path), f"{path} is missing: build first, or set POSTRIDER_BUILD"
    try:
        library = ctypes.CDLL(path)
    except OSError as e:  # a sanitizer's runtime has to come first in the process
        pytest.skip(f"cannot load libpostrider into python: {e}")
    library.rider_outbox_write.argtypes = [ctypes.c_void_p, ctypes.POINTER(Event), ctypes.c_char_p,
                                           ctypes.c_char_p, ctypes.c_size_t]
    return library


@pytest.fixture
def outbox(postgres, empty_template, request):
    database = postgres.create_database("w_" + request.node.name, template=empty_template)
    yield database
    database.drop()


@pytest.fixture
def conn(outbox):
    """psycopg2 opens the transaction; libpostrider writes on the same libpq connection."""
    with contextlib.closing(outbox.connect()) as c:
        yield c


def begin(conn):
    with conn.cursor() as cursor:
        cursor.execute("SELECT 1")
    return conn


def write(sdk, conn, **fields) -> tuple[int, str, str]:
    """Status, event id, reason."""
    values = {"type": "REQUEST_SUBMITTED", "aggregate_id": "R-1", "payload": "{}", **fields}
    event = Event(struct_size=ctypes.sizeof(Event),
                  **{k: v.encode() if isinstance(v, str) else v for k, v in values.items()})
    event_id, reason = ctypes.create_string_buffer(37), ctypes.create_string_buffer(256)
    status = sdk.rider_outbox_write(conn.pgconn_ptr, event, event_id, reason, 256)
    return status, event_id.value.decode(), reason.value.decode()


def count(outbox) -> int:
    return outbox.value("SELECT count(*) FROM outbox.event")


def test_the_event_is_there_after_the_commit_and_not_before(sdk, conn, outbox):
    status, event_id, reason = write(
        sdk, begin(conn), payload='{ "n":1.0 }', aggregate_type="request", version=2, headers='{"h":"v"}',
        occurred_at="2026-11-24T03:00:49.5+01:00")
    assert (status, reason) == (0, "")
    assert count(outbox) == 0
    conn.commit()
    assert outbox.run("SELECT event_id::text, type, aggregate_type, aggregate_id, version, payload::text,"
                      " headers::text, occurred_at = '2026-11-24T02:00:49.5Z' FROM outbox.event") == [
        (event_id, "REQUEST_SUBMITTED", "request", "R-1", 2, '{ "n":1.0 }', '{"h":"v"}', True)]


def test_a_rollback_takes_it_back(sdk, conn, outbox):
    assert write(sdk, begin(conn))[0] == 0
    conn.rollback()
    assert count(outbox) == 0


def test_a_savepoint_takes_it_back(sdk, conn, outbox):
    assert write(sdk, begin(conn), aggregate_id="kept")[0] == 0
    with conn.cursor() as cursor:
        cursor.execute("SAVEPOINT s")
        assert write(sdk, conn, aggregate_id="undone")[0] == 0
        cursor.execute("ROLLBACK TO s")
    conn.commit()
    assert outbox.run("SELECT aggregate_id FROM outbox.event") == [("kept",)]


def test_the_same_id_twice_is_one_event(sdk, conn, outbox):
    wanted = str(uuid.uuid4())
    begin(conn)
    for _ in range(2):
        assert write(sdk, conn, event_id=wanted)[:2] == (0, wanted)
    conn.commit()
    assert count(outbox) == 1


def test_without_a_transaction_it_refuses(sdk, conn, outbox):
    status, _, reason = write(sdk, conn)
    assert status == NO_TRANSACTION and "no transaction is open" in reason
    assert write(sdk, conn, flags=AUTOCOMMIT)[0] == 0
    assert count(outbox) == 1


def test_in_a_failed_transaction_it_refuses(sdk, conn):
    with conn.cursor() as cursor, contextlib.suppress(psycopg2.Error):
        cursor.execute("SELECT 1/0")
    status, _, reason = write(sdk, conn)
    assert status == NO_TRANSACTION and "has failed" in reason


@pytest.mark.parametrize("fields,text", [
    ({"payload": '{"secret":hunter2}'}, "payload is not JSON"),
    ({"payload": '{"secret":hunter2}', "headers": "{}"}, "payload is not JSON"),
    ({"payload": '["$6 hunter2]', "headers": "{}"}, "payload is not JSON"),
    ({"headers": '{"a":hunter2}'}, "headers is not JSON"),
    ({"headers": '["hunter2"]'}, "headers is not a JSON object"),
    ({"payload": r'"hunter2\u0000"'}, r"payload has the escape \u0000"),
    ({"headers": r'{"h":"\u0000"}'}, r"headers has the escape \u0000"),
    ({"type": "x" * 256}, "type is longer than 255 characters"),
    ({"aggregate_id": "x" * 256}, "aggregate_id is longer than 255 characters"),
    ({"aggregate_type": "x" * 256}, "aggregate_type is longer than 255 characters"),
    ({"occurred_at": "2026-13-24T03:00:49Z"}, "occurred_at is out of range"),
    ({"payload": b'"hunter2 \xff"'}, 'invalid byte sequence for encoding "UTF8": 0xff'),
])
def test_a_bad_field_is_named_without_its_value(sdk, conn, fields, text):
    assert write(sdk, begin(conn), **fields) == (INVALID, "", text)
    conn.rollback()
    assert write(sdk, begin(conn))[0] == 0


def test_255_characters_are_not_255_bytes(sdk, conn):
    assert write(sdk, begin(conn), aggregate_id="ä" * 255)[0] == 0


def test_strict_mode_names_the_type(sdk, conn, outbox):
    outbox.run("UPDATE outbox.meta SET strict_types = true")
    assert write(sdk, begin(conn)) == (UNKNOWN_TYPE, "", 'event type "REQUEST_SUBMITTED" is unknown')


def test_rights_are_those_of_the_writer(sdk, conn):
    with conn.cursor() as cursor:
        cursor.execute("SET ROLE outbox_writer")
    assert write(sdk, conn)[0] == 0
    with conn.cursor() as cursor:
        cursor.execute("SET ROLE outbox_monitor")
    status, _, reason = write(sdk, conn)
    assert status == DENIED and "grant the role outbox_writer" in reason


def test_a_missing_schema_says_what_to_do(sdk, postgres):
    with contextlib.closing(postgres.connect()) as c:
        status, _, reason = write(sdk, begin(c))
    assert status == NO_SCHEMA and "run postrider migrate" in reason


def test_a_lost_connection_is_told_from_a_refusal(sdk, conn, outbox):
    pid = begin(conn).get_backend_pid()
    outbox.run("SELECT pg_terminate_backend(%s, 60000)", pid)
    assert write(sdk, conn)[0] == LOST


# Programs that use the SDK -----------------------------------------------------------------------

PROGRAM = textwrap.dedent("""\
    #include <libpq-fe.h>
    #include <postrider/outbox.h>
    #include <stdio.h>

    int main(int argc, char **argv)
    {
        char id[RIDER_OUTBOX_ID_SIZE];
        char err[200];
        struct rider_outbox_event event = {.struct_size = sizeof event,
            .type = "REQUEST_SUBMITTED", .aggregate_id = "R-1", .payload = "{}"};
        PGconn *conn = PQconnectdb(argc > 1 ? argv[1] : "");
        PQclear(PQexec(conn, "BEGIN"));
        if (rider_outbox_write(conn, &event, id, err, sizeof err) != 0) {
            fprintf(stderr, "%s\\n", err);
            return 1;
        }
        PQclear(PQexec(conn, "COMMIT"));
        PQfinish(conn);
        return puts(id) == EOF;
    }
    """)

CMAKE = textwrap.dedent("""\
    cmake_minimum_required(VERSION 3.20)
    project(consumer C)
    find_package(Postrider 0.1 REQUIRED)
    foreach(kind postrider postrider_static)
      add_executable(with_${kind} main.c)
      target_link_libraries(with_${kind} PRIVATE Postrider::${kind})
    endforeach()
    """)


def shell(*args, **options) -> str:
    done = subprocess.run(args, text=True, capture_output=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{args}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def prefix(build, tmp_path_factory) -> str:
    """The SDK as an administrator installs it."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as f:
        if "POSTRIDER_SANITIZE:STRING=\n" not in f.read():
            pytest.skip("an instrumented libpostrider does not link into a plain program")
    folder = str(tmp_path_factory.mktemp("prefix"))
    shell("cmake", "--install", build, "--component", "sdk", "--prefix", folder)
    return folder


def libdir(prefix: str) -> str:
    for root, _, files in os.walk(prefix):
        if "libpostrider.so" in files:
            return root
    raise AssertionError("libpostrider.so was not installed")


def test_a_program_is_built_by_pkg_config(prefix, outbox, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    env = {**os.environ, "PKG_CONFIG_PATH": os.path.join(libdir(prefix), "pkgconfig")}
    flags = shell("pkg-config", "--cflags", "--libs", "postrider", env=env).split()
    binary = str(tmp_path / "consumer")
    shell("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", str(tmp_path / "main.c"), "-o", binary, *flags)
    event_id = shell(binary, outbox.dsn, env={**os.environ, "LD_LIBRARY_PATH": libdir(prefix)})
    assert outbox.run("SELECT event_id::text FROM outbox.event") == [(event_id,)]


def test_a_program_is_built_by_find_package(prefix, outbox, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    shell("cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b"), f"-DCMAKE_PREFIX_PATH={prefix}")
    shell("cmake", "--build", str(tmp_path / "b"))
    ids = {shell(str(tmp_path / "b" / name), outbox.dsn) for name in ("with_postrider", "with_postrider_static")}
    assert {row[0] for row in outbox.run("SELECT event_id::text FROM outbox.event")} == ids and len(ids) == 2


def test_the_library_exports_its_headers_and_nothing_else(prefix, root):
    symbols = shell("nm", "-D", "--defined-only", os.path.join(libdir(prefix), "libpostrider.so")).splitlines()
    names = {line.split()[-1] for line in symbols}
    headers = ""
    folder = os.path.join(prefix, "include", "postrider")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            headers += f.read()
    assert "rider_outbox_write" in names
    assert all(name + "(" in headers for name in names), names


def test_the_headers_are_c_plus_plus_too(prefix, tmp_path):
    source = tmp_path / "main.cc"
    source.write_text('#include <postrider/outbox.h>\nint main() { return RIDER_OUTBOX_OK; }\n')
    shell("c++", "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", f"-I{prefix}/include", str(source))
