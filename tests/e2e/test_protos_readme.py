"""What protos/README.md shows of compilers and of a running server."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.documents import examples, run
from e2e.servers import ServerProcess

ROOT = Path(__file__).parents[2]
COMPILE, DESCRIBE = examples(ROOT / "protos" / "README.md")


def test_one_include_path_is_enough_for_protoc_and_buf(tmp_path: Path) -> None:
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    (tmp_path / "protoc").write_text(f'#!/bin/sh\nexec {sys.executable} -m grpc_tools.protoc "$@"')
    (tmp_path / "protoc").chmod(0o755)
    # The protoc of grpcio-tools has no C++.
    shown = replace(COMPILE, command=COMPILE.command.replace("--cpp_out", "--python_out"))
    path = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"

    done = run(shown, "", path, tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runstore" / "v1" / "run_service_pb2.py").exists()


@pytest.mark.parametrize(
    ("line", "comment"), [(0, "AppendEvent appends"), (1, "another writer was faster")]
)
def test_a_server_describes_itself_with_its_comments(
    line: int, comment: str, tools: str, fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = replace(DESCRIBE, command=DESCRIBE.command.splitlines()[line])

    done = run(shown, fresh_server.target, tools, tmp_path)

    assert done.returncode == 0, done.stderr
    assert comment in done.stdout
