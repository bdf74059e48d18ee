"""What docs/langgraph.md shows works, and so does the demonstration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from e2e.documents import is_text
from e2e.servers import ServerProcess

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_python_of_the_page_says_what_is_shown(
    fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = BLOCKS.findall((ROOT / "docs" / "langgraph.md").read_text())
    code = "\n".join(text for kind, text in shown if kind == "python")
    (tmp_path / "example.py").write_text(code.replace("localhost:7411", fresh_server.target))

    done = _run("-W", "error", "example.py", folder=tmp_path)

    assert len(shown) > 9
    assert done.returncode == 0, done.stderr
    wanted = "".join(text for kind, text in shown if kind == "text")
    assert is_text(wanted, done.stdout), done.stdout


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
