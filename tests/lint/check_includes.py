#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks each #include of the product against layers.txt: the arrows between folders, and the one
home of each library's headers. Tests may include anything.
"""

import fnmatch
import os
import re

import sources

# Headers of the C library and the kernel that need no home.
SYSTEM = set("""
    assert ctype dirent errno fcntl fenv float fnmatch getopt glob grp ifaddrs inttypes iso646 limits
    locale math netdb poll pthread pwd regex sched search semaphore signal spawn stdalign stdarg
    stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings sysexits syslog termios
    threads time uchar unistd wchar wctype
""".split())
SYSTEM_FOLDERS = ("sys/", "netinet/", "net/", "arpa/", "linux/")
PRODUCT = ("core/", "adapters/", "include/")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def parse_layers(text):
    """(folder -> allowed, header pattern -> homes)"""
    folders, headers = {}, {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        if name.startswith("<"):
            headers[name.strip("<>")] = rest.split()
        else:
            folders[name] = rest.split()
    return folders, headers


def module_of(path):
    """core/outbox/sdk/x.c -> core/outbox; core/main.c -> core."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def allowed_for(module, folders):
    for pattern, allowed in folders.items():
        if fnmatch.fnmatchcase(module, pattern):
            return allowed
    return None


def check_own(path, name, folders, exists):
    """A quoted include; None when it is fine."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    candidates = [beside] + [os.path.join(base, name) for base in ("core", "include", "adapters")]
    target = next((c for c in candidates if exists(c)), None)
    if target is None:
        if name.startswith("postrider/"):  # version.h is generated
            target = os.path.join("include", name)
        else:
            return f'"{name}" is no file of the project'
    module, wanted = module_of(path), module_of(target)
    allowed = allowed_for(module, folders)
    if allowed is None:
        return f"folder {module} is not in layers.txt"
    if wanted == module or "*" in allowed or wanted in allowed or target in allowed:
        return None
    return f'{module} must not include {wanted} ("{name}")'


def check_library(path, name, headers):
    """An include in angle brackets; None when it is fine."""
    homes = None
    for pattern, folders in headers.items():
        if fnmatch.fnmatchcase(name, pattern):
            homes = folders
    if homes is None:
        if name.startswith(SYSTEM_FOLDERS) or (name.endswith(".h") and name[:-2] in SYSTEM):
            return None
        return f"<{name}> has no home in layers.txt"
    module = module_of(path)
    return None if module in homes else f"<{name}> belongs to {', '.join(homes)}"


def check_text(path, text, layers, exists):
    """Problems of one file."""
    folders, headers = layers
    found = []
    for number, line in enumerate(sources.code_only(text).split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        own = match.group(1) == '"'
        problem = (check_own(path, match.group(2), folders, exists) if own
                   else check_library(path, match.group(2), headers))
        if problem:
            found.append(f"{path}:{number}: {problem}")
    return found


def main():
    root = sources.root_argument()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers.txt"),
              encoding="utf-8") as f:
        layers = parse_layers(f.read())
    found = []
    for path in sources.project_files(root):
        if path.endswith((".c", ".h", ".h.in")) and path.startswith(PRODUCT):
            found += check_text(path, sources.read(root, path) or "", layers,
                                lambda p: os.path.isfile(os.path.join(root, p)))
    sources.report(found)


if __name__ == "__main__":
    main()
