# SPDX-License-Identifier: Apache-2.0
"""Several relays carry the lanes together: evenly, one at a time, and on after any of them ends.

The short runs of what tests/fault does for minutes.
"""

import os
import signal
import subprocess

import pytest

from conftest import ROOT
from harness import history, nemesis, takeover
from harness.fleet import Fleet, lanes_of, owners, wait_shared
from harness.sinks import assert_delivered, file_sink, wait_settled
from harness.wait import let_run, wait_until
from harness.writers import Mix, Writers

STEADY = takeover.STEADY
# For tests in which no process dies: nobody loses a lane by being late.
PATIENT = {"lease": "15s"}


@pytest.fixture
def fleet_of(postrider, db, tmp_path):
    """Makes a Fleet of this test's database, not started."""
    def make(destinations, size=3, **settings) -> Fleet:
        return Fleet(postrider, tmp_path / "fleet", db.dsn, destinations, size, **settings)
    return make


# Sharing -----------------------------------------------------------------------------------------

def test_lanes_are_shared_evenly_and_move_with_the_processes(db, fleet_of, tmp_path):
    """Six lanes: 2, 2, 2 for three relays; 3, 3 when one ends; 2, 2, 2 when it is back; 6 for one."""
    fleet = fleet_of([file_sink(tmp_path, "one").config(partitions=4),
                      file_sink(tmp_path, "two").config(partitions=2)])
    with fleet:
        wait_shared(db, 3, 6)
        assert fleet[0].term() == 0
        wait_shared(db, 2, 6)
        fleet[0].start()
        wait_shared(db, 3, 6)
        wait_until(lambda: sum(lanes_of(db, fleet[0]).values()) == 2, "it has its share")
        fleet[0].kill9()
        fleet[1].kill9()
        wait_shared(db, 1, 6)


def test_a_lease_from_before_the_clock_went_back_is_over(db, relay_of, file):
    """A lane whose owner died is not waited for until the clock is where it was."""
    relay = relay_of([file])
    wait_until(lambda: db.value("SELECT owner IS NOT NULL FROM outbox.lane"), "it has the lane")
    relay.kill9()
    wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                " AND pid <> pg_backend_pid()") == 0, "what it had asked for is done")
    db.run("UPDATE outbox.lane SET updated_at = clock_timestamp(), lease_until = clock_timestamp() + interval '1 hour'")
    relay.start(wait=False)
    wait_until(lambda: "lane.standby" in relay.log(), "it finds the lane taken")
    let_run(3)
    dead = db.value("SELECT owner FROM outbox.lane")
    assert f":{relay.pid}:" not in dead, "a long lease is one"
    db.run("UPDATE outbox.lane SET updated_at = updated_at + interval '1 hour'")
    wait_until(lambda: f":{relay.pid}:" in db.value("SELECT owner FROM outbox.lane"), "it has the lane")


def test_sharing_out_under_load_repeats_nothing(db, fleet_of, file, hook):
    """Lanes change hands in good order when a process comes, without a second copy of anything."""
    fleet = fleet_of([file.config(partitions=4), hook.config(partitions=2)], source=PATIENT)
    late = fleet.relays.pop()
    with fleet, Writers(db, 4, STEADY) as writers:
        wait_shared(db, 2, 6)
        wait_until(lambda: file.count() > 100, "events arrive")
        with late:
            wait_shared(db, 3, 6)
            before = file.count()
            wait_until(lambda: file.count() > before + 100, "events arrive from all")
            assert late.term() == 0
            wait_shared(db, 2, 6)
        assert not writers.failures
        writers.stop()
        wait_settled(db, [file, hook])
    assert_delivered(db, [file, hook], max_duplicates=0)


def test_partitions_keep_the_order_of_each_aggregate(db, fleet_of, queue):
    """One destination, four parts, three processes: every aggregate still comes in order."""
    with fleet_of([queue.config(partitions=4)], source=PATIENT), Writers(db, 6, STEADY) as writers:
        wait_shared(db, 3, 4)
        wait_until(lambda: writers.transactions >= 300, "300 transactions")
        writers.stop()
        wait_settled(db, [queue])
        assert len(owners(db)) == 3
    assert_delivered(db, [queue], max_duplicates=0)


# Takeover ----------------------------------------------------------------------------------------

@pytest.mark.slow
def test_takeover_in_time(db, postrider, tmp_path):
    """After kill -9 within the lease and 2 s; after SIGTERM without waiting for a lease. Three of each."""
    lease, long_lease = 3.0, 18.0
    ended = takeover.measure(postrider, tmp_path / "ended", db, long_lease, kills=0, terms=3)["SIGTERM"]
    killed = takeover.measure(postrider, tmp_path / "killed", db, lease, kills=3, terms=0)["SIGKILL"]
    print(f"SIGTERM, lease {long_lease} s: {takeover.summary(ended)}")
    print(f"SIGKILL, lease {lease} s: {takeover.summary(killed)}")
    assert max(ended) < long_lease / 2, "nobody waited for a lease to run out, of which two thirds are left at least"
    # The machine, too, may keep a process waiting, but not every time.
    assert sorted(killed)[1] <= lease + 2 and max(killed) <= lease + 10


