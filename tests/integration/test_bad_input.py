# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong gets a clear, named error, and no event is lost by it."""

import json
import os
import re
import shutil
import subprocess

import psycopg2
import pytest
import yaml

from harness import ports
from harness.relay import Relay, run
from harness.sinks import wait_settled
from harness.wait import wait_until

EX_DATA, EX_IO, EX_CONFIG = 65, 74, 78


# Configuration -----------------------------------------------------------------------------------

@pytest.fixture
def good(tmp_path) -> dict:
    """A configuration that needs no server to be checked."""
    return {
        "source": {"dsn": "postgresql://127.0.0.1:1/nothing"},
        "destinations": [{"name": "out", "adapter": "stdout"}],
        "routes": [{"match": {"type": ["*"]}, "to": ["out"]}],
    }


@pytest.fixture
def complaints(postrider, tmp_path):
    """complaints(config or text): what `postrider run` says about a file it must refuse."""
    def ask(config) -> str:
        path = tmp_path / "bad.yaml"
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
        for command in ("check", "run"):
            done = run(postrider, command, "-c", str(path))
            assert done.returncode == EX_CONFIG, done
        assert "bad.yaml" in done.stderr, done.stderr
        return done.stderr
    return ask


def test_unknown_keys_are_named_with_their_place(good, complaints):
    good["destinations"][0]["adaptor"] = "x"
    good["sauce"] = {}
    text = complaints(good)
    assert re.search(r"bad\.yaml:\d+:\d+: .*adaptor", text), text
    assert re.search(r"bad\.yaml:\d+:\d+: .*sauce", text), "all mistakes at once: " + text


def test_unknown_adapter_option_is_named(good, complaints):
    good["destinations"][0]["options"] = {"pfad": "/x"}
    assert re.search(r"bad\.yaml:\d+:\d+: .*pfad", complaints(good))


@pytest.mark.parametrize("key, value", [
    ("max_in_flight", "many"), ("max_in_flight", -1), ("max_in_flight", [1]),
    ("envelope", "binary"), ("retry", "often"), ("retry", {"initial": "soon"}),
    ("subscriptions", "maybe"), ("max_bytes", "lots"),
])
def test_wrong_types_are_named_with_their_place(good, complaints, key, value):
    good["destinations"][0][key] = value
    assert re.search(rf"bad\.yaml:\d+:\d+: .*{key}", complaints(good))


@pytest.mark.parametrize("text", ["", "a: [", "a: &x 1\nb: *x\n", "source: {dsn: x}\nsource: {dsn: y}\n",
                                  "- 1\n", "\x00", "source: !!str x\n"])
def test_what_is_no_plain_yaml_is_refused(complaints, text):
    complaints(text)


def test_missing_configuration_file_is_named(postrider, tmp_path):
    done = run(postrider, "run", "-c", str(tmp_path / "none.yaml"))
    assert done.returncode in (EX_IO, EX_CONFIG), done
    assert "none.yaml" in done.stderr


def test_route_to_unknown_destination_is_named(good, complaints):
    good["routes"][0]["to"] = ["aut"]
    assert "aut" in complaints(good)


def test_configuration_errors_hide_secrets(good, complaints):
    good["source"]["dsn"] = "postgresql://app:s3cr3t@127.0.0.1/db"
    good["source"]["lease"] = "long"
    assert "s3cr3t" not in complaints(good)


# Adapters ----------------------------------------------------------------------------------------

@pytest.fixture
def adapters(build, tmp_path, good):
    """A folder of adapters that a test may spoil, named by the configuration."""
    folder = tmp_path / "adapters"
    folder.mkdir(mode=0o755)
    shutil.copy(os.path.join(build, "adapters", "postrider-stdout.so"), folder)
    good["adapter_dir"] = str(folder)
    return folder


def test_adapter_folder_as_made_is_accepted(good, adapters, postrider, tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(good))
    done = run(postrider, "check", "-c", str(path))
    assert done.returncode == 0, done


def test_missing_adapter_file_is_named(good, adapters, complaints):
    good["destinations"][0]["adapter"] = "pigeon"
    assert "postrider-pigeon.so" in complaints(good)


