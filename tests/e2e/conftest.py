"""Servers in processes of their own on the session's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import server_environment
from e2e.servers import ServerProcess

GRPCURL = Path(__file__).parents[1] / "tools" / "install-grpcurl"


@pytest.fixture
def environment(database_url: str, db_schema: str) -> dict[str, str]:
    return server_environment(database_url, db_schema) | {"RUNSTORE_LOG_FORMAT": "json"}


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


@pytest.fixture(scope="session")
def tools() -> str:
    """A PATH with grpcurl and with buf."""
    done = subprocess.run([GRPCURL], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        reason = f"no grpcurl: {done.stderr.strip() or GRPCURL}"
        if os.environ.get("CI") or os.environ.get("TEST_REQUIRE_GRPCURL"):
            pytest.fail(reason)
        pytest.skip(reason)
    folders = (Path(done.stdout.strip()).parent, Path(sys.executable).parent, os.environ["PATH"])
    return os.pathsep.join(map(str, folders))
