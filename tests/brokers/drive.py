# SPDX-License-Identifier: Apache-2.0
"""drive.py - runs adapter_drive with the Kafka adapter, and checks what was stored."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import driver  # noqa: E402
from driver import BUILD, CAUSES  # noqa: E402,F401
from driver import PROGRAM as DRIVE  # noqa: E402,F401

ADAPTER = BUILD / "adapters/postrider-kafka.so"
MOCK = BUILD / "tests/brokers/kafka_mock"


class Drive(driver.Drive):
    """A running adapter_drive with the Kafka adapter."""

    def __init__(self, bootstrap, *args, n=10000, k=1000, s=300, **more):
        super().__init__("kafka", f"bootstrap.servers={bootstrap}", *args, n=n, k=k, sizes=s, **more)


def check_records(records, n, k, duplicates=False):
    """Every event arrived, in order per key (a replay may repeat), each key in one partition."""
    last, homes, seen = {}, {}, {}
    for r in records:
        body = json.loads(r.value)
        key = body["key"]
        assert r.key.decode() == key
        assert homes.setdefault(key, r.partition) == r.partition
        assert body["seq"] <= last.get(key, -1) + 1, f"gap at {key}"
        if not duplicates:
            assert body["seq"] == last.get(key, -1) + 1, f"repeat at {key}"
        last[key] = max(last.get(key, -1), body["seq"])
        assert seen.setdefault((key, body["seq"]), r.value) == r.value
    assert len(seen) == n
    assert len(last) == k
    return len(records) - n
