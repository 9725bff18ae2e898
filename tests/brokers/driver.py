# SPDX-License-Identifier: Apache-2.0
"""driver.py - adapter_drive as a running process, and a check of what arrived."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

BUILD = pathlib.Path(os.environ.get("POSTRIDER_BUILD", "build"))
PROGRAM = BUILD / "tests/brokers/adapter_drive"


def _causes() -> list[str]:
    """The words of enum rider_cause, by number."""
    header = pathlib.Path(__file__).resolve().parents[2] / "include/postrider/publisher.h"
    text = header.read_text("utf-8")
    names = re.findall(r"RIDER_CAUSE_(\w+)", text[text.index("enum rider_cause {"):])
    return [name.lower() for name in names[:names.index("UNKNOWN") + 1]]


CAUSES = _causes()


class Drive:
    """A running adapter_drive. `types`, `sizes` and `headers` may be bytes.

    With `idle` it offers nothing for so many seconds, or until go_on(), when half of the events are settled, or
    each time that one of `pauses` is. So a test can do something to it that it cannot miss by having ended."""

    def __init__(self, adapter: str, *options, n: int = 1000, k: int = 100, t: int = 900, idle: int = 0,
                 pauses: tuple[int, ...] = (), types=b"Test", sizes="300", headers=()):
        words = [str(PROGRAM), "-n", str(n), "-k", str(k), "-s", str(sizes), "-t", str(t), "-a", types]
        if idle:
            words += ["-i", str(idle), "-p", ",".join(map(str, pauses or (n // 2,)))]
        for header in headers:
            words += ["-H", header]
        self.n = n
        self.log: list[str] = []
        self.settled = 0  # as told ten times a second
        self._process = subprocess.Popen([*words, str(BUILD / f"adapters/postrider-{adapter}.so"), *options],
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                         errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr:
            if line.startswith("settled "):
                self.settled = int(line.split()[1])
                continue
            self.log.append(f"{time.monotonic():.3f} {line.rstrip()}")

    def saw(self, text: str) -> bool:
        """Whether `text` is in the log."""
        return any(text in line for line in self.log)

    def times(self, text: str) -> int:
        """How many lines of the log have `text`."""
        return sum(text in line for line in self.log)

    @property
    def idles(self) -> int:
        """How often it began to offer nothing."""
        return self.times("idle at ")

    def is_down(self, cause: str, state: str = "down") -> bool:
        """Whether health() named this cause."""
        return self.saw(f"health {state} cause {CAUSES.index(cause)}:")

    def running(self) -> bool:
        """Whether it still has events to send, or to settle."""
        return self._process.poll() is None

    def go_on(self) -> None:
        """Ends the idle time, or the next one at once."""
        self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Ends it as if its time were over."""
        self._process.terminate()

    def ended(self, outcome: str, cause: str) -> str | None:
        """The adapter's words about the first event that ended so."""
        start = f"ended {outcome} cause {CAUSES.index(cause)} code "
        return next((line.partition(start)[2] for line in self.log if start in line), None)

    def endings(self) -> set[tuple[str, str]]:
        """Outcome and cause of whatever was not delivered until now."""
        found = (re.search(r" ended (\w+) cause (\d+) code ", line) for line in list(self.log))
        return {(m[1], CAUSES[int(m[2])]) for m in found if m}

    def result(self, ok: bool = True) -> dict:
        """Waits for the end and returns the counts, with `causes` by name, the `endings` and the adapter's `stats`.
        `ok`: everything was settled."""
        out = self._process.stdout.read()
        status = self._process.wait()
        self._reader.join()
        assert out, self.log
        counts = json.loads(out)
        print(counts, *self.log[:40], "...", *self.log[40:][-20:], sep="\n")
        assert counts["wrong"] == 0, counts
        assert (status == 0) == ok, (counts, self.log)
        counts["n"] = self.n
        counts["causes"] = {CAUSES[int(number)]: n for number, n in counts["causes"].items()}
        counts["endings"] = self.endings()
        stats = (line.partition(" stat ")[2].split() for line in self.log if " stat " in line)
        counts["stats"] = {name: int(value) for name, value in stats}
        return counts


def body_of(key: str, seq: int, size: int) -> bytes:
    """The bytes that adapter_drive sends."""
    text = f'{{"key":"{key}","seq":{seq},"pad":"'
    return (text + "x" * (size - 2 - len(text)) + '"}').encode()


def check_bodies(bodies, n: int, k: int, duplicates: bool = False, size: int = 300) -> int:
    """All n events of k keys are there with their bytes; each key is in order, where only the last event
    of it may come again. Returns the number of repetitions."""
    last: dict[str, int] = {}
    repeats = 0
    for body in bodies:
        event = json.loads(body)
        key, seq = event["key"], event["seq"]
        assert body == body_of(key, seq, size)
        if seq == last.get(key):
            repeats += 1
        else:
            assert seq == last.get(key, -1) + 1, f"{key}: {seq} after {last.get(key)}"
            last[key] = seq
    assert sum(seq + 1 for seq in last.values()) == n
    assert len(last) == k
    assert duplicates or repeats == 0, f"{repeats} repetitions"
    return repeats
