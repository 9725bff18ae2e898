#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps functions and files short. No allowlist: if a limit is wrong for one, it changes for all.

A function's lines are those from brace to brace, without the static tables in it.
"""

import sources

MAX_FUNCTION = 60
MAX_COMPLEXITY = 15
MAX_FILE = {".c": 600, ".h": 300}
MAX_ROOT_CMAKE = 150
FOLDERS = ("core/", "adapters/", "include/", "tests/")


def check_text(path, text):
    """Problems of one C file."""
    found = []
    limit = MAX_FILE[path[-2:]]
    n_lines = text.count("\n")
    if n_lines > limit:
        found.append(f"{path}: {n_lines} lines, at most {limit}: split it by noun")
    for name, line, body in sources.functions(sources.code_only(text)):
        n_lines = len(sources.without_tables(body))
        if n_lines > MAX_FUNCTION:
            found.append(f"{path}:{line}: function {name} has {n_lines} lines, "
                         f"at most {MAX_FUNCTION}")
        decisions = sources.complexity(body)
        if decisions > MAX_COMPLEXITY:
            found.append(f"{path}:{line}: function {name} has complexity {decisions}, "
                         f"at most {MAX_COMPLEXITY}")
    return found


def main():
    root = sources.root_argument()
    found = []
    for path in sources.project_files(root):
        if path.endswith((".c", ".h")) and path.startswith(FOLDERS):
            found += check_text(path, sources.read(root, path) or "")
        elif path == "CMakeLists.txt":
            n_lines = sources.read(root, path).count("\n")
            if n_lines > MAX_ROOT_CMAKE:
                found.append(f"{path}: {n_lines} lines, at most {MAX_ROOT_CMAKE}")
    sources.report(found)


if __name__ == "__main__":
    main()
