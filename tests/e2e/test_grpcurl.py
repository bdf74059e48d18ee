"""Every RPC works by grpcurl, and so does what docs/grpcurl.md shows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from e2e.calls import Call, calls, make
from e2e.documents import Example, difference, examples, is_text, json_difference, run, values
from e2e.servers import ServerProcess
from google.protobuf import descriptor_pool
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from runstore_server.app import SERVICES
from runstore_server.edge.reflection import V1 as REFLECTION

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "grpcurl.md"
INSTALL = ROOT / "tests" / "tools" / "install-grpcurl"
PATIENT = 600
FEED_SERVICE = """
runstore.v1.FeedService.CommitPosition
runstore.v1.FeedService.FollowFeed
runstore.v1.FeedService.GetConsumer
runstore.v1.FeedService.ListConsumers
runstore.v1.FeedService.ReadFeed
runstore.v1.FeedService.ResetConsumer
"""
APPEND_EVENT_REQUEST = """
runstore.v1.AppendEventRequest is a message:
// AppendEventRequest is one event for one run.
message AppendEventRequest {
  // The tenant.
  // Bounds: …
  string project = 1;
  // The run.
  // Bounds: …
  string run_id = 2;
  // The event. Required.
  .runstore.v1.Event event = 3;
  // The last seq that the writer has seen.
  // Bounds: …
  optional int64 expected_seq = 4;
  // The writer's epoch.
  // Bounds: …
  optional int64 writer_epoch = 5;
}
"""


@pytest.mark.timeout(PATIENT)
def test_every_command_answers_what_the_document_shows(
    tools: str, fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = examples(DOCUMENT)

    wrong = [
        report for one in shown if (report := _unlike_shown(one, fresh_server, tools, tmp_path))
    ]

    assert shown
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.timeout(PATIENT)
def test_every_call_is_answered_as_the_table_says(tools: str, fresh_server: ServerProcess) -> None:
    wrong = [report for one in calls() if (report := _wrong(one, fresh_server, tools))]

    assert not wrong, "\n\n".join(wrong)


def test_every_rpc_is_in_the_table() -> None:
    missing = set(_rpcs()) - {call.method for call in calls()}

    assert not missing, f"calls.yaml has no call of {sorted(missing)}"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["list", "runstore.v1.FeedService"], FEED_SERVICE),
        (["describe", "runstore.v1.AppendEventRequest"], APPEND_EVENT_REQUEST),
    ],
    ids=["list", "describe"],
)
def test_services_and_messages_are_described(
    arguments: list[str], answer: str, tools: str, fresh_server: ServerProcess
) -> None:
    done = subprocess.run(
        ["grpcurl", "-plaintext", fresh_server.target, *arguments],
        env={**os.environ, "PATH": tools},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )

    assert is_text(answer, done.stdout), done.stdout


def test_the_version_that_is_named_is_the_version_that_is_tested() -> None:
    (version,) = re.findall(r"^version=(\S+)", INSTALL.read_text(), re.MULTILINE)

    assert set(re.findall(r"grpcurl(?:\) |@)(v[\d.]+\d)", DOCUMENT.read_text())) == {version}


def _rpcs() -> list[str]:
    pool = descriptor_pool.Default()
    services = [pool.FindServiceByName(name) for name in (*SERVICES, HEALTH)]
    ours = [f"{each.full_name}/{method.name}" for each in services for method in each.methods]
    return [*ours, f"{REFLECTION}/ServerReflectionInfo"]


def _unlike_shown(example: Example, server: ServerProcess, path: str, folder: Path) -> str:
    """How a command's result differs from the document, with everything the command printed."""
    done = run(example, server.target, path, folder)
    printed = done.stdout + done.stderr
    found = difference(example, done.returncode, printed)
    where = f"{DOCUMENT.relative_to(ROOT)}:{example.line}"
    return f"{where}: {found}\n{example.command}{printed}" if found else ""


def _wrong(call: Call, server: ServerProcess, path: str) -> str:
    """How a call's result differs from the table, with everything grpcurl printed."""
    command = ["grpcurl", "-plaintext", "-format-error", "-max-time", str(call.seconds or 50)]
    done = make(call, [*command, "-d", "@", server.target, call.method], path)
    found = _difference(call, done)
    return f"{call.method}: {found}\n{call.requests}\n{done.stdout}{done.stderr}" if found else ""


def _difference(call: Call, done: subprocess.CompletedProcess[str]) -> str:
    exit_code = call.code + 64 if call.code else 0
    if done.returncode != exit_code:
        return f"exits with {done.returncode}, not {exit_code}"
    errors = [call.error] if call.error else []
    return json_difference(call.answers, values(done.stdout)) or json_difference(
        errors, values(done.stderr)
    )
