#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what no compiler checks: banned functions, leftover markers, the licence line, and names of
machines and package sources that belong to whoever builds the project, not to the project.
"""

import os
import re

import sources

SPDX = "SPDX-License-Identifier: Apache-2.0"
LICENSED = (".c", ".h", ".h.in", ".cmake", ".py", ".sh", ".sql")
# Written in pieces, so that this file does not find itself.
MARKER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
FOREIGN = [
    (re.compile(r"(?<![\w.$}])/(?:ho" + r"me/\w|wo" + r"rk/|ro" + r"ot/|tmp/bu" + r"ild|Us" + r"ers/)"),
     "a path of one machine"),
    (re.compile(r"--(?:extra-)?index-url|\bGOPR" + r"OXY\s*=|^\s*registry\s*[=:]\s*http|"
                r"^deb(?:-src)?\s+(?:\[|http)|<mirr" + r"or>", re.MULTILINE),
     "a source of packages"),
    (re.compile(r"https?://[^\s/\"'<>]*(?:artif" + r"actory|nexus|\bmirror\b|\.inte" + r"rnal\b|\.co" + r"rp\b)"),
     "an address inside one network"),
]


def parse_banned(text):
    """name -> what to use instead"""
    rows = [line.split(None, 1) for line in text.splitlines()
            if line.strip() and not line.startswith("#")]
    return {name: instead.strip() for name, instead in rows}


def check_c(path, text, banned):
    """Calls of banned functions."""
    call = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
    found = []
    for number, line in enumerate(sources.code_only(text).split("\n"), 1):
        for match in call.finditer(line):
            name = match.group(1)
            found.append(f"{path}:{number}: {name}() is banned; use {banned[name]}")
    return found


def check_any(path, text):
    """Markers and foreign names in any text."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if MARKER.search(line):
            found.append(f"{path}:{number}: a leftover marker ({MARKER.search(line).group(0)})")
        for pattern, what in FOREIGN:
            if pattern.search(line):
                found.append(f"{path}:{number}: names {what}")
    return found


def check_licence(path, text):
    """The licence line is the first one, or the second below #!."""
    if path.endswith(LICENSED) or os.path.basename(path) == "CMakeLists.txt":
        if SPDX not in "\n".join(text.split("\n")[:2]):
            return [f"{path}:1: begins without the line \"{SPDX}\""]
    return []


def main():
    root = sources.root_argument()
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "banned_functions.txt"), encoding="utf-8") as f:
        banned = parse_banned(f.read())
    found = []
    for path in sources.project_files(root):
        text = sources.read(root, path)
        if text is None or path.endswith("package-lock.json"):
            continue
        found += check_any(path, text)
        found += check_licence(path, text)
        if path.endswith((".c", ".h")):
            found += check_c(path, text, banned)
    sources.report(found)


if __name__ == "__main__":
    main()
