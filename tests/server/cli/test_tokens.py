"""runstore tokens: made, listed and ended in the database, for a server that asks for them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import server_environment
from runstore_storage.postgres import PostgresStore
from server.access.guarded import Guarded, guarded
from server.access.test_matrix import reason

__all__ = ["guarded"]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(database_url: str, db_schema: str) -> Command:
    environment = {**os.environ, **server_environment(database_url, db_schema), "USER": "ada"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runstore_server", "tokens", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


async def test_a_token_is_made_used_listed_and_ended(
    command: Command, guarded: Guarded, project: str, store: PostgresStore
) -> None:
    grant = f"reader@{project}"

    made = command("create", "--name", "n", "--grant", grant, "--project", project)

    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    token_id = text[4:16]
    assert text.startswith("rs1_")
    assert text not in made.stderr
    assert await reason(guarded.grpc, "/runstore.v1.RunService/ListRuns", project, text) == "OK"
    listed = command("ls", "--project", project, "--json")
    (shown,) = map(json.loads, listed.stdout.splitlines())
    assert (shown["token_id"], shown["grants"]) == (token_id, [grant])
    assert shown["created_by"] == {"kind": "database", "id": "ada", "issuer": ""}
    assert text[17:60] not in listed.stdout
    table = command("ls", "--project", project).stdout
    assert token_id in table
    assert "89 d left" in table
    assert command("revoke", token_id).stdout == f"{token_id} is revoked\n"
    assert command("revoke", token_id).stdout == f"{token_id} was revoked\n"
    assert "revoked" in command("ls", "--project", project).stdout
    records = (await store.admin.list_records(project, limit=10, after=None)).items
    assert [each.act.method for each in records] == ["RevokeToken", "RevokeToken", "CreateToken"]
    assert text[17:60] not in str(records)


def test_a_token_may_go_to_a_file_of_its_owner_alone(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    options = ("--name", "n", "--grant", "operator@*", "--output", str(file))

    made, again = command("create", *options), command("create", *options)

    assert made.stdout == ""
    assert file.read_text().startswith("rs1_")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again.returncode != 0
    assert "File exists" in again.stderr
    assert file.read_text()[4:16] in made.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--grant", "writer"], "project_pattern"),
        (["--grant", "owner@a"], "is not ROLE@PROJECTS"),
        (["--grant", "writer@a*"], "project_pattern"),
        (["--grant", "operator@a"], "for an operator"),
        (["--grant", "operator@*", "--project", "a"], "of_server"),
        (["--grant", "writer@a", "--lifetime", "1y"], "is not a number and d, h, m or s"),
        (["--grant", "writer@a", "--lifetime", "401d"], "lifetime"),
        (["--grant", "writer@a", "--lifetime", "0s"], "lifetime"),
        ([], "--grant"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    command: Command, options: list[str], said: str
) -> None:
    done = command("create", "--name", "n", *options)

    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", "").split())
    assert done.stdout == ""


def test_an_unknown_token_is_said_so(command: Command) -> None:
    done = command("revoke", "unknown")

    assert done.returncode != 0
    assert "there is no token 'unknown'" in done.stderr