def test_world_writable_adapter_is_refused(good, adapters, complaints):
    (adapters / "postrider-stdout.so").chmod(0o777)
    assert re.search(r"postrider-stdout\.so.*writable", complaints(good))


def test_world_writable_adapter_folder_is_refused(good, adapters, complaints):
    adapters.chmod(0o777)
    assert "writable" in complaints(good)


BAD_PLUGIN = """
#include "postrider/publisher.h"
RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static const struct publisher_vtable vtable = {
        .magic = %s, .struct_size = sizeof(struct publisher_vtable),
        .abi_major = %s, .abi_minor = 0, .name = "wrong", .version = "1", .summary = "wrong"};
    return &vtable;
}
"""


@pytest.mark.parametrize("magic, major, said", [
    ("RIDER_PUBLISHER_MAGIC", "RIDER_PUBLISHER_ABI_MAJOR + 1", r"ABI"),
    ("0x12345678u", "RIDER_PUBLISHER_ABI_MAJOR", r"not built with"),
])
def test_adapter_of_another_abi_is_refused(good, adapters, complaints, root, tmp_path, magic, major, said):
    source = tmp_path / "wrong.c"
    source.write_text(BAD_PLUGIN % (magic, major))
    subprocess.run(["cc", "-shared", "-fPIC", "-I", os.path.join(root, "include"), "-o",
                    str(adapters / "postrider-wrong.so"), str(source)], check=True)
    good["destinations"][0]["adapter"] = "wrong"
    text = complaints(good)
    assert re.search(rf"postrider-wrong\.so.*({said})", text), text


def test_file_that_is_no_library_is_refused(good, adapters, complaints):
    (adapters / "postrider-wrong.so").write_text("hello")
    (adapters / "postrider-wrong.so").chmod(0o755)
    good["destinations"][0]["adapter"] = "wrong"
    assert "postrider-wrong.so" in complaints(good)


# Servers that are not there ----------------------------------------------------------------------

def test_database_down_at_start_is_waited_for(own_postgres, migrate, postrider, tmp_path, file):
    """It says so, is not ready, keeps trying, and works once the server is up."""
    db = own_postgres.create_database("events")
    migrate(db)
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    own_postgres.halt()
    with Relay(postrider, tmp_path, db.dsn, [file.config()]).start(wait=False) as relay:
        status, body = wait_until(lambda: relay.get("/readyz"), "the ops listener answers")
        assert status == 503 and json.loads(body)
        assert relay.get("/livez")[0] == 200
        wait_until(lambda: "database" in relay.log(), "it says that the database is away")
        assert relay.running()
        own_postgres.start()
        wait_until(relay.ready, "it is ready after the database came up", timeout=60)
        wait_until(lambda: file.count() == 1, "the event is delivered")


def test_database_password_stays_out_of_the_log(postrider, tmp_path, file):
    dsn = f"postgresql://app:s3cr3t@127.0.0.1:{ports.take()}/db"
    with Relay(postrider, tmp_path, dsn, [file.config()]).start(wait=False) as relay:
        wait_until(lambda: "database" in relay.log(), "it says that the database is away")
        assert "s3cr3t" not in relay.log()


def test_schema_not_migrated_is_named(postgres, postrider, migrate, tmp_path, file):
    """The relay says which command to run, and goes on by itself once that was done."""
    db = postgres.create_database("not_migrated")
    with Relay(postrider, tmp_path, db.dsn, [file.config()]).start(wait=False) as relay:
        wait_until(lambda: "postrider migrate" in relay.log(), "it names the command")
        assert relay.get("/readyz")[0] == 503
        migrate(db)
        wait_until(relay.ready, "it is ready after the migration", timeout=60)
    db.drop()


def test_broker_down_at_start_stops_nobody_else(db, relay_of, file, rabbitmq_dead, kafka_dead):
    """The other destination delivers; the missing ones are named and their events wait."""
    relay = relay_of([file, rabbitmq_dead, kafka_dead])
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 1, "the file gets its event")
    wait_until(relay.ready, "a destination that is down is not the relay's readiness")

    def causes() -> bool:
        found = db.run("SELECT destination, cause FROM outbox.stuck ORDER BY destination")
        assert found == [("rabbit", "unreachable"), ("stream", "unreachable")], found
        return True
    wait_until(causes, "both waiting events are in outbox.stuck, with their cause")


