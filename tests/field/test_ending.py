"""A server that is to end while its database does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import runstore
from database import data_folder
from e2e.servers import ServerProcess
from field.postgres import PostgresServer
from runstore_migrations import schema


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with data_folder() as folder:
        folder.chmod(0o711)
        server = PostgresServer(folder).create("--encoding=UTF8", "--locale=C").start()
        asyncio.run(schema.upgrade(server.url, "runstore"))
        yield server
        server.thaw()
        server.stop()


def test_a_server_ends_although_the_database_is_frozen(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    server = ServerProcess(
        log,
        {
            "RUNSTORE_DATABASE_URL": postgres.url,
            "RUNSTORE_DB_SCHEMA": "runstore",
            "RUNSTORE_DRAIN_SECONDS": "2",
        },
    )
    server.start()
    try:
        server.wait_until_serving()
        with runstore.Client(server.target, project="acme", timeout=60) as client:
            client.save_run("r", run_id="run")
        postgres.freeze()
        with (
            runstore.Client(server.target, project="acme", timeout=2) as client,
            suppress(runstore.RunstoreError),
        ):
            client.run("run").append("tick")
        assert server.stop() == 0, log.read_text()
    finally:
        server.kill()
