# SPDX-License-Identifier: Apache-2.0
"""An ill destination moves no other one's latency."""

import os

import pytest

from harness import isolation


@pytest.mark.slow
def test_p99_beside_a_dead_and_a_slow_destination(postgres, migrated_template, postrider, tmp_path):
    """500 events/s to a healthy destination, beside two that are well and beside a black hole and
    one of 50 ms a request, which needs a minute and a half for what comes in 4 s. Seconds are allowed for a
    busy machine; tests/fault/isolation.py allows none."""
    found = {False: isolation.Latency([]), True: isolation.Latency([])}
    for n, ill in enumerate((False, True, False, True)):
        folder = tmp_path / str(n)
        os.mkdir(folder)
        db = postgres.create_database(f"isolation_{n}", template=migrated_template)
        found[ill].times += isolation.run(postrider, str(folder), db, ill, 4, 500).times
        db.drop()
    for ill, latency in found.items():
        print("ill " if ill else "well", latency)
    assert found[True].at(.5) <= found[False].at(.5) + 1
    assert found[True].at(.99) <= found[False].at(.99) + 5
