"""What docs/sinks.md shows works."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import server_environment
from pydantic import TypeAdapter
from runstore_server.sinks.settings import SinkSettings
from runstore_server.sinks.signing import signature_headers, signing_key
from runstore_storage.database.opening import connect

DOC = (Path(__file__).parents[3] / "docs" / "sinks.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"é":1.0}'.encode()


def block(language: str, holding: str) -> str:
    """The first code block of a language with that text in it."""
    return next(
        found.split("\n", 1)[1]
        for found in DOC.split("```")[1::2]
        if found.startswith(language + "\n") and holding in found
    )


def signed(age: float = 0) -> dict[str, str]:
    return signature_headers(signing_key(SECRET), "a1", int(time.time() - age), BODY)


def test_the_configuration_shown_is_taken(tmp_path: Path) -> None:
    credentials = tmp_path / "creds"
    credentials.touch()
    shown = block("json", '"billing"').replace("/run/secrets/nats.creds", str(credentials))

    sinks = TypeAdapter(list[SinkSettings]).validate_json(shown)

    assert [sink.name for sink in sinks] == ["bus", "billing"]


def test_the_event_shown_is_json() -> None:
    assert json.loads(block("json", "specversion"))["data"]["seq"] == 12


def test_the_python_shown_tells_genuine_requests_from_others() -> None:
    names: dict[str, Any] = {}
    exec(block("python", "is_genuine"), names)
    is_genuine = names["is_genuine"]

    assert is_genuine(SECRET, signed(), BODY)
    assert not is_genuine(SECRET, signed(), BODY + b" ")
    assert not is_genuine(SECRET, {**signed(), "webhook-id": "a2"}, BODY)
    assert not is_genuine(SECRET, signed(age=400), BODY)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_shown_tells_genuine_requests_from_others() -> None:
    def is_genuine(headers: dict[str, str], body: bytes) -> bool:
        call = f"isGenuine({json.dumps(SECRET)}, {json.dumps(headers)}, Buffer.from({list(body)}))"
        script = f"{block('js', 'isGenuine')}\nconsole.log({call})"
        ran = subprocess.run(["node", "-e", script], capture_output=True, check=True, timeout=180)
        return ran.stdout.strip() == b"true"

    assert is_genuine(signed(), BODY)
    assert not is_genuine(signed(), BODY + b" ")
    assert not is_genuine(signed(age=400), BODY)


def test_the_commands_shown_are_understood(database_url: str, db_schema: str) -> None:
    billing = {"kind": "webhook", "name": "billing", "url": "http://127.0.0.1:9/"}
    environment = {
        **os.environ,
        **server_environment(database_url, db_schema),
        "RUNSTORE_SINKS": json.dumps([billing]),
    }
    lines = [line.removeprefix("$ ") for line in block("console", "sinks ls").splitlines()]

    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        done = subprocess.run(
            [sys.executable, "-m", "runstore_server", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

        assert program == "runstore"
        if "--id" in arguments:  # nothing was given up here
            assert done.returncode == 4, line
            assert "17" in done.stdout + done.stderr
        else:
            assert done.returncode == 0, line + done.stderr


async def test_the_publication_shown_has_the_tables_that_debezium_is_to_read(
    database_url: str, db_schema: str
) -> None:
    shown = block("sql", "CREATE PUBLICATION")
    name = f"{db_schema}_docs"
    create = shown.replace("PUBLICATION runstore", f"PUBLICATION {name}")
    create = create.replace("runstore.", f"{db_schema}.")
    properties = dict(line.split("=") for line in block("properties", "pgoutput").splitlines())
    conn = await connect(database_url, schema=db_schema, name="test")
    try:
        await conn.execute(create)
        tables = await conn.fetch(
            "SELECT tablename FROM pg_publication_tables WHERE pubname = $1", name
        )
        keys = [each.split(":") for each in properties["message.key.columns"].split(";")]
        for table, column in keys:
            await conn.execute(
                f"SELECT {column} FROM {table.replace('runstore.', f'{db_schema}.')} LIMIT 0"
            )
    finally:
        await conn.execute(f"DROP PUBLICATION IF EXISTS {name}")
        await conn.close()

    included = properties["table.include.list"].split(",")
    assert sorted(included) == sorted(f"runstore.{each['tablename']}" for each in tables)
    assert properties["publication.name"] == shown.split()[2]
