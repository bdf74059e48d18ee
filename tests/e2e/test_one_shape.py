"""The command line prints the objects that HTTP answers with, byte for byte."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import runstore
from e2e.servers import ServerProcess
from e2e.test_cli import cli
from runstore import Payload, Usage

USAGE = Usage(1, 2, 3, 4, timedelta(microseconds=5))
Ask = Callable[..., Any]


@pytest.fixture
def command(server: ServerProcess, project: str) -> Ask:
    """The objects that a command prints with --json, as texts."""

    def lines(*arguments: str) -> list[str]:
        where = ("--json", "--target", server.target, "--project", project)
        return cli(*arguments, *where).splitlines()

    return lines


@pytest.fixture
def get(server: ServerProcess, project: str) -> Ask:
    """An answer over HTTP, as a text."""

    def text(path: str, **query: str | list[str]) -> str:
        found = httpx.get(
            f"{server.http_target}/api/v1/{path}", params={"project": project, **query}, timeout=30
        )
        assert found.status_code == 200, found.text
        return found.text

    return text


@pytest.fixture
def run(server: ServerProcess, project: str) -> str:
    """A run with something in every field."""
    with runstore.Client(server.target, project=project, timeout=60) as client:
        ref = client.configs.register("prompt", "p", Payload('"body"'))
        base = client.save_run(run_id="base")
        base.append("begun")
        made = client.save_run(
            "find it",
            run_id="run",
            plan_id="plan",
            plan=Payload('{"b": 1.0, "b":2}'),
            parent_run_id="base",
            external_ref=runstore.ExternalRef("temporal", "w", "https://example.org"),
            config_refs=[runstore.ConfigRef("prompt", "p", ref.version)],
            tags=["t"],
            labels={"k": "v"},
        )
        made.append(
            "tool.called",
            Payload(b"\0", "x/y"),
            node_id="n",
            actor="a",
            model="m",
            tool="x",
            tags=["t"],
            usage=USAGE,
            occurred_at=made.get().created_at,
        )
        made.snapshot(
            nodes=[runstore.PlanNode("n", "tool", ["f"], "done", state={"s": 1})],
            pending_node_ids=["n"],
            state={"x": 1},
            metadata={"m": 1},
        )
        made.complete(payload={"answer": 42})
        assert list(client.statistics(after=("run", 2), wait_seconds=30))
    return "run"


def test_runs_have_one_shape(command: Ask, get: Ask, run: str) -> None:
    listed, shown = command("runs", "ls"), command("runs", "show", run)
    verified = command("runs", "verify", run)

    assert get("runs").startswith('{"runs":[' + ",".join(listed) + "]")
    whole = json.loads(get(f"runs/{run}"))["run"]
    snapshot, holds = whole.pop("latest_snapshot"), whole.pop("holds")
    assert json.loads(shown[0]) == whole
    assert holds == []
    assert get(f"runs/{run}").startswith(
        '{"run":' + shown[0][:-1] + ',"holds":[],"latest_snapshot"'
    )
    assert json.loads(verified[0]) == {"run_id": run, **json.loads(get(f"runs/{run}/verify"))}
    point = json.loads(command("runs", "resume-point", run)[0])["snapshot"]
    assert point == json.loads(get(f"runs/{run}/snapshots/latest"))["snapshot"]
    assert snapshot.items() <= point.items()


def test_a_fork_says_where_it_left(command: Ask, get: Ask, run: str) -> None:
    command("runs", "fork", "base", "--name", "fork")

    assert json.loads(get("runs/fork"))["run"]["fork_base"] == {"run_id": "base", "seq": 1}


def test_events_and_entries_have_one_shape(command: Ask, get: Ask, run: str) -> None:
    events, entries = command("runs", "events", run), command("feed", "ls")

    assert get(f"runs/{run}/events").startswith('{"events":[' + ",".join(events) + "]")
    assert get("feed").startswith('{"entries":[' + ",".join(entries) + "]")
    assert json.loads(events[0])["usage"]["duration_us"] == 5
    assert json.loads(events[0])["payload"] == {"base64": "AA==", "content_type": "x/y"}


def test_statistics_have_one_shape(command: Ask, get: Ask, run: str) -> None:
    rows = command("statistics", "show", "--by", "model", "--by", "day", "--by-label", "k")

    answer = get("statistics", group_by=["model", "day"], label_key="k")
    assert answer.startswith('{"rows":[' + ",".join(rows) + "]")


def test_a_payload_with_line_breaks_is_on_one_line(
    command: Ask, server: ServerProcess, project: str
) -> None:
    with runstore.Client(server.target, project=project) as client:
        client.save_run(run_id="run").append("x", Payload('{\n"a":\r\n1.0}\n'))

    (line,) = command("runs", "events", "run")

    assert '"payload":{"json":{ "a":  1.0} ,"content_type":"","json_base64":' in line
