"""Commands carry the token that the environment names, and none on their line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from clients.gate import Gate, serving
from runstore_server.cli.main import COMMANDS, app
from typer.testing import CliRunner, Result

TOKEN, FAR = "rs1_known", "runstore.example.com:7411"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNSTORE_TOKEN", "RUNSTORE_TOKEN_FILE", "RUNSTORE_ALLOW_INSECURE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest_asyncio.fixture
async def gate() -> AsyncIterator[Gate]:
    async with serving(Gate(TOKEN)) as served:
        yield served


async def run(*command: str, **environment: str) -> Result:
    """What a command did, with these variables."""
    return await asyncio.to_thread(CliRunner().invoke, app, command, env=environment)


@pytest.mark.parametrize("command", [("runs", "ls"), ("health",)])
async def test_a_command_carries_the_token_of_the_environment(
    gate: Gate, tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "token"
    await asyncio.to_thread(file.write_text, f"{TOKEN}\n")

    by_text = await run(*command, "--target", gate.address, RUNSTORE_TOKEN=TOKEN)
    by_file = await run(*command, "--target", gate.address, RUNSTORE_TOKEN_FILE=str(file))

    assert (by_text.exit_code, by_file.exit_code) == (0, 0), by_text.output + by_file.output
    assert gate.tokens == [TOKEN, TOKEN]


async def test_a_command_without_one_says_where_it_is_looked_for(gate: Gate) -> None:
    done = await run("runs", "ls", "--target", gate.address)

    assert done.exit_code == 4
    assert "UNAUTHENTICATED" in done.stderr
    assert "$RUNSTORE_TOKEN or $RUNSTORE_TOKEN_FILE" in done.stderr


@pytest.mark.parametrize("command", [("runs", "ls"), ("health",)])
async def test_what_cannot_be_sent_is_wrong_usage_in_a_line(
    gate: Gate, tmp_path: Path, command: tuple[str, ...]
) -> None:
    none = str(tmp_path / "none")

    unreadable = await run(*command, "--target", gate.address, RUNSTORE_TOKEN_FILE=none)
    plain = await run(*command, "--target", FAR, RUNSTORE_TOKEN=TOKEN)

    assert (unreadable.exit_code, plain.exit_code) == (2, 2)
    assert unreadable.stderr.startswith("RUNSTORE_TOKEN_FILE: cannot be read: ")
    assert plain.stderr.startswith(f"token: is not sent in plain text: connect to grpcs://{FAR}")
    assert unreadable.stderr.count("\n") == plain.stderr.count("\n") == 1
    assert TOKEN not in plain.output
    assert gate.shown == []


def flags(command: Any) -> Iterator[str]:
    """Those of a command, or of all commands of a group."""
    for each in getattr(command, "commands", {}).values():
        yield from flags(each)
    for option in command.params:
        yield from (flag.lstrip("-") for flag in option.opts)


def test_no_flag_takes_a_token() -> None:
    found = {flag for name, each in COMMANDS.items() for flag in flags(each.imported(name))}

    assert len(found) > 30
    assert not found & {"token", "token-file", "password", "secret"}
