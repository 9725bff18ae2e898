# SPDX-License-Identifier: Apache-2.0
"""The approvals domain and the documents that describe its events."""

import concurrent.futures
import contextlib
import json
import os
import re
import subprocess
import uuid

import psycopg2
import pytest
import yaml

NOBODY = str(uuid.UUID(int=0))


@pytest.fixture
def approvals(postgres, empty_template, root, request):
    """A database with the outbox, strict about types, and the domain."""
    database = postgres.create_database("d_" + request.node.name, template=empty_template)
    database.run("UPDATE outbox.meta SET strict_types = true")
    for _ in range(2):  # loading it again changes nothing
        database.run_file(os.path.join(root, "config", "approvals", "approvals.sql"))
    yield database
    database.drop()


@pytest.fixture(scope="session")
def contract(root) -> str:
    path = os.path.join(root, "tests", "contract")
    assert os.path.isdir(os.path.join(path, "node_modules")), "run npm ci --ignore-scripts in tests/contract"
    return path


def submit(db, title="New laptops", who="ann") -> str:
    return db.value("SELECT approvals.submit_request(%s, %s)", title, who)


def assign(db, request_id, who="bob") -> str:
    return db.value("SELECT approvals.assign_task(%s, %s)", request_id, who)


def decide(db, task_id, decision="APPROVED", comment=None) -> str:
    return db.value("SELECT approvals.decide_task(%s, %s, %s)", task_id, decision, comment)


def events(db, aggregate=None) -> list[tuple]:
    rows = db.run("SELECT type, aggregate_type, aggregate_id, payload FROM outbox.event ORDER BY seq")
    return [(t, p) for t, kind, agg, p in rows if kind == "request" and aggregate in (None, agg)]


def envelopes(db) -> str:
    """The events as a relay sends them, one a line."""
    rows = db.run("""SELECT event_id::text, type, to_char(occurred_at AT TIME ZONE 'UTC',
                     'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), aggregate_id, payload, version, aggregate_type
                     FROM outbox.event ORDER BY seq""")
    names = ("eventId", "type", "occurredAt", "aggregateId", "payload", "version", "aggregateType")
    return "".join(json.dumps(dict(zip(names, row))) + "\n" for row in rows)


def validate(contract, lines: str) -> subprocess.CompletedProcess:
    return subprocess.run(["node", os.path.join(contract, "validate.mjs")], input=lines, text=True,
                          capture_output=True, timeout=180, check=False)


def test_an_approval_from_start_to_end(approvals):
    request = submit(approvals)
    first, second = assign(approvals, request, "bob"), assign(approvals, request, "eve")
    assert decide(approvals, first) == "SUBMITTED"
    assert decide(approvals, second, comment="within budget") == "APPROVED"
    assert events(approvals, request) == [
        ("REQUEST_SUBMITTED", {"requestId": request, "title": "New laptops", "submittedBy": "ann"}),
        ("TASK_ASSIGNED", {"requestId": request, "taskId": first, "assignee": "bob"}),
        ("TASK_ASSIGNED", {"requestId": request, "taskId": second, "assignee": "eve"}),
        ("TASK_DECIDED", {"requestId": request, "taskId": first, "decidedBy": "bob", "decision": "APPROVED"}),
        ("TASK_DECIDED", {"requestId": request, "taskId": second, "decidedBy": "eve", "decision": "APPROVED",
                          "comment": "within budget"}),
        ("REQUEST_APPROVED", {"requestId": request, "tasks": 2})]
    assert approvals.run("SELECT state, closed_at IS NOT NULL FROM approvals.request") == [("APPROVED", True)]


def test_one_rejection_rejects(approvals):
    request = submit(approvals)
    tasks = [assign(approvals, request, who) for who in ("bob", "eve")]
    assert [decide(approvals, tasks[0], "REJECTED"), decide(approvals, tasks[1])] == ["SUBMITTED", "REJECTED"]
    assert events(approvals)[-1] == (
        "REQUEST_REJECTED", {"requestId": request, "tasks": 2, "rejectedBy": ["bob"]})


def test_state_and_event_stand_or_fall_together(approvals):
    with contextlib.closing(approvals.connect()) as c, c.cursor() as cursor:
        cursor.execute("SELECT approvals.submit_request('x', 'ann')")
        c.rollback()
    assert events(approvals) == [] and approvals.value("SELECT count(*) FROM approvals.request") == 0
    # A type that is no longer in the catalogue stops the change of state too.
    approvals.run("UPDATE outbox.event_type SET status = 'retired' WHERE type = 'REQUEST_SUBMITTED'")
    with pytest.raises(psycopg2.errors.CheckViolation, match="is retired"):
        submit(approvals)
    assert approvals.value("SELECT count(*) FROM approvals.request") == 0


