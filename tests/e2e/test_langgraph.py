"""The demonstration of LangGraph works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.servers import ServerProcess

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_killed_graph_goes_on_without_doing_again_what_was_finished(
    fresh_server: ServerProcess,
) -> None:
    module = "clients.examples.langgraph_resume"

    done = _run("-W", "error", "-m", module, fresh_server.target, folder=ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    before, after = done.stdout.split("== worker 1 is killed: exit code -9; stored are\n")
    stored, resumed = after.split("== worker 2 continues the thread\n")
    read = re.compile(r"reads (\w+)")
    assert sorted(read.findall(before)) == ["alpha", "beta", "delta", "gamma"]
    assert sorted(re.findall(r"- (\w+) ", stored)) == ["alpha", "beta"]
    assert sorted(read.findall(resumed)) == ["delta", "gamma"]
    workers = re.findall(r"- (\w+) \(read by worker (\d+)\)", resumed)
    assert [name for name, _ in workers] == ["alpha", "beta", "gamma", "delta"]
    assert workers[0][1] == workers[1][1] != workers[2][1] == workers[3][1]


def _run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
