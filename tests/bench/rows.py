# SPDX-License-Identifier: Apache-2.0
"""rows.py - one line of the table, and what the command line asks for."""

import dataclasses


@dataclasses.dataclass
class Row:
    """One figure. `least` and `most` bound the ratio to the limit, or the figure if `limit` is None."""
    scenario: str
    figure: float
    unit: str
    limit: float | None = None
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.figure / self.limit if self.limit else None

    @property
    def met(self) -> bool | None:
        value = self.figure if self.ratio is None else self.ratio
        if self.least is None and self.most is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclasses.dataclass
class Options:
    """From the command line."""
    runs: int
    seconds: int
    rate: int
    per_transaction: int
