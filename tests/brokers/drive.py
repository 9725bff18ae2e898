# SPDX-License-Identifier: Apache-2.0
"""drive.py - runs adapter_drive, which plays the relay for one adapter, and checks what was stored."""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

BUILD = pathlib.Path(os.environ.get("POSTRIDER_BUILD", "build"))
DRIVE = BUILD / "tests/brokers/adapter_drive"
ADAPTER = BUILD / "adapters/postrider-kafka.so"
MOCK = BUILD / "tests/brokers/kafka_mock"
OUTCOMES = ("delivered", "retry", "rejected", "unavailable", "unroutable")


def _causes() -> list[str]:
    """The words of enum rider_cause, by number."""
    text = (HERE.parents[1] / "include/postrider/publisher.h").read_text("utf-8")
    names = re.findall(r"RIDER_CAUSE_(\w+)", text[text.index("enum rider_cause {"):])
    return [name.lower() for name in names[:names.index("UNKNOWN") + 1]]


CAUSES = _causes()


class Drive:
    """A running adapter_drive."""

    def __init__(self, bootstrap, *args, n=10000, k=1000, s=300, t=120, types="Test"):
        words = [str(DRIVE), "-n", str(n), "-k", str(k), "-s", str(s), "-t", str(t), "-a", types,
                 str(ADAPTER), f"bootstrap.servers={bootstrap}", *args]
        self.log: list[str] = []
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stderr:
            self.log.append(f"{time.monotonic():.3f} {line.rstrip()}")

    def saw(self, text):
        """Whether the driver wrote `text` to its log."""
        return any(text in line for line in self.log)

    def running(self):
        """Whether it still has events to send, or to settle."""
        return self._process.poll() is None

    def is_down(self, cause, state="down"):
        """Whether health() named this cause."""
        return self.saw(f"health {state} cause {CAUSES.index(cause)}")

    def result(self, ok=True):
        """Waits for the end and returns the counts; `ok`: everything was settled."""
        out = self._process.stdout.read()
        status = self._process.wait()
        self._reader.join()
        assert out, self.log
        counts = json.loads(out)
        counts["causes"] = {CAUSES[int(i)]: n for i, n in counts["causes"].items()}
        print(counts)
        assert counts["wrong"] == 0, counts
        assert (status == 0) == ok, (counts, self.log)
        return counts


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
