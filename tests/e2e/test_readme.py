"""The examples in the README work."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import runstore
from e2e.documents import blocks
from e2e.servers import ServerProcess

README = Path(__file__).parents[2] / "README.md"


def test_the_first_call_from_python_does_what_it_says(server: ServerProcess) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    for _ in range(2):  # people run an example again
        done = subprocess.run(
            [sys.executable, "-c", example.replace("localhost:7411", server.target)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        saved, *rest = done.stdout.splitlines()
        assert saved.startswith("saved run ")
        assert rest == [
            "left to do: ('write',)",
            "1 tool.called",
            "2 run.resumed",
            "3 run.completed",
        ]


def test_every_make_target_and_command_it_names_exists() -> None:
    text = README.read_text()
    makefile = (README.parent / "Makefile").read_text()

    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = re.findall(
        r"^(?:\.venv/bin/)?runstore ((?:runs |migrate )?[a-z-]+)", text, re.MULTILINE
    )
    for command in sorted(set(commands)):
        asked = subprocess.run(
            [sys.executable, "-m", "runstore_server", *command.split(), "--help"],
            capture_output=True,
            timeout=180,
            check=False,
        )
        assert asked.returncode == 0, command


def shown(holding: str) -> str:
    """The only shell block that contains that text."""
    (found,) = (text for language, text in blocks(README) if language == "sh" and holding in text)
    return found


def run(command: str, path: str, server: ServerProcess) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell in the environment of a user of that server."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "PATH": path, "RUNSTORE_TARGET": server.target},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def path() -> str:
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def test_the_calls_by_grpcurl_save_append_and_stream(
    tools: str, fresh_server: ServerProcess
) -> None:
    command = shown("grpcurl").replace("localhost:7411", fresh_server.target)

    done = run(command, tools, fresh_server)

    assert done.returncode == 0, done.stderr
    assert '"objective": "try it"' in done.stdout
    assert done.stdout.count('"type": "tool.called"') == 1
    assert done.stdout.count(r'"{\"query\": 1.0}"') == 1


def test_in_production_the_schema_is_migrated_and_the_server_serves(
    path: str, server: ServerProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    export, migrate, serve = shown("migrate up").splitlines()
    assert export.startswith("export RUNSTORE_DATABASE_URL=postgresql://")
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())

    migrated = run(f"{settings} {migrate}", path, server)
    production = ServerProcess(tmp_path / "production.log", environment, *shlex.split(serve)[1:])
    production.start()
    production.wait_until_serving()
    with runstore.Client(production.target, project="readme") as client:
        is_serving = client.health()

    assert migrated.returncode == 0, migrated.stderr
    assert is_serving
    assert production.stop() == 0


def test_the_diff_of_two_moments_of_a_run_is_shown(path: str, fresh_server: ServerProcess) -> None:
    (command,) = (line for line in shown("runs diff").splitlines() if "runs diff" in line)
    with runstore.Client(fresh_server.target, project="acme/search") as client:
        made = client.save_run("answer the question", run_id="run-1")
        made.snapshot(events=[runstore.NewEvent("first")], state={"draft": 1})
        made.snapshot(events=[runstore.NewEvent("second")], state={"draft": 2})

    done = run(command, path, fresh_server)

    assert done.returncode == 1, done.stderr
    assert "draft" in done.stdout


@pytest.mark.parametrize("line", [0, 1])
def test_the_feed_is_followed_as_shown(line: int, path: str, fresh_server: ServerProcess) -> None:
    command = shown("feed tail").splitlines()[line]
    command = command.replace("localhost:7412", fresh_server.http_target)
    with runstore.Client(fresh_server.target, project="acme/search") as client:
        client.save_run(f"followed by line {line}").append(f"followed-{line}")

    following = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        env={**os.environ, "PATH": path, "RUNSTORE_TARGET": fresh_server.target},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout
        assert any(f"followed-{line}" in each for each in following.stdout)
    finally:
        following.kill()
        following.communicate()
