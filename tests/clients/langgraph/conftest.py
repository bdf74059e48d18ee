"""A server in a separate process, and savers on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from conftest import server_environment
from e2e.servers import ServerProcess
from runstore.langgraph import RunstoreSaver


@pytest.fixture(scope="session")
def served(
    database_url: str, db_schema: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that synchronous calls can wait for."""
    environment = server_environment(database_url, db_schema)
    made = ServerProcess(tmp_path_factory.mktemp("served") / "server.log", environment)
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


@pytest.fixture
def new_saver(served: ServerProcess, project: str) -> Iterator[Callable[..., RunstoreSaver]]:
    """Makes independent savers of the test's project, as separate processes would have."""
    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(
            RunstoreSaver(served.target, project=project, **given)
        )


@pytest.fixture
def saver(new_saver: Callable[..., RunstoreSaver]) -> RunstoreSaver:
    return new_saver()
