"""A server is not open to other hosts in plain text, or to anybody, unless that was chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_served_store
from runstore_server.app import App
from runstore_server.cli.exits import ExitCode
from runstore_server.edge.listening import Exposed, is_loopback
from runstore_server.settings import Settings

PAIR = {"tls_cert_file": Path("cert.pem"), "tls_key_file": Path("key.pem")}


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("host.example", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_host_reaches(host: str, is_here: bool) -> None:
    assert is_loopback(host) == is_here


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "::"},
        {"http_host": "10.0.0.1"},
        {"host": "::", "auth": "required"},
        {"host": "::", **PAIR},
        {"host": "::", **PAIR, "tls_client_ca_file": Path("ca.pem")},
    ],
)
async def test_a_server_for_others_needs_tls_and_auth(
    settings: Settings, database_url: str, db_schema: str, changed: dict[str, object]
) -> None:
    store = make_served_store(database_url, db_schema)

    with pytest.raises(Exposed, match=r"RUNSTORE_TLS_CERT_FILE .* RUNSTORE_AUTH=required"):
        App(settings.model_copy(update=changed), store)

    await store.close()


async def test_a_server_for_others_in_plain_text_can_be_chosen(
    settings: Settings, database_url: str, db_schema: str
) -> None:
    update = {"host": "0.0.0.0", "allow_insecure": True}
    server = App(settings.model_copy(update=update), make_served_store(database_url, db_schema))

    assert await server.start()
    await server.drain()


def test_the_command_says_so_in_one_line(database_url: str, db_schema: str) -> None:
    command = [sys.executable, "-m", "runstore_server", "serve", "--host", "0.0.0.0"]
    environment = {"RUNSTORE_DATABASE_URL": database_url, "RUNSTORE_DB_SCHEMA": db_schema}

    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == ExitCode.FAILED
    assert len(done.stderr.splitlines()) == 1
    assert "RUNSTORE_ALLOW_INSECURE=true" in done.stderr
