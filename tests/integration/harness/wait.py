# SPDX-License-Identifier: Apache-2.0
"""wait.py - waiting for a condition, with a limit and a message that helps."""

import time
from typing import Any, Callable


class Hopeless(AssertionError):
    """Raised by a condition that can never become true any more: ends the waiting at once."""


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 60.0,
               every: float = 0.05) -> Any:
    """Calls `condition` until it returns something true and returns that.

    An exception of the condition counts as "not yet"; the last one is shown when time is up.
    Raises AssertionError after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    last: Any = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except Hopeless:
            raise
        except Exception as e:  # pylint: disable=broad-except
            last = e
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {last!r})")
        time.sleep(every)


def settles(value: Callable[[], Any], quiet: float = 1.0, timeout: float = 60.0) -> Any:
    """Waits until `value()` has not changed for `quiet` seconds and returns it."""
    deadline = time.monotonic() + timeout
    last, since = value(), time.monotonic()
    while time.monotonic() - since < quiet:
        if time.monotonic() >= deadline:
            raise AssertionError(f"still changing after {timeout:g} s: {last!r}")
        time.sleep(0.05)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last


def let_run(seconds: float) -> None:
    """Gives a load or a fault its time. Never a substitute for waiting until something is so."""
    if seconds > 0:
        time.sleep(seconds)
