"""What docs/grpcurl.md shows works, and nothing is left out of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from e2e.documents import Example, difference, examples, run
from e2e.servers import ServerProcess
from google.protobuf import descriptor_pool
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from runstore_server.app import SERVICES
from runstore_server.edge.reflection import V1 as REFLECTION

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "grpcurl.md"
INSTALL = ROOT / "tests" / "tools" / "install-grpcurl"
PATIENT = 600


@pytest.mark.timeout(PATIENT)
def test_every_command_answers_what_the_document_shows(
    tools: str, fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = examples(DOCUMENT)

    wrong = [report for one in shown if (report := _wrong(one, fresh_server, tools, tmp_path))]

    assert shown
    assert not wrong, "\n\n".join(wrong)


def test_every_rpc_is_shown() -> None:
    commands = " ".join(example.command for example in examples(DOCUMENT))

    missing = [name for name in _rpcs() if not re.search(rf"[ /]{re.escape(name)}(?!\w)", commands)]

    assert not missing, f"{DOCUMENT} has no command for {missing}"


def test_the_version_that_is_named_is_the_version_that_is_tested() -> None:
    (version,) = re.findall(r"^version=(\S+)", INSTALL.read_text(), re.MULTILINE)

    assert set(re.findall(r"grpcurl(?:\) |@)(v[\d.]+\d)", DOCUMENT.read_text())) == {version}


def _rpcs() -> list[str]:
    pool = descriptor_pool.Default()
    services = [pool.FindServiceByName(name) for name in (*SERVICES, HEALTH)]
    ours = [f"{each.full_name}/{method.name}" for each in services for method in each.methods]
    return [*ours, f"{REFLECTION}/ServerReflectionInfo"]


def _wrong(example: Example, server: ServerProcess, path: str, folder: Path) -> str:
    """What a command does otherwise than the document says, with all that it printed."""
    done = run(example, server.target, path, folder)
    printed = done.stdout + done.stderr
    found = difference(example, done.returncode, printed)
    where = f"{DOCUMENT.relative_to(ROOT)}:{example.line}"
    return f"{where}: {found}\n{example.command}{printed}" if found else ""
