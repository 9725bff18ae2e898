# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: what is stored is of no use without the ring, and keys can be replaced while everything runs."""

import base64
import json
import os
import random
import re
import subprocess
import time

import pytest

from harness import ports
from harness.api import ApiClient
from harness.postgres import Postgres, bindir
from harness.relay import Relay, run
from harness.secrets import KeyRing, by_key
from harness.wait import wait_until


@pytest.fixture
def ring(build, postrider, tmp_path):
    return KeyRing(build, postrider, tmp_path)


@pytest.fixture
def secrets(postrider, db, ring):
    """secrets("status") runs the command as the user of a relay; returns the finished process."""
    db.run("DO $$ BEGIN CREATE ROLE secrets_relay LOGIN IN ROLE outbox_relay;"
           " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    dsn = db.dsn.replace("//postrider@", "//secrets_relay@")

    def command(*args: str, ok: int = 0) -> subprocess.CompletedProcess:
        done = run(postrider, "secrets", *args, "--dsn", dsn, "--key-ring", ring.path, timeout=60)
        assert done.returncode == ok, (args, done)
        return done
    return command


def partners() -> dict:
    return {"name": "partners", "adapter": "webhook", "subscriptions": True}


def test_rewrap_moves_everything_to_the_current_key(db, ring, secrets):
    planted = ring.plant(db, 450)
    assert by_key(db) == {1: 450} and ring.open_all(db) == planted
    assert ring.add() == 2
    done = secrets("rewrap", "--dry-run", "--json")
    assert json.loads(done.stdout) == {
        "dryRun": True, "key": 2, "secrets": 450, "answers": 0, "refused": 0}
    assert by_key(db) == {1: 450}
    assert secrets("rewrap").stdout == "encrypted 450 secrets and 0 answers with key 2\n"
    assert by_key(db) == {2: 450} and ring.open_all(db) == planted
    ring.write([2])
    assert ring.open_all(db) == planted
    assert secrets("rewrap").stdout == "encrypted 0 secrets and 0 answers with key 2\n"
    rows = db.run("SELECT actor ~ '^cli .+@', filter, affected FROM outbox.audit WHERE action = 'secrets.rewrap'")
    assert sum(r[2] for r in rows) == 450 and all(r[0] and r[1] == {"key": 2, "of": "secrets"} for r in rows)


def test_a_named_current_key_is_obeyed(db, ring, secrets):
    planted = ring.plant(db, 3)
    ring.add()
    ring.write(current=1)
    assert secrets("rewrap").stdout == "encrypted 0 secrets and 0 answers with key 1\n"
    ring.write()
    secrets("rewrap")
    ring.write(current=1)
    assert secrets("rewrap").stdout == "encrypted 3 secrets and 0 answers with key 1\n"
    assert ring.open_all(db) == planted and by_key(db) == {1: 3}


def test_a_kill_at_any_moment_leaves_every_secret_readable(db, ring, secrets, postrider):
    planted = ring.plant(db, 3000)
    key = ring.add()
    dice, kills, limit = random.Random(4), 0, 0.12
    while by_key(db) != {key: 3000} or kills < 3:
        if by_key(db) == {key: 3000}:
            key = ring.add()  # it was through before enough kills came
            limit = 0.12
        process = subprocess.Popen([postrider, "secrets", "rewrap", "--dsn", db.dsn, "--key-ring", ring.path],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.01, limit))
        limit *= 1.1  # on a busy machine it would never get as far as its first page
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait(timeout=60)
        assert ring.open_all(db) == planted
    # What each page did is in the audit, whether or not the process lived to say so.
    assert db.value("SELECT sum(affected) FROM outbox.audit WHERE action = 'secrets.rewrap'") == 3000 * (key - 1)


def test_two_at_once_do_not_disturb_each_other(db, ring, secrets, postrider):
    planted = ring.plant(db, 1500)
    ring.add()
    both = [subprocess.Popen([postrider, "secrets", "rewrap", "--dsn", db.dsn, "--key-ring", ring.path])
            for _ in range(2)]
    assert [p.wait(timeout=60) for p in both] == [0, 0]
    assert by_key(db) == {2: 1500} and ring.open_all(db) == planted
    assert db.value("SELECT sum(affected) FROM outbox.audit WHERE action = 'secrets.rewrap'") == 1500


