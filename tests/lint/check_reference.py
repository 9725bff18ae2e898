#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the committed reference pages and the schema of the configuration are what the program prints.

    check_reference.py PROGRAM ADAPTERS [ROOT]            compares
    check_reference.py --write PROGRAM ADAPTERS [ROOT]    makes them so
"""

import difflib
import json
import os
import subprocess
import sys

import sources

PAGES = {
    "commands": "docs/reference/commands.md",
    "configuration": "docs/reference/configuration.md",
    "metrics": "docs/reference/metrics.md",
    "schema": "config/postrider.schema.json",
}


def printed(program, adapters, page):
    """What the program says; the schema is laid out for people."""
    done = subprocess.run([program, "reference", page, "--adapter-dir", adapters], check=True,
                          stdout=subprocess.PIPE, timeout=60)
    text = done.stdout.decode("utf-8")
    if page == "schema":
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    return text


def compare(path, committed, wanted):
    """Problems of one file; `committed` is None when it is missing."""
    if committed == wanted:
        return []
    diff = difflib.unified_diff((committed or "").splitlines(), wanted.splitlines(), path,
                                "what the program prints", lineterm="", n=1)
    return [f"{path} differs from what the program prints; tests/lint/check_reference.py --write mends it"] + \
        list(diff)[:20]


def main():
    args = [a for a in sys.argv[1:] if a != "--write"]
    if len(args) not in (2, 3):
        sys.exit(__doc__)
    program, adapters = args[:2]
    root = args[2] if len(args) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = []
    for page, path in PAGES.items():
        wanted = printed(program, adapters, page)
        full = os.path.join(root, path)
        if "--write" in sys.argv:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(wanted)
        else:
            found += compare(path, sources.read(root, path) if os.path.exists(full) else None, wanted)
    sources.report(found)


if __name__ == "__main__":
    main()