@pytest.fixture
def rabbitmq_dead() -> dict:
    return {"name": "rabbit", "adapter": "rabbitmq",
            "options": {"url": f"amqp://guest:guest@127.0.0.1:{ports.take()}/", "exchange": "",
                        "routing_key": "q"}}


@pytest.fixture
def kafka_dead() -> dict:
    return {"name": "stream", "adapter": "kafka",
            "options": {"bootstrap.servers": f"127.0.0.1:{ports.take()}", "topic": "t"}}


# Events ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sql, said", [
    ("SELECT outbox.publish('t', 'a', 'no json')", "json"),
    ("SELECT outbox.publish('t', 'a', '')", "json"),
    ("SELECT outbox.publish('t', NULL, '{}')", "aggregate_id"),
    ("SELECT outbox.publish('t', '', '{}')", "aggregate_id"),
    ("SELECT outbox.publish(NULL, 'a', '{}')", "type"),
    ("SELECT outbox.publish('', 'a', '{}')", "type"),
    (r"""SELECT outbox.publish('t', 'a', '{"x":"\u0000"}')""", "nul"),
])
def test_bad_event_is_refused_in_the_writers_transaction(db, sql, said):
    db.run("CREATE TABLE state (n int)")
    connection = db.connect()
    try:
        with pytest.raises(psycopg2.Error) as e, connection.cursor() as cursor:
            cursor.execute("INSERT INTO state VALUES (1)")
            cursor.execute(sql)
        assert said in str(e.value).lower()
        connection.commit()  # of a failed transaction: rolls back
    finally:
        connection.close()
    assert db.value("SELECT count(*) FROM state") == 0
    assert db.value("SELECT count(*) FROM outbox.event") == 0


def test_publish_command_refuses_what_is_no_json(postrider, db):
    done = run(postrider, "publish", "--dsn", db.dsn, "--type", "t", "--aggregate-id", "a",
               "--payload", "{oops")
    assert done.returncode == EX_DATA, done
    assert "JSON" in done.stderr
    assert db.value("SELECT count(*) FROM outbox.event") == 0


def test_escaped_backslash_before_u0000_is_no_nul(db, relay_of, file):
    r"""`\\u0000` is a backslash and letters: it passes, byte for byte."""
    db.run(r"""SELECT outbox.publish('t', 'a', '{"x":"\\u0000"}')""")
    relay_of([file])
    wait_until(lambda: file.count() == 1, "it is delivered")
    assert rb'{"x":"\\u0000"}' in file.receipts()[0].body


def test_large_event_is_delivered_beside_small_ones(db, relay_of, file, hook):
    """5 MB travel unharmed where the destination takes them, and hold up nobody."""
    big = json.dumps({"x": "y" * (5 * 1024 * 1024)})
    db.run("SELECT outbox.publish('t', 'big', %s::json)", big)
    db.run("SELECT outbox.publish('t', 'small', '{}')")
    relay_of([file, hook])
    wait_settled(db, [file, hook])
    for sink in (file, hook):
        bodies = [r.body for r in sink.receipts()]
        assert len(bodies) == 2
        assert sum(big.encode() in b for b in bodies) == 1


@pytest.mark.kafka
def test_event_too_large_for_a_broker_is_dead_with_its_cause(db, relay_of, topic):
    """Kafka takes 1 MB by default: the event becomes dead as too_large, the next one passes."""
    db.run("SELECT outbox.publish('t', 'a', %s::json)", json.dumps({"x": "y" * (5 * 1024 * 1024)}))
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    relay_of([topic])
    wait_until(lambda: db.run("SELECT 1 FROM outbox.delivery WHERE state = 'DEAD' AND cause = 'too_large'"),
               "the event is dead, too_large")
    wait_until(lambda: topic.count() == 1, "the next event of its key is delivered")
    assert db.value("SELECT count(*) FROM outbox.stuck WHERE cause = 'too_large'") == 1
