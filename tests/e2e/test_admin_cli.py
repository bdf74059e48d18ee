"""runstore admin on a server that asks who calls, from its first token on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import server_environment
from e2e.servers import serving

# Within five seconds every server refuses a revoked token, and a busy machine is slower.
REFUSED_SECONDS = 60


def cli(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    """What a command prints that ends with the code."""
    done = subprocess.run(
        [sys.executable, "-m", "runstore_server", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.timeout(600)
def test_from_the_first_token_on_a_server_is_looked_after_without_its_database(
    database_url: str, db_schema: str, project: str, tmp_path: Path
) -> None:
    database = server_environment(database_url, db_schema)
    files = {name: tmp_path / name for name in ("ops", "chief", "agent", "recorder")}
    first = ("tokens", "create", "--name", "ops", "--grant", "operator@*")
    cli(database, *first, "--output", str(files["ops"]))
    with serving(tmp_path / "log", database | {"RUNSTORE_AUTH": "required"}) as server:
        where = {"RUNSTORE_TARGET": server.target, "RUNSTORE_PROJECT": project}

        def by(who: str, *arguments: str, code: int = 0) -> str:
            token = {"RUNSTORE_TOKEN_FILE": str(files[who])}
            return cli(where | token, *arguments, code=code)

        def make(by_whom: str, name: str, grant: str) -> str:
            """Make a token, and return its id."""
            create = ("admin", "tokens", "create", "--name", name, "--grant", grant)
            by(by_whom, *create, "--output", str(files[name]))
            return _id(files[name])

        assert "operator@*" in by("ops", "admin", "whoami")
        chief = make("ops", "chief", f"admin@{project}")
        agent = make("chief", "agent", f"writer@{project}")
        recorder = make("chief", "recorder", f"recorder@{project}")
        assert f"token {agent}" in by("agent", "admin", "whoami")
        assert by("agent", "runs", "ls") == "no runs\n"
        listed = by("chief", "admin", "tokens", "ls", "--json")
        assert [json.loads(each)["token_id"] for each in listed.splitlines()] == [
            recorder,
            agent,
            chief,
        ]
        assert not [each for each in files.values() if each.read_text()[17:60] in listed]

        refused = by("recorder", "admin", "tokens", "revoke", agent, code=4)
        assert refused.startswith("PERMISSION_DENIED: the caller is no admin")
        by("chief", "admin", "limits", "set", "--streams", "50", code=4)
        by("ops", "admin", "limits", "set", "--streams", "50")
        limits = json.loads(by("ops", "admin", "limits", "get", "--json"))
        assert (limits["streams"], limits["calls_per_second"]) == (50, 0)
        by("chief", "admin", "tokens", "revoke", agent)
        assert "was revoked" in _refused(lambda code: by("agent", "runs", "ls", code=code))

        records = [
            json.loads(each) for each in by("chief", "admin", "records", "--json").splitlines()
        ]
        assert [(each["method"], each["principal"]["id"], each["status"]) for each in records] == [
            ("RevokeToken", chief, "OK"),
            ("SetLimits", _id(files["ops"]), "OK"),
            ("SetLimits", chief, "PERMISSION_DENIED"),
            ("RevokeToken", recorder, "PERMISSION_DENIED"),
            ("CreateToken", chief, "OK"),
            ("CreateToken", chief, "OK"),
            ("CreateToken", _id(files["ops"]), "OK"),
        ]
        assert [each["allowed"] for each in records].count(False) == 2
        verified = by("chief", "admin", "records", "verify")
        assert verified.splitlines()[1] == records[0]["hash"]
        of_server = by("ops", "admin", "records", "verify", "--server", "--json")
        assert json.loads(of_server)["verified"] is True


def _id(file: Path) -> str:
    return file.read_text()[4:16]


def _refused(call: Callable[[int], str]) -> str:
    """What is said once a call is refused with code 4."""
    late = time.monotonic() + REFUSED_SECONDS
    while True:
        try:
            return call(4)
        except AssertionError:
            if time.monotonic() > late:
                raise
