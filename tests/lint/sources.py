# SPDX-License-Identifier: Apache-2.0
"""What the lint scripts share: the list of the project's files and C text without comments.

Scanning is line-based and leans on the formatter: in a clang-formatted file a function's braces
stand alone in the first column.
"""

import os
import re
import subprocess
import sys

# Build folders and caches, for a source tree without git.
SKIPPED = {"build", "node_modules", "__pycache__"}


def project_files(root):
    """Paths of all files of the project, relative to `root`, sorted."""
    try:
        out = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout
        found = [path for path in out.split("\0") if path]
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, names, files in os.walk(root):
            names[:] = [n for n in names
                        if n not in SKIPPED and not n.startswith(("build-", ".git"))]
            found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(set(path for path in found if os.path.isfile(os.path.join(root, path))))


def read(root, path):
    """The text of a file; None for one that is no text."""
    with open(os.path.join(root, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace")


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_only(text):
    """C text with comments and the insides of literals blanked; lines keep their numbers.

    Include lines stay whole, so that their names can be read.
    """
    def blank(match):
        token = match.group(0)
        line_start = text.rfind("\n", 0, match.start()) + 1
        if token[0] == '"' and text[line_start:match.start()].lstrip().startswith("#include"):
            return token
        kept = "\n" * token.count("\n")
        if token[0] in "\"'":
            return token[0] + kept + token[0]
        return " " + kept

    return _TOKEN.sub(blank, text)


def functions(text):
    """(name, first line, body lines) of each function; `text` is code_only()."""
    lines = text.split("\n")
    found = []
    i = 0
    while i < len(lines):
        if lines[i] != "{" or _is_data(lines, i):
            i += 1
            continue
        end = i
        while end < len(lines) and not lines[end].startswith("}"):
            end += 1
        found.append((_name(lines, i), i + 1, lines[i:end + 1]))
        i = end + 1
    return found


def _is_data(lines, brace):
    before = next((line for line in reversed(lines[:brace]) if line.strip()), "")
    return before.rstrip().endswith("=")


def _name(lines, brace):
    signature = ""
    for line in reversed(lines[:brace]):
        if not line.strip() or line.startswith(("}", "#")) or line.rstrip().endswith(";"):
            break
        signature = line + " " + signature
    names = re.findall(r"(\w+)\s*\(", signature)
    names = [n for n in names if not n.isupper() and n != "__attribute__"]
    return names[0] if names else "?"


_TABLE = re.compile(r"^\s+static const .*=\s*\{?$")


def without_tables(body):
    """The lines of a function that stand in none of its static tables."""
    kept, inside = [], False
    for line in body:
        if inside:
            inside = not line.rstrip().endswith("};")
        elif _TABLE.match(line):
            inside = True
        else:
            kept.append(line)
    return kept


def complexity(body):
    """Cyclomatic complexity of a function's lines: one, and one for each decision."""
    text = "\n".join(body)
    return 1 + len(re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", text))


def report(problems):
    """Prints the problems, one a line, and ends the script."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}")
    sys.exit(1 if problems else 0)


def root_argument():
    """The project's root: the first argument, or two folders up."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
