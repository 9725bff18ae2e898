# SPDX-License-Identifier: Apache-2.0
"""What an installation has is enough to build the adapter of docs/writing-an-adapter.md, and to load it."""

import os
import subprocess

from harness.relay import run


def test_an_adapter_builds_against_an_installation(root, build, postrider, tmp_path):
    folder = tmp_path / "installed"
    subprocess.run(["cmake", "--install", build, "--prefix", folder], check=True, timeout=300, capture_output=True)
    with open(os.path.join(root, "docs", "writing-an-adapter.md"), encoding="utf-8") as f:
        page = f.read()
    source = tmp_path / "spool.c"
    source.write_text(page.split("```c\n")[1].split("```")[0], encoding="utf-8")
    command = next(line for line in page.splitlines() if line.startswith("    cc ")).split()
    done = subprocess.run([*command, "-I", folder / "include"], cwd=tmp_path, text=True, capture_output=True, check=False,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    adapters = folder / "lib" / "postrider" / "adapters"
    os.rename(tmp_path / "postrider-spool.so", adapters / "postrider-spool.so")
    shown = run(postrider, "adapters", "--adapter-dir", str(adapters), "spool")
    assert shown.returncode == 0 and "directory" in shown.stdout, shown.stderr
    listed = run(postrider, "adapters", "--adapter-dir", str(adapters)).stdout
    assert all(name in listed for name in ("kafka", "null", "rabbitmq", "spool", "stdout", "webhook"))
