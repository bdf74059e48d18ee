"""Servers in processes of their own on the session's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.servers import ServerProcess


@pytest.fixture
def environment(database_url: str, db_schema: str) -> dict[str, str]:
    return {
        "RUNSTORE_DATABASE_URL": database_url,
        "RUNSTORE_DB_SCHEMA": db_schema,
        "RUNSTORE_LOG_FORMAT": "json",
    }


@pytest.fixture
def server(tmp_path: Path, environment: dict[str, str]) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "server.log", environment)
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`runstore dev` in a new folder: nothing is recorded yet."""
    folder = tmp_path_factory.mktemp("dev")
    made = ServerProcess(folder / "server.log", {}, "dev", "--data-dir", str(folder / "data"))
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()