def test_what_does_not_open_is_named_and_left(db, ring, secrets):
    planted = ring.plant(db, 5)
    good, flipped, first, second, short = list(planted)
    db.run("UPDATE outbox.subscription_secret SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)"
           " WHERE id = %s", flipped)
    db.run("UPDATE outbox.subscription_secret a SET sealed = b.sealed FROM outbox.subscription_secret b"
           " WHERE (a.id, b.id) IN ((%s, %s), (%s, %s))", first, second, second, first)
    db.run("UPDATE outbox.subscription_secret SET sealed = '\\x00' WHERE id = %s", short)
    ring.add()
    done = secrets("rewrap", ok=65)
    assert done.stdout == "encrypted 1 secrets and 0 answers with key 2\n"
    for name in (flipped, first, second, short):
        assert f"secret {name} of sub_" in done.stderr
    assert "4 of them could not be decrypted" in done.stderr
    assert db.run("SELECT id FROM outbox.subscription_secret WHERE key_number = 2") == [(good,)]


def test_status_tells_what_each_key_is_needed_for(db, ring, secrets):
    ring.plant(db, 2)
    ring.add()
    ring.plant(db, 1)
    db.run("INSERT INTO outbox.idempotency (principal, key, request_hash, status, key_number, sealed)"
           " VALUES ('p', 'k', '', 201, 1, '')")
    keys = json.loads(secrets("status", "--json").stdout)
    assert keys == {"complete": True, "keys": [
        {"number": 1, "inRing": True, "current": False, "secrets": 2, "used": 2, "answers": 1},
        {"number": 2, "inRing": True, "current": True, "secrets": 1, "used": 1, "answers": 0}]}
    assert re.search(r"^1 .* old: rewrap$", secrets("status").stdout, re.M)
    ring.write([2])
    lacking = secrets("status", ok=78)
    assert re.search(r"^1 .* MISSING in the ring$", lacking.stdout, re.M)
    assert f"{ring.path} lacks keys that secrets need" in lacking.stderr
    secrets("rewrap", ok=65)
    ring.write()
    done = secrets("rewrap", "--json", ok=65)
    assert json.loads(done.stdout) == {"dryRun": False, "key": 2, "secrets": 2, "answers": 0, "refused": 1}
    assert "answer to a request of p: 0 bytes are nothing sealed" in done.stderr
    db.run("DELETE FROM outbox.idempotency")
    assert re.search(r"^1 .* not needed$", secrets("status").stdout, re.M)


def test_secrets_of_the_gone_need_no_key(db, ring, secrets):
    ring.plant(db, 2)
    db.run("UPDATE outbox.subscription SET deleted_at = now() WHERE subscription ="
           " (SELECT min(subscription) FROM outbox.subscription)")
    db.run("UPDATE outbox.subscription_secret SET expires_at = now() - interval '1 s' WHERE subscription ="
           " (SELECT max(subscription) FROM outbox.subscription)")
    ring.add()
    ring.write([2])
    assert json.loads(secrets("status", "--json").stdout)["complete"]