@pytest.mark.slow
def test_rolling_restart_loses_and_repeats_nothing(db, postrider, tmp_path, hook):
    sinks = [file_sink(tmp_path, "one"), file_sink(tmp_path, "two"), hook]
    lease = 20
    verdicts, gaps = takeover.rolling_restart(postrider, tmp_path / "fleet", db, sinks, lease)
    print(history.table(verdicts), gaps, sep="\n")
    assert all(v.clean for v in verdicts)
    assert max(gaps.values()) < lease / 2, "nobody waited for a lease to run out, of which two thirds are left at least"


# The kill loop, short, and proof that it can fail -------------------------------------------------

@pytest.mark.slow
def test_kill_loop(db, postrider, tmp_path, file, queue, hook):
    """kill -9, SIGSTOP beyond the lease and SIGTERM: nothing is lost, invented or out of order."""
    plan = nemesis.Plan(seconds=18, seed=7, lease_s=3, every=(0.3, 1.2), writers=8,
                        kinds=(("kill", 2), ("stop", 1), ("term", 2)))
    hook.receiver.delay = 0.01
    result = nemesis.run(postrider, db, tmp_path, [file, queue, hook], plan)
    print(result)
    assert sum(f.kind == "kill" for f in result.faults) >= 2
    assert result.clean


def build_mutant(name: str, build: str) -> str:
    """The relay of a build folder beside the one under test; returns the program."""
    folder = os.path.join(build, "mutant")
    for command in (["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DPOSTRIDER_TESTS=OFF",
                     f"-DPOSTRIDER_MUTANT={name}"],
                    ["ninja", "-C", folder, "postrider", "adapter_stdout", "adapter_webhook"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return os.path.join(folder, "postrider")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cursor_by_seq", "early_delivered"])
def test_kill_loop_finds_a_relay_that_is_wrong(db, build, tmp_path, file, hook, name):
    """Negative controls: one reads by sequence, one settles what nobody has confirmed."""
    binary = build_mutant(name, build)
    hook.receiver.delay = 0.03  # a window is always open there
    for seed in (3, 4, 5):  # whether a kill meets what it has to meet is a matter of chance
        plan = nemesis.Plan(seconds=8, seed=seed, lease_s=1, every=(0.3, 1.0), kinds=(("kill", 1),))
        result = nemesis.run(binary, db, tmp_path / str(seed), [file, hook], plan)
        print(result)
        if not result.clean:
            break
    assert sum(v.lost for v in result.verdicts) > 0 and not result.clean


def test_mutant_is_no_release(build, tmp_path):
    """Such a build can neither be of type Release nor be installed."""
    done = subprocess.run(["cmake", "-S", ROOT, "-B", tmp_path / "release", "-G", "Ninja",
                           "-DCMAKE_BUILD_TYPE=Release", "-DPOSTRIDER_MUTANT=cursor_by_seq"],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "no release" in done.stderr
    build_mutant("cursor_by_seq", build)
    done = subprocess.run(["cmake", "--install", os.path.join(build, "mutant"),
                           "--prefix", tmp_path / "installed"],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "refusing to install" in done.stderr


# Fencing -----------------------------------------------------------------------------------------

def test_stopped_process_writes_no_state_when_it_goes_on(db, fleet_of, file):
    """A relay sleeps beyond its lease and wakes: its token is old, so it writes nothing and says so."""
    fleet = fleet_of([file.config()], size=2, source={"lease": "5s"})
    with fleet, Writers(db, 3, Mix(hold=(0, 0), pause=0.02, rollback=0, savepoint=0, prepared=0)) as w:
        wait_shared(db, 1, 1)
        wait_until(lambda: file.count() > 50, "events arrive")
        carrier = wait_until(lambda: [r for r in fleet if lanes_of(db, r)], "one of them carries the lane")[0]
        other = [r for r in fleet if r is not carrier][0]
        token = db.value("SELECT token FROM outbox.lane")
        carrier.signal(signal.SIGSTOP)
        wait_until(lambda: lanes_of(db, other), "the other takes over")
        carrier.signal(signal.SIGCONT)
        wait_until(lambda: carrier.metric("postrider_fenced_total") >= 1, "it finds itself fenced")
        let_run(1)
        assert db.value("SELECT token FROM outbox.lane") == token + 1
        assert lanes_of(db, other) and not lanes_of(db, carrier)
        w.stop()
        wait_settled(db, [file])
