# SPDX-License-Identifier: Apache-2.0
"""faults.py - the table of faults in docs/rabbitmq.md as rows for tests.

The page is the specification: a test names the row it injects, and the row says what has to come out.
"""

import pathlib
import re
from dataclasses import dataclass

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/rabbitmq.md"


@dataclass(frozen=True)
class Fault:
    """`outcome` as in publisher.h in small letters, or "open" for an event that waits in the adapter."""
    name: str
    outcome: str
    cause: str
    words: str

    def check(self, drive) -> bool:
        """True once the driver saw the outcome; its words must then be those of the page."""
        said = drive.ended(self.outcome, self.cause)
        assert said is None or self.words in said, f"{said!r} lacks {self.words!r}"
        return said is not None


def rows() -> dict[str, Fault]:
    """By name; a row of the page is | name | OUTCOME | `cause` | `words` | ... |."""
    found = re.findall(r"^\| ([^|]+?) \| ([A-Z]+)[^|]*? \| `(\w+)` \| `([^`]+)` \|", PAGE.read_text(), re.M)
    return {name: Fault(name, outcome.lower(), cause, words) for name, outcome, cause, words in found}


def injects(*names: str):
    """Decorator: the test runs once for each row, with it as the argument `fault`."""
    table = rows()
    return pytest.mark.parametrize("fault", [table[name] for name in names], ids=names)
