# SPDX-License-Identifier: Apache-2.0
"""The reference pages tell the truth: metrics against a real scrape, the schema against real files.

That the committed pages are what the program prints is lint.reference, see tests/lint.
"""

import copy
import glob
import json
import os
import re
import subprocess

import pytest
import yaml

from harness.api import partners
from harness.relay import stdout_file
from harness.secrets import KeyRing
from harness.wait import wait_until

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def page_tables(path: str) -> list[list[list[str]]]:
    """The Markdown tables of a page as rows of cells, without their heads."""
    tables, rows = [], []
    with open(path, encoding="utf-8") as f:
        for line in list(f) + [""]:
            if line.startswith("|"):
                rows.append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
            elif rows:
                tables.append(rows[2:])
                rows = []
    return tables


@pytest.fixture
def scrape(db, relay_of, receiver, tmp_path, build, postrider):
    """A scrape of a relay with every kind of trouble: failures, retries, a split destination."""
    receiver.status = 500
    hook = {"name": "hook", "adapter": "webhook", "retry": {"initial": "1s", "max": "1h", "max_attempts": 1000},
            "options": {"url": receiver.url, "secret": receiver.secret, "allow_http": True,
                        "allow_cidrs": "127.0.0.0/8"}}
    ring = KeyRing(build, postrider, tmp_path)
    relay = relay_of([stdout_file("split", str(tmp_path / "split.jsonl"), partitions=2), hook, partners()],
                     webhooks={"key_ring": ring.path})
    ring.subscribe(db, receiver.url, status="paused")
    db.run("SELECT outbox.publish('t', i::text, '{}') FROM generate_series(1, 20) i")

    def troubled() -> str:
        text = relay.metrics()
        wanted = ('postrider_failures_total{lane="hook"', 'postrider_open_deliveries{lane="hook"',
                  'postrider_sample_age_seconds ', 'postrider_seconds_since_progress{lane="split/0"',
                  *(f'postrider_pending_events{{lane="{x}"}}' for x in ("hook", "partners", "split/0", "split/1")),
                  'postrider_adapter_stat{lane="hook"', 'postrider_subscriptions{destination="partners",status="paused"} 1',
                  'postrider_subscription_backlog{destination="partners"} 20')
        missing = [w for w in wanted if w not in text]
        if missing:
            raise AssertionError(f"not yet: {missing}")
        return text
    return wait_until(troubled, "a scrape with all families", timeout=60)


def test_every_metric_is_documented(scrape, root):
    path = os.path.join(root, "docs", "reference", "metrics.md")
    families, labels = page_tables(path)
    documented = {row[0].strip("`"): row[1:] for row in families}
    values = {row[0].split("`")[1]: set() for row in labels}
    for row in labels:
        values[row[0].split("`")[1]] |= set(re.findall(r"`([^`]+)`", row[1]))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", scrape, re.MULTILINE))
    own = {name for name in types if name.startswith("postrider_")}
    assert own == set(documented)
    for name in own:
        assert documented[name][0] == types[name] and documented[name][2] == helps[name], name
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert all(f"`{name}`" in text for name in set(types) - own)

    seen, sampled = set(), set()
    for line in scrape.splitlines():
        if line.startswith("#"):
            continue
        series, name = line.rpartition(" ")[0], SAMPLE.fullmatch(line).group(1)
        assert series not in seen, f"twice: {series}"
        seen.add(series)
        if not name.startswith("postrider_"):
            continue
        name = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        pairs = dict(LABEL.findall(SAMPLE.fullmatch(line).group(2) or ""))
        pairs.pop("le", None)
        assert list(pairs) == [x for x in documented[name][1].split(", ") if x], line
        for label in set(pairs) & {"result", "cause", "phase", "state", "status"}:
            nothing_noted = name == "postrider_open_deliveries" and label == "cause" and pairs[label] == ""
            assert pairs[label] in values[label] or nothing_noted, line
        sampled.add(name)
    assert sampled == own


def test_the_scrape_is_well_formed(scrape):
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape, text=True, capture_output=True,
                          check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_lanes_of_a_split_destination_keep_apart(scrape):
    for name in ("postrider_delivered_total", "postrider_pending_events"):
        lanes = re.findall(name + r'\{lane="([^"]+)"\}', scrape)
        assert sorted(lanes) == ["hook", "partners", "split/0", "split/1"]


@pytest.fixture(scope="session")
def judge(root):
    """judge(configurations): "valid", or "invalid" and why, for each, by the JSON Schema."""
    folder = os.path.join(root, "tests", "contract")
    assert os.path.isdir(os.path.join(folder, "node_modules")), "run npm ci in tests/contract first"

    def run(configurations: list) -> list[str]:
        done = subprocess.run(["node", "validate_config.mjs"], cwd=folder, text=True, capture_output=True,
                              input="\n".join(map(json.dumps, configurations)), check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
    return run


def test_the_schema_takes_every_example(judge, root):
    paths = [os.path.join(root, "config", "postrider.yaml"),
             *sorted(glob.glob(os.path.join(root, "config", "examples", "*.yaml")))]
    documents = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            documents.append(yaml.safe_load(f))
    assert len(paths) > 3 and judge(documents) == ["valid"] * len(paths)


def test_the_schema_refuses_what_the_reader_refuses(judge, postrider, tmp_path):
    good = {"source": {"dsn": "postgresql://127.0.0.1/x"},
            "destinations": [{"name": "out", "adapter": "stdout", "options": {"format": "raw"}}],
            "routes": [{"match": {"type": "a.*"}, "to": ["out"]}]}
    cases = [good]
    for change in [
            lambda c: c.update(sauce={}),
            lambda c: c["source"].update(batch=0),
            lambda c: c["source"].update(lease="soon"),
            lambda c: c["destinations"][0].update(envelope="letter"),
            lambda c: c["destinations"][0].pop("name"),
            lambda c: c["destinations"][0]["options"].update(format="wide"),
            lambda c: c["destinations"][0]["options"].update(pfad="/x"),
            lambda c: c["destinations"][0].update(adapter="rabbitmq", options={"url": "amqp://h"}),
            lambda c: c["routes"][0].pop("to"),
            lambda c: c["routes"][0].update(to=[])]:
        cases.append(copy.deepcopy(good))
        change(cases[-1])
    said = [line.split(":")[0] for line in judge(cases)]
    assert said == ["valid"] + ["invalid"] * (len(cases) - 1)
    for case, word in zip(cases, said):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(case, sort_keys=False))
        path.chmod(0o600)
        done = subprocess.run([postrider, "check", "-c", path], capture_output=True, check=False, timeout=30)
        assert (done.returncode == 0) == (word == "valid"), (case, done.stderr)