def test_illegal_steps_are_refused_and_publish_nothing(approvals):
    request = submit(approvals)
    task = assign(approvals, request)
    for call, error, text in [
        (lambda: assign(approvals, NOBODY), psycopg2.errors.NoDataFound, "request .* does not exist"),
        (lambda: decide(approvals, NOBODY), psycopg2.errors.NoDataFound, "task .* does not exist"),
        (lambda: assign(approvals, request), psycopg2.errors.UniqueViolation, "already assigned to bob"),
        (lambda: decide(approvals, task, "MAYBE"), psycopg2.errors.InvalidParameterValue, '"MAYBE"'),
        (lambda: submit(approvals, ""), psycopg2.errors.CheckViolation, "title"),
    ]:
        with pytest.raises(error, match=text):
            call()
    other = assign(approvals, request, "eve")
    decide(approvals, task)
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="task .* is already approved"):
        decide(approvals, task)
    decide(approvals, other)
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="request .* is already approved"):
        assign(approvals, request, "kim")
    assert len(events(approvals)) == 6


def test_concurrent_decisions_close_a_request_once(approvals):
    request = submit(approvals)
    tasks = [assign(approvals, request, f"p{i}") for i in range(12)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        states = list(pool.map(lambda t: decide(approvals, t), tasks))
    assert sorted(states) == ["APPROVED"] + ["SUBMITTED"] * 11
    types = [t for t, _ in events(approvals, request)]
    assert types[-1] == "REQUEST_APPROVED" and types.count("REQUEST_APPROVED") == 1


def test_what_the_domain_writes_matches_the_schemas(approvals, contract):
    for decisions in (["APPROVED"], ["REJECTED", "APPROVED"]):
        request = submit(approvals, "Ünïcode \"quotes\" \\ and 😀")
        tasks = [assign(approvals, request, f"p{i}") for i in range(len(decisions))]
        for task, decision in zip(tasks, decisions):
            decide(approvals, task, decision, "because")
    done = validate(contract, envelopes(approvals))
    assert done.returncode == 0, done.stderr
    types = {t for t, _ in events(approvals)}
    assert types == {row[0] for row in approvals.run("SELECT type FROM outbox.event_type")}


@pytest.mark.parametrize("change,fault", [
    ({"eventId": "no-uuid"}, "/eventId must match format"),
    ({"occurredAt": "2026-11-24T03:00:49+01:00"}, "/occurredAt must match pattern"),
    ({"extra": 1}, "/extra is in no schema"),
    ({"payload": {"requestId": 1}}, "payload: /requestId must be string"),
    ({"type": "OTHER"}, "no schema for type OTHER version 1"),
    ({"version": 0}, "/version must be >= 1"),
])
def test_the_validator_finds_a_broken_envelope(approvals, contract, change, fault):
    submit(approvals)
    event = json.loads(envelopes(approvals))
    event.update(change)
    done = validate(contract, json.dumps(event) + "\n")
    assert done.returncode == 1 and fault in done.stderr


def test_the_examples_in_the_documents_are_valid(contract, root):
    with open(os.path.join(root, "docs", "events", "asyncapi.yaml"), encoding="utf-8") as f:
        messages = yaml.safe_load(f)["components"]["messages"]
    examples = [json.dumps(e["payload"]) for m in messages.values() for e in m["examples"]]
    with open(os.path.join(root, "docs", "events", "README.md"), encoding="utf-8") as f:
        examples += [json.dumps(json.loads(text)) for text in re.findall(r"```json\n(.*?)```", f.read(), re.S)]
    assert len(examples) == 6
    done = validate(contract, "\n".join(examples) + "\n")
    assert done.returncode == 0, done.stderr


def test_the_asyncapi_document_passes_spectral(contract):
    done = subprocess.run(["npm", "run", "-s", "asyncapi"], cwd=contract, text=True, capture_output=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_schema_is_in_the_asyncapi_document(root):
    folder = os.path.join(root, "config", "events")
    with open(os.path.join(root, "docs", "events", "asyncapi.yaml"), encoding="utf-8") as f:
        text = f.read()
    for name in os.listdir(folder):
        if name.endswith(".schema.json"):
            assert f"../../config/events/{name}" in text
