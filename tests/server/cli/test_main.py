"""The command as a whole: what it imports, how it ends, what it completes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.documents import examples
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.main import COMMANDS, app
from typer.testing import CliRunner

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
HEAVY = ("alembic", "asyncpg", "fastapi", "grpc", "runstore_storage", "sqlalchemy")
# Prints which of the modules a command has imported, whatever it does else.
IMPORTED = """
import atexit, json, sys
from runstore_server.__main__ import main
imported = lambda: json.dumps([each for each in {heavy} if each in sys.modules])
atexit.register(lambda: print(imported(), file=sys.stderr))
sys.argv = ["runstore", *{arguments}]
main()
"""
# A module whose import never ends.
NEVER = "print('importing', flush=True)\nimport threading\nthreading.Event().wait()\n"


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runstore_server", *arguments],
        env={**os.environ, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--version"], []),
        (["--help"], []),
        (["no-such-command"], []),
        (["runs", "ls", "--help"], ["grpc", "runstore_storage"]),
        (["statistics", "show", "--help"], ["grpc", "runstore_storage"]),
        (["admin", "whoami", "--help"], ["grpc", "runstore_storage"]),
        (["health", "--help"], ["grpc"]),
    ],
    ids=" ".join,
)
def test_a_command_imports_what_it_needs(arguments: list[str], needed: list[str]) -> None:
    program = IMPORTED.format(heavy=HEAVY, arguments=arguments)

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False
    )

    assert json.loads(done.stderr.splitlines()[-1]) == needed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = COMMANDS[name].imported(name)

    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name].summary


@pytest.mark.parametrize("late", ["typer", "grpc", "sqlalchemy"])
def test_ctrl_c_while_importing_prints_nothing(late: str, tmp_path: Path) -> None:
    (tmp_path / f"{late}.py").write_text(NEVER)
    with subprocess.Popen(
        [sys.executable, "-m", "runstore_server", "migrate" if late == "sqlalchemy" else "runs"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout
        assert command.stdout.readline() == "importing\n"

        command.send_signal(signal.SIGINT)

        assert command.communicate(timeout=120) == ("", "")
    assert command.returncode == -signal.SIGINT  # which a shell shows as 130


def test_help_and_the_page_say_what_an_exit_code_means() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())

    assert [(int(number), meaning) for number, meaning in rows] == [
        (each.value, each.meaning) for each in ExitCode
    ]
    assert [each for each in ExitCode if f"{each.value}: {each.meaning}" not in shown] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "verify", "run"),
        ("runs", "diff", "a", "b"),
        ("admin", "records", "verify"),
        ("health",),
    ],
    ids=" ".join,
)
def test_no_answer_is_none_of_the_answers(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--target", "127.0.0.1:1"])

    assert done.exit_code == ExitCode.UNANSWERED
    assert len(done.output.splitlines()) == 1


def test_an_unreachable_database_is_no_answer_either() -> None:
    done = ran("migrate", "check", RUNSTORE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert done.returncode == ExitCode.UNANSWERED
    assert "the database does not answer" in done.stderr


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("127.0.0.1:1/none", "the database does not answer"),
        ("127.0.0.1:port/none", "the URL of the database cannot be used"),
        ("[::1/none", "the URL of the database cannot be used"),
    ],
)
@pytest.mark.parametrize(
    "command", ["migrate up", "migrate current", "migrate down base --yes", "search rebuild"]
)
def test_the_owners_database_comes_first_and_its_password_is_not_shown(
    command: str, place: str, said: str
) -> None:
    environment = {
        "RUNSTORE_DATABASE_URL": "postgresql://other@127.0.0.1:1/none",
        "RUNSTORE_DATABASE_OWNER_URL": f"postgresql://owner:canary@{place}",
    }

    done = CliRunner().invoke(app, command.split(), env=environment)
    helped = CliRunner().invoke(app, [*command.split(), "--help"], env=environment)

    assert said in done.stderr
    assert "canary" not in done.output + helped.output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNSTORE_PORT", "seventy"),
        ("RUNSTORE_LOG_LEVEL", "loud"),
        ("RUNSTORE_SINKS", "[{"),
        ("RUNSTORE_SINKS", '[{"kind": "pigeon", "name": "p"}]'),
    ],
)
@pytest.mark.parametrize("command", ["serve", "dev", "migrate up", "relay", "sinks ls"])
def test_a_setting_that_cannot_be_used_is_wrong_usage_and_named(
    command: str, variable: str, value: str
) -> None:
    done = CliRunner().invoke(app, command.split(), env={variable: value})

    assert done.exit_code == ExitCode.USAGE
    assert variable.removeprefix("RUNSTORE_").lower() in done.stderr.lower()
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "arguments", [("dev", "--port", "70000"), ("serve", "--workers", "0"), ("runs", "show")]
)
def test_a_wrong_option_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == ExitCode.USAGE


def test_a_defect_shows_its_traceback_and_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise RuntimeError('a defect')")

    done = ran("runs", "ls", PYTHONPATH=str(tmp_path))

    assert done.returncode == ExitCode.DEFECT
    assert "RuntimeError: a defect" in done.stderr


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")

    done = ran("runs", "ls", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stderr) == (
        ExitCode.USAGE,
        "the runstore command needs typer: install runstore with its extra [server]\n",
    )


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", list(COMMANDS)),
        ("st", ["statistics"]),
        ("runs re", ["replay", "resume-point"]),
        ("runs ls --stat", ["--status"]),
        ("runs ls --order created_", ["created_desc", "created_asc"]),
        ("dev --data", ["--data-dir"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, typed: str, offered: list[str]) -> None:
    line = f"runstore {typed}"
    environment = {
        "_RUNSTORE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }

    done = CliRunner().invoke(app, [], prog_name="runstore", env=environment)

    found = re.findall(r"^(?:_arguments '\*: :\(\()?\"?([\w-]+)", done.output, re.MULTILINE)
    assert set(offered) <= set(found), done.output
    assert not [each for each in found if not each.startswith(typed.rpartition(" ")[2])]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_for_every_shell(shell: str) -> None:
    done = CliRunner().invoke(
        app, [], prog_name="runstore", env={"_RUNSTORE_COMPLETE": f"source_{shell}"}
    )

    assert "_RUNSTORE_COMPLETE=complete_" in done.output


def test_completion_is_installed_as_shown(tmp_path: Path) -> None:
    (shown,) = (each for each in examples(PAGE) if "completion" in each.command)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    done = subprocess.run(
        ["bash", "-c", f"{shown.command}true"],
        env={**os.environ, "HOME": str(tmp_path), "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert "bash completion installed" in done.stdout
    assert "_RUNSTORE_COMPLETE=complete_bash" in done.stdout
    assert "runstore.sh" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize(
    ("end", "said"), [(0, "as it was written"), (1, "changed"), (3, "try again later"), (4, "")]
)
def test_the_script_that_is_shown_tells_the_ends_apart(end: int, said: str, tmp_path: Path) -> None:
    (shown,) = (each for each in examples(PAGE) if "case $?" in each.command)
    (tmp_path / "runstore").write_text(f"#!/bin/sh\nexit {end}\n")
    (tmp_path / "runstore").chmod(0o755)

    done = subprocess.run(
        ["bash", "-c", shown.command],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said in done.stdout
    assert bool(said) == bool(done.stdout)
