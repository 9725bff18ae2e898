# SPDX-License-Identifier: Apache-2.0
"""The alerts of deploy/ name metrics and labels that exist, are explained, and fire when they should."""

import os
import re
import subprocess

import pytest
import yaml

from test_reference import page_tables


@pytest.fixture(scope="module")
def rules_path(root):
    return os.path.join(root, "deploy", "prometheus", "alerts.yaml")


@pytest.fixture(scope="module")
def rules(rules_path):
    with open(rules_path, encoding="utf-8") as f:
        return yaml.safe_load(f)["groups"][0]["rules"]


def test_alerts_name_metrics_that_exist(rules, root):
    families, _ = page_tables(os.path.join(root, "docs", "reference", "metrics.md"))
    known = {row[0].strip("`"): set(re.findall(r"\w+", row[2])) for row in families}
    for rule in rules:
        expression = rule["expr"]
        assert set(re.findall(r"postrider_\w+", expression)) <= set(known), rule["alert"]
        for name, selectors in re.findall(r"(postrider_\w+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)=~?\"", selectors)) <= known[name], rule["alert"]


def test_alerts_are_explained(rules, root):
    with open(os.path.join(root, "docs", "operations.md"), encoding="utf-8") as f:
        section = f.read().split("## Alerts worth having")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [rule["alert"] for rule in rules]


def label_set(**labels: str) -> str:
    return "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def series(name: str, values: str, **labels: str) -> dict:
    return {"series": name + label_set(**labels), "values": values}


HEALTHY = [series("postrider_build_info", "1x200"), series("postrider_database_up", "1x200"),
           series("postrider_oldest_pending_age_seconds", "5000x200", lane="partners"),
           series("postrider_open_deliveries", "3x200", lane="partners", state="DEAD", cause="rejected_4xx"),
           series("postrider_subscriptions", "100x200", destination="partners", status="active"),
           series("postrider_subscriptions", "0x200", destination="partners", status="disabled"),
           series("postrider_subscriptions_failing", "3x200", destination="partners")]


@pytest.mark.parametrize("trouble,alert", [
    (None, None),  # one endpoint of a hundred is down, has dead letters, and nobody is woken
    (series("postrider_oldest_pending_age_seconds", "400x200", lane="stream"), "PostriderEventsWait"),
    (series("postrider_open_deliveries", "1x200", lane="stream", state="DEAD", cause="timeout"), "PostriderDeadLetters"),
    (series("postrider_dead_total", "0+1x200", lane="partners"), "PostriderDeadLettersGrow"),
    (series("postrider_cursor_lag_seconds", "200x200", lane="partners"), "PostriderExpansionLags"),
    (series("postrider_subscription_oldest_pending_age_seconds", "90000x200", destination="partners", status="paused"),
     "PostriderSubscriptionPausedLong"),
    (series("postrider_subscription_oldest_pending_age_seconds", "1000x200", destination="partners", status="active"),
     "PostriderSubscriptionWaits"),
    (series("postrider_subscriptions", "0x90 1x110", destination="other", status="disabled"),
     "PostriderSubscriptionDisabled"),
    (series("postrider_failures_total", "1x200", lane="partners", cause="unknown"), "PostriderUnknownCause"),
])
def test_alerts_fire_when_they_should(rules_path, tmp_path, trouble, alert):
    expected = [{"labels": label_set(alertname=alert), "value": 1}] if alert else []
    cases = {"rule_files": [rules_path], "evaluation_interval": "1m", "tests": [{
        "interval": "1m", "input_series": HEALTHY + ([trouble] if trouble else []),
        "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "2h",
                              "exp_samples": expected}]}]}
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump(cases), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(path)], text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