@pytest.mark.parametrize("role", ["outbox_api", "outbox_operator", "outbox_monitor"])
def test_only_the_relay_reads_sealed_secrets(db, ring, postrider, role):
    ring.plant(db, 1)
    ring.add()
    db.run(f"DO $$ BEGIN CREATE ROLE secrets_{role} LOGIN IN ROLE {role};"
           " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    dsn = db.dsn.replace("//postrider@", f"//secrets_{role}@")
    done = run(postrider, "secrets", "rewrap", "--dsn", dsn, "--key-ring", ring.path)
    assert done.returncode == 77 and "permission denied" in done.stderr
    assert by_key(db) == {1: 1}


def files_with(folder: str, needles: list[bytes]) -> list[str]:
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    content = f.read()
                found += [path for needle in needles if needle in content]
    return found


def test_neither_dump_nor_files_nor_logs_hold_a_secret(build, postrider, migrate, ring, tmp_path):
    settings = {"log_statement": "all", "log_min_duration_statement": "0", "log_parameter_max_length": "-1"}
    with Postgres(fsync=False, settings=settings) as server:
        db = server.create_database("secrets")
        migrate(db)
        planted = ring.plant(db, 20)
        ring.add()
        done = run(postrider, "secrets", "rewrap", "--dsn", db.dsn, "--key-ring", ring.path)
        assert done.returncode == 0
        db.run("CHECKPOINT")
        dump = subprocess.run([os.path.join(bindir(), "pg_dump"), "--inserts", db.dsn], capture_output=True,
                              check=True, timeout=60).stdout
        assert dump.count(b"INSERT INTO outbox.subscription_secret") == 20
        (tmp_path / "dump").mkdir()
        (tmp_path / "dump" / "sql").write_bytes(dump)
        texts = [text.removeprefix("whsec_") for text in planted.values()]
        needles = [t.encode() for t in texts] + [base64.b64decode(t) for t in texts]
        needles += [base64.b64decode(t).hex().encode() for t in texts] + [t.encode().hex().encode() for t in texts]
        needles += [base64.b64decode(line.split()[1]) for line in ring.lines.values()]
        needles += [line.split()[1].encode() for line in ring.lines.values()]
        assert files_with(str(tmp_path / "dump"), needles) == []
        assert files_with(server.folder, needles) == []
        assert not any(n.decode(errors="replace") in done.stdout + done.stderr for n in needles)
        # The search can find: a name that is stored in clear is in the table's file and in the log.
        assert files_with(server.folder, [next(iter(planted)).encode()]) != []


def test_new_keys(postrider, tmp_path):
    path = tmp_path / "keys"

    def new_key(ok: int = 0) -> subprocess.CompletedProcess:
        done = run(postrider, "secrets", "new-key", "--key-ring", str(path))
        assert done.returncode == ok, done
        return done
    first, again = new_key().stdout, new_key().stdout  # no file yet
    assert re.fullmatch(r"1 [A-Za-z0-9+/]{43}=\n", first) and first != again
    path.touch(mode=0o600)  # as the shell makes it for >>
    assert new_key().stdout.startswith("1 ")
    path.write_text(first + "7 " + again.split()[1] + "\n", encoding="ascii")
    assert new_key().stdout.startswith("8 ")
    path.write_text(first + first, encoding="ascii")
    bad = new_key(ok=78)
    assert bad.stdout == "" and f"{path}:2: this number is taken" in bad.stderr
    assert first.split()[1] not in bad.stderr
    path.write_text(first, encoding="ascii")
    path.chmod(0o644)
    assert "is open to others" in new_key(ok=78).stderr
    assert run(postrider, "secrets", "rewarp").returncode == 64
    assert run(postrider, "secrets", "status", "--dsn", "dbname=x").returncode == 78
    keys = {run(postrider, "secrets", "new-signing-key").stdout for _ in range(2)}
    assert len(keys) == 2 and all(re.fullmatch(r"whsk_[A-Za-z0-9+/]{86}==\n", k) for k in keys)


# ---- the daemon ---------------------------------------------------------------------------------------------------

def test_it_does_not_start_without_a_key_in_use(db, ring, relay_of):
    ring.plant(db, 1)
    ring.add()
    ring.write([2])
    relay = relay_of([partners()], start=False, webhooks={"key_ring": ring.path})
    relay.start(wait=False)
    assert relay.wait_exit() == 78
    assert f'webhooks.key_ring: "{ring.path}" lacks key 1, which stored secrets need' in relay.log()


def test_check_names_what_is_wrong_with_the_ring(db, ring, postrider, relay_of):
    ring.plant(db, 1)
    relay = relay_of([partners()], start=False, webhooks={"key_ring": ring.path})

    def check(ok: int) -> str:
        done = run(postrider, "check", "-c", relay.config_path, "-d")
        assert done.returncode == ok, done
        return done.stderr
    assert check(0) == ""
    ring.add()
    ring.write([2])
    assert f'webhooks.key_ring: "{ring.path}" lacks key 1, which stored secrets need' in check(78)
    os.chmod(ring.path, 0o644)
    assert f'webhooks.key_ring: "{ring.path}" is open to others (mode 644)' in check(78)
    os.unlink(ring.path)
    assert f'webhooks.key_ring: could not open "{ring.path}"' in check(78)
    ring.write()
    relay.config["source"]["dsn"] = db.dsn.replace("//postrider@", "//secrets_watch@")
    relay.write_config()
    db.run("DO $$ BEGIN CREATE ROLE secrets_watch LOGIN IN ROLE outbox_monitor;"
           " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    assert "warning: could not ask which keys" in check(0)


def test_it_starts_without_the_database(ring, postrider, tmp_path):
    port = ports.take()
    relay = Relay(postrider, tmp_path, f"postgresql://x@127.0.0.1:{port}/x", [partners()],
                  webhooks={"key_ring": ring.path})
    relay.start(wait=False)
    with relay:
        wait_until(lambda: "config.secrets_unchecked" in relay.log(), "it says that it could not ask")
        wait_until(lambda: "daemon.start" in relay.log(), "it goes on")
        assert relay.running() and relay.term() == 0
    ports.release(port)


def test_a_reload_that_loses_a_key_is_refused(db, ring, relay_of):
    ring.plant(db, 1)
    relay = relay_of([partners()], webhooks={"key_ring": ring.path})
    ring.add()
    ring.write([2])
    relay.hup()
    wait_until(lambda: "config.refused" in relay.log(), "the reload is refused")
    assert "lacks key 1" in relay.log()
    ring.write()
    relay.hup()
    wait_until(lambda: "config.reloaded" in relay.log(), "the reload is taken")
    ring.write([1, 2], current=2)
    os.chmod(ring.path, 0o644)
    relay.hup()
    wait_until(lambda: relay.log().count("config.refused") == 2, "an open file is refused")
    assert "is open to others" in relay.log() and relay.running()


def serving() -> dict:
    return {**partners(), "options": {"allow_http": True, "allow_cidrs": "127.0.0.0/8"}}


def publish(db, n: int) -> None:
    db.run("SELECT outbox.publish('order.paid', 'k-' || i, '{}', 'order') FROM generate_series(1, %s) i", n)


def test_a_key_is_replaced_while_deliveries_go_on(db, ring, secrets, receiver, relay_of):
    """The four steps of docs/operations.md, with events all the time: nothing fails to verify."""
    ring.plant(db, 3, url=receiver.url + "/", text=receiver.secret)
    relay = relay_of([serving()], webhooks={"key_ring": ring.path})
    reloads, published = 0, 0

    def reload() -> None:
        nonlocal reloads, published
        reloads += 1
        relay.hup()
        publish(db, 50)
        published += 50
        wait_until(lambda: relay.log().count("config.reloaded") == reloads, "the reload is taken")

    ring.add()
    ring.write(current=1)
    reload()
    ring.write()
    reload()
    publish(db, 50)
    secrets("rewrap")
    assert by_key(db) == {2: 3}
    ring.write([2])
    reload()
    wait_until(lambda: len({(d.path, d.event_id) for d in receiver.accepted}) == 3 * (published + 50),
               "everything arrived")
    assert all(d.verified for d in receiver.deliveries)
    assert not any(text in relay.log() for text in (receiver.secret, *ring.lines.values()))
    assert db.value("SELECT count(*) FROM outbox.attempt WHERE outcome <> 'delivered'") == 0


def test_a_secret_that_does_not_open_stops_its_subscription_only(db, ring, receiver, relay_of):
    ids = list(ring.plant(db, 3, url=receiver.url + "/", text=receiver.secret))
    broken = db.value("UPDATE outbox.subscription_secret SET sealed = set_byte(sealed, 15, get_byte(sealed, 15) # 4)"
                      " WHERE id = %s RETURNING subscription", ids[1])
    relay = relay_of([serving()], webhooks={"key_ring": ring.path})
    publish(db, 20)
    wait_until(lambda: len({(d.path, d.event_id) for d in receiver.accepted}) == 40, "the others got everything")
    wait_until(lambda: db.run(
        "SELECT DISTINCT cause FROM outbox.delivery WHERE subscription = %s AND attempts = 0 AND cause IS NOT NULL",
        broken) == [("secret_undecryptable",)], "the cause is named")
    assert len({d.path for d in receiver.deliveries}) == 2
    db.run("UPDATE outbox.subscription_secret SET sealed = set_byte(sealed, 15, get_byte(sealed, 15) # 4)"
           " WHERE id = %s", ids[1])
    wait_until(lambda: len({(d.path, d.event_id) for d in receiver.accepted}) == 60, "repaired, nothing is lost",
               timeout=60)
    assert receiver.secret not in relay.log()


def test_the_api_follows_when_a_key_is_replaced(db, ring, secrets, receiver, relay_of, tmp_path):
    """What it made under the old key is there under the new one, kept answers included."""
    api = ApiClient(tmp_path)
    relay = relay_of([serving()], api=api.settings, webhooks={"key_ring": ring.path})
    body = {"url": receiver.url, "secret": receiver.secret}
    first = api("POST", "/webhooks/subscriptions", body, idempotency_key="k1")
    assert first.status == 201 and by_key(db) == {1: 1}
    for reloads, write in enumerate([lambda: ring.add() and ring.write(current=1), ring.write], 1):
        write()
        relay.hup()
        wait_until(lambda n=reloads: relay.log().count("config.reloaded") == n, "the reload is taken")
    second = api("POST", "/webhooks/subscriptions", body, idempotency_key="k2")
    assert second.status == 201 and by_key(db) == {1: 1, 2: 1}
    assert secrets("rewrap").stdout == "encrypted 1 secrets and 1 answers with key 2\n"
    ring.write([2])
    relay.hup()
    wait_until(lambda: relay.log().count("config.reloaded") == 3, "the old key is gone")
    for key, answer in (("k1", first), ("k2", second)):
        again = api("POST", "/webhooks/subscriptions", body, idempotency_key=key)
        assert again.body == answer.body and again.headers["idempotency-replayed"] == "true"
    assert db.value("SELECT count(*) FROM outbox.subscription") == 2
    publish(db, 10)
    wait_until(lambda: len(receiver.accepted) == 20, "both get everything")
    assert all(d.verified for d in receiver.deliveries)
