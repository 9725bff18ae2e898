# SPDX-License-Identifier: Apache-2.0
"""The first command a newcomer runs: it shows delivered events and a subscription, can be repeated, and cleans up."""

import os
import re
import subprocess
import tempfile

import pytest


@pytest.fixture
def quickstart(root):
    """quickstart(*args): runs the script in a state folder of this test and returns what it said."""
    with tempfile.TemporaryDirectory(prefix="postrider-quickstart-") as base:
        os.chmod(base, 0o755)  # PostgreSQL's user has to get through
        state = os.path.join(base, "state")

        def run(*args: str) -> str:
            done = subprocess.run([os.path.join(root, "deploy", "quickstart.sh"), *args], text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=1200, check=False,
                                  env={**os.environ, "POSTRIDER_STATE": state})
            assert done.returncode == 0, done.stdout
            return done.stdout
        run.state = state
        try:
            yield run
        finally:
            run("--down")


def processes_of(folder: str) -> list[str]:
    """Command lines of what still runs from a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


@pytest.mark.slow
def test_quickstart_delivers_can_be_repeated_and_cleans_up(quickstart):
    for _ in range(2):
        said = quickstart()
        for kind in ("REQUEST_SUBMITTED", "TASK_ASSIGNED", "TASK_DECIDED", "REQUEST_APPROVED"):
            assert re.search(rf'"type":"{kind}"', said), said
        arrived, rotated = said.split("6/6")[1].split("secret is rotated")
        assert "Never mind" not in arrived, "a rolled back request was sent"
        partner, subscriber = arrived.split("What the subscriber got")
        assert len(re.findall(r"accepted +200", partner)) == 4, said
        assert len(re.findall(r"accepted +200", subscriber)) == 2, said
        assert '"status":"delivered"' in subscriber and '"http_status":200' in subscriber, said
        assert len(re.findall(r"accepted +200", rotated)) == 1, said
        assert "refused" not in arrived + rotated
        assert "PUBLISHED" in said and "PENDING" not in said
        assert "whsec_" not in said, "secrets are for files"
        assert "quickstart.sh --down" in said
    assert processes_of(quickstart.state)
    quickstart("--down")
    assert not os.path.exists(quickstart.state)
    assert not processes_of(quickstart.state)
    quickstart("--down")  # nothing there: still fine


def test_quickstart_refuses_to_remove_a_folder_that_is_not_its_own(quickstart):
    os.mkdir(quickstart.state)
    with open(os.path.join(quickstart.state, "thesis.txt"), "w", encoding="utf-8") as f:
        f.write("keep me")
    quickstart("--down")
    assert os.listdir(quickstart.state) == ["thesis.txt"]


def test_quickstart_says_what_it_does_not_know(root):
    done = subprocess.run([os.path.join(root, "deploy", "quickstart.sh"), "--wiht", "kafka"], text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.returncode == 64 and "Usage" in done.stderr
