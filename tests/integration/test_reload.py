# SPDX-License-Identifier: Apache-2.0
"""Twenty reloads under load, half of them with a bad file; tests/fault/reloads.py does 300."""

import pytest

from harness import reloads
from harness.sinks import assert_delivered, file_sink
from harness.wait import wait_until


@pytest.mark.slow
def test_reloads_lose_repeat_and_reorder_nothing(db, relay_of, tmp_path, file, hook):
    spare = file_sink(tmp_path, "spare")
    relay = relay_of([file, hook, spare])
    counts = reloads.run(db, relay, [file, hook, spare], rounds=20, seed=2)
    print(counts)
    assert counts["reloaded"] == counts["refused"] == 10 and counts["added"] and counts["removed"]
    assert relay.metric("postrider_config_generation") == 12  # the first, ten good ones, the last
    assert_delivered(db, [file, hook, spare], max_duplicates=0)


def test_destination_that_comes_back_goes_on_where_it_was(db, relay_of, tmp_path, file):
    """Removed and added again: it gets what it missed, once, and what it had not again."""
    spare = file_sink(tmp_path, "spare")
    relay = relay_of([file, spare])
    both = list(relay.config["destinations"])

    def reload(destinations) -> None:
        generation = relay.metric("postrider_config_generation")
        relay.config["destinations"] = destinations
        relay.config["routes"][0]["to"] = [d["name"] for d in destinations]
        relay.write_config()
        relay.hup()
        wait_until(lambda: relay.metric("postrider_config_generation") == generation + 1, "reloaded")

    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: (file.count(), spare.count()) == (1, 1), "both have one")
    reload(both[:1])
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: file.count() == 2, "one has two")
    reload(both)
    db.run("SELECT outbox.publish('t', 'a', '{}')")
    wait_until(lambda: (file.count(), spare.count()) == (3, 3), "both have three")
    assert len({r.event_id for r in spare.receipts()}) == 3
