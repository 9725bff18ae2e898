#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count_results.py - adds up JUnit files of ctest and pytest and prints one closing line.

Usage: count_results.py [--strict] FILE...

Prints each failed and each skipped test, then `N passed, N failed` (`, N skipped` when there are
some). Exits with 1 when a test failed or none ran; with --strict also when one was skipped without a
reason, or because Kafka could not be had.
"""

import sys
import xml.etree.ElementTree as ET


def results(path: str):
    """Yields (name, outcome, reason) for each test of a file."""
    for case in ET.parse(path).getroot().iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        skipped = case.find("skipped")
        if skipped is not None:
            yield name, "skipped", (skipped.get("message") or "").strip()
        elif case.find("failure") is not None or case.find("error") is not None:
            yield name, "failed", ""
        elif case.get("status") in ("notrun", "disabled"):  # ctest: not built, or disabled
            yield name, "failed", ""
        else:
            yield name, "passed", ""


def main(args: list[str]) -> int:
    strict = "--strict" in args
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    refused = 0
    for path in (a for a in args if not a.startswith("--")):
        for name, outcome, reason in results(path):
            counts[outcome] += 1
            if outcome == "failed":
                print(f"FAILED  {name}")
            elif outcome == "skipped":
                bad = not reason or reason == "SKIP_RETURN_CODE=77" or "kafka" in reason.lower()
                refused += bad
                print(f"SKIPPED {name}: {reason or 'no reason given'}"
                      + (" (not allowed here)" if strict and bad else ""))
    line = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    if counts["passed"] + counts["failed"] == 0:
        print("no test ran")
    print(line)
    ok = counts["passed"] and not counts["failed"] and not (strict and refused)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
