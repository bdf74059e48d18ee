"""runstore admin: what a server answers, in words, in JSON and by the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import runstore
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.main import app
from runstore_server.cli.tables.admin import ASKS_NOBODY
from server.access.guarded import Guarded, MakeToken, guarded, make_token
from typer.testing import CliRunner

__all__ = ["guarded", "make_token"]

COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def command(server_address: str, project: str) -> Command:
    """Runs `runstore admin` in a project, on a server that asks nobody who calls."""

    async def run(*arguments: str) -> Done:
        return await ran(*arguments, target=server_address, project=project)

    return run


async def ran(*arguments: str, target: str, project: str, token: str = "") -> Done:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runstore_server", "admin", *arguments),
        env={
            **os.environ,
            "RUNSTORE_TARGET": target,
            "RUNSTORE_PROJECT": project,
            "RUNSTORE_TOKEN": token,
            "COLUMNS": str(COLUMNS),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, stdout.decode(), stderr.decode())


async def lines(call: Awaitable[Done]) -> list[str]:
    """What a command prints that ends well."""
    done = await call
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


async def test_whoever_a_server_does_not_ask_is_anybody(command: Command) -> None:
    shown = await lines(command("whoami"))
    (written,) = map(json.loads, await lines(command("whoami", "--json")))

    assert [line.split(maxsplit=1) for line in shown] == [
        ["who", ASKS_NOBODY],
        ["grants", "admin@* operator@*"],
        ["expires", "never"],
    ]
    assert written == {
        "principal": {"kind": "anybody", "id": "", "issuer": ""},
        "grants": ["admin@*", "operator@*"],
        "expires_at": None,
    }


async def test_a_token_says_who_it_is_and_until_when(
    guarded: Guarded, make_token: MakeToken, project: str
) -> None:
    token = await make_token(f"reader@{project}")
    where = {"target": guarded.grpc, "project": project, "token": token.text}

    shown = await lines(ran("whoami", **where))

    assert shown[:2] == [f"who      token {token.token_id}", f"grants   reader@{project}"]
    assert "never" not in shown[2]


async def test_projects_are_listed_by_name(
    guarded: Guarded, make_token: MakeToken, project: str
) -> None:
    token = await make_token(f"writer@{project}/*")
    where = {"target": guarded.grpc, "project": project, "token": token.text}
    none = await ran("projects", **where)
    names = [f"{project}/{number}" for number in "123"]
    for name in names:
        await _save_run(guarded.grpc, name, token.text)

    assert (none.stdout, none.stderr) == ("", "no projects\n")
    assert await lines(ran("projects", **where)) == names
    found = map(json.loads, await lines(ran("projects", "--json", **where)))
    assert list(found) == [{"project": name} for name in names]


async def test_a_token_is_made_listed_and_ended(command: Command, project: str) -> None:
    made = await command("tokens", "create", "--name", "n", "--grant", f"reader@{project}")

    text = made.stdout.strip()
    token_id = text[4:16]
    assert text.startswith("rs1_")
    assert made.stderr.startswith(f"token {token_id}, until ")
    assert text not in made.stderr
    listed = await lines(command("tokens", "ls", "--json"))
    (shown,) = map(json.loads, listed)
    assert (shown["token_id"], shown["project"]) == (token_id, project)
    assert (shown["grants"], shown["revoked_at"]) == ([f"reader@{project}"], None)
    assert text[17:60] not in listed[0]
    assert "89 d left" in "".join(await lines(command("tokens", "ls")))
    for _ in range(2):
        assert await lines(command("tokens", "revoke", token_id)) == [f"{token_id} is revoked"]
    assert "revoked" in "".join(await lines(command("tokens", "ls")))


async def test_a_token_of_the_server_is_of_no_project(command: Command) -> None:
    options = ("--name", "ops", "--grant", "operator@*", "--lifetime", "1h")

    (text,) = await lines(command("tokens", "create", *options, "--server"))

    token_id = text[4:16]
    found = [
        json.loads(each) for each in await lines(command("tokens", "ls", "--server", "--json"))
    ]
    assert [each["project"] for each in found if each["token_id"] == token_id] == [None]
    assert await lines(command("tokens", "ls")) == ["no tokens"]
    unknown = await command("tokens", "revoke", token_id)
    assert unknown.exit_code == ExitCode.FAILED
    assert "--server" in unknown.stderr
    await lines(command("tokens", "revoke", token_id, "--server"))


async def test_a_token_goes_to_a_file_of_its_owner_alone(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    options = ("tokens", "create", "--name", "n", "--grant", "reader@a", "--output", str(file))

    made, again = await command(*options), await command(*options)

    assert made.stdout == ""
    assert file.read_text()[4:16] in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again.exit_code == ExitCode.FAILED
    assert "File exists" in again.stderr
    assert len(await lines(command("tokens", "ls", "--json"))) == 1


async def test_without_a_token_there_is_no_file_of_it(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    options = ("tokens", "create", "--name", "n", "--grant", "reader@a*", "--output", str(file))

    done = await command(*options)

    assert done.exit_code == ExitCode.FAILED
    assert not file.exists()


async def test_limits_are_replaced_all_at_once(command: Command) -> None:
    before = await lines(command("limits", "get"))

    first = ("--calls-per-second", "5", "--events-per-second", "6", "--bytes-per-second", "7000")
    await lines(command("limits", "set", *first))
    wanted = ("--streams", "1200", "--stored-bytes", str(1 << 40))
    shown = await lines(command("limits", "set", *wanted))

    assert before[-2:] == ["stores 0 bytes", "never set"]
    assert [line.split("  ")[-1].strip() for line in shown] == [
        *(*3 * ["no limit"], "1,200", "1,099,511,627,776"),
    ]
    after = await lines(command("limits", "get"))
    assert after[:-1] == [*shown, "stores 0 bytes"]
    assert after[-1].startswith("set 2")
    (written,) = map(json.loads, await lines(command("limits", "get", "--json")))
    assert written.pop("updated_at")
    none = {"calls_per_second": 0, "events_per_second": 0, "bytes_per_second": 0}
    assert written == {**none, "streams": 1200, "stored_bytes": 1 << 40, "stored_bytes_used": 0}
    (written,) = map(json.loads, await lines(command("limits", "set", "--streams", "0", "--json")))
    assert written == {**none, "streams": 0, "stored_bytes": 0}


async def test_records_are_listed_newest_first_and_verified(command: Command) -> None:
    none = await lines(command("records"))
    for streams in "123":
        await lines(command("limits", "set", "--streams", streams))

    listed = await lines(command("records", "--limit", "2", "--json"))

    newest, second = map(json.loads, listed)
    assert none == ["no records"]
    assert (newest["number"], second["number"]) == (3, 2)
    assert newest["previous_hash"] == second["hash"]
    assert json.loads(newest["request"])["limits"] == {"streams": "3"}
    assert (newest["method"], newest["resource"]) == ("SetLimits", "limits")
    assert (newest["status"], newest["allowed"]) == ("OK", True)
    table = await lines(command("records"))
    assert table[0].split() == ["number", "recorded", "by", "status", "what"]
    assert [line.split()[0] for line in table[1:]] == ["3", "2", "1"]
    verified = await lines(command("records", "verify"))
    assert verified == ["3 records agree with their hashes; the last is 3", newest["hash"]]
    (found,) = map(
        json.loads, await lines(command("records", "verify", "--from-number", "3", "--json"))
    )
    assert (found["verified"], found["checked_records"]) == (True, 1)
    assert (found["last_number"], found["last_hash"]) == (3, newest["hash"])


async def test_a_changed_record_is_found(
    command: Command, project: str, database_url: str, db_schema: str
) -> None:
    for streams in "123":
        await lines(command("limits", "set", "--streams", streams))
    await _tamper(database_url, db_schema, project)

    done = await command("records", "verify")
    (found,) = map(json.loads, (await command("records", "verify", "--json")).stdout.splitlines())

    assert done.exit_code == ExitCode.UNTRUE
    assert done.stdout.startswith("broken at number 2: ")
    assert found["verified"] is False
    assert found["first_break"]["number"] == 2


@pytest.mark.parametrize(
    ("grant", "arguments", "said"),
    [
        ("recorder", ["records"], "no admin in project"),
        ("writer", ["tokens", "ls"], "no admin in project"),
        ("admin", ["limits", "set", "--streams", "1"], "no operator in project"),
        ("admin", ["records", "verify", "--server"], "no admin for the server"),
        ("admin", ["tokens", "create", "--name", "n", "--grant", "reader@*"], "no reader"),
    ],
)
async def test_what_is_not_allowed_is_said_in_a_line_with_what_shows_more(
    grant: str,
    arguments: list[str],
    said: str,
    guarded: Guarded,
    make_token: MakeToken,
    project: str,
) -> None:
    token = await make_token(f"{grant}@{project}")

    done = await ran(*arguments, target=guarded.grpc, project=project, token=token.text)

    assert (done.exit_code, done.stdout) == (ExitCode.FAILED, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("PERMISSION_DENIED: ")
    assert said in line
    assert "runstore admin whoami" in line


async def test_without_a_token_the_variables_that_hold_one_are_named(
    guarded: Guarded, project: str
) -> None:
    done = await ran("whoami", target=guarded.grpc, project=project)

    assert done.exit_code == ExitCode.FAILED
    (line,) = done.stderr.splitlines()
    assert line.startswith("UNAUTHENTICATED: ")
    assert "$RUNSTORE_TOKEN_FILE" in line


async def test_an_unknown_token_is_said_with_where_it_was_looked_for(
    command: Command, project: str
) -> None:
    done = await command("tokens", "revoke", "unknown")

    assert done.exit_code == ExitCode.FAILED
    (line,) = done.stderr.splitlines()
    assert line.startswith("TOKEN_NOT_FOUND: there is no token 'unknown'")
    assert project in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("limits set", "0 is none"),
        ("limits set --streams -1", "--streams"),
        ("records --server --project a", "either --project or --server"),
        ("records verify --server --project a", "either --project or --server"),
        ("records --limit 3 verify", "give options after verify"),
        ("records --limit 0", "--limit"),
        ("tokens ls --server --project a", "either --project or --server"),
        ("tokens revoke t --server --project a", "either --project or --server"),
        ("tokens create --name n --grant reader@a --server --project a", "either --project or"),
        ("tokens create --name n --grant owner@a", "must be ROLE@PROJECTS"),
        ("tokens create --name n --grant reader@a --lifetime 1y", "is not a number and d, h, m"),
        ("tokens create --name n", "--grant"),
        ("tokens revoke", "TOKEN"),
    ],
)
def test_wrong_usage_is_told_from_a_refusal(arguments: str, said: str) -> None:
    done = CliRunner().invoke(app, ["admin", *arguments.split()])

    assert done.exit_code == ExitCode.USAGE
    assert said in " ".join(done.stderr.replace("│", "").split())
    assert done.stdout == ""


@pytest.mark.parametrize(
    "name",
    ["", "whoami", "projects", "limits get", "limits set", "records", "records verify"]
    + [f"tokens {each}" for each in ("create", "ls", "revoke")],
)
def test_help_shows_an_example_that_no_screen_wraps(name: str) -> None:
    environment = {"COLUMNS": str(COLUMNS)}
    done = CliRunner().invoke(app, ["admin", *name.split(), "--help"], env=environment)
    shown = done.stdout.splitlines()

    examples = [line for line in shown if re.match(rf" +(\w+=\S+ )?runstore admin {name}", line)]
    assert len(examples) >= 1
    assert max(map(len, shown)) <= COLUMNS
    following = [shown[shown.index(each) + 1].strip() for each in examples]
    assert following == [""] * len(examples)  # the line after it would have what was wrapped


async def _save_run(target: str, project: str, token: str) -> None:
    async with runstore.connect(target, project=project, token=token) as client:
        await client.save_run()


async def _tamper(database_url: str, db_schema: str, project: str) -> None:
    """Change a record as only who owns the table can."""
    conn = await asyncpg.connect(database_url, server_settings={"search_path": db_schema})
    try:
        async with conn.transaction():
            await conn.execute("ALTER TABLE admin_records DISABLE TRIGGER USER")
            await conn.execute(
                "UPDATE admin_records SET status = 'NO' WHERE project = $1 AND number = 2", project
            )
            await conn.execute("ALTER TABLE admin_records ENABLE TRIGGER USER")
    finally:
        await conn.close()
