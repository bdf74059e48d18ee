"""What `pytest_plugins = ["runstore.testing"]` adds to a test session.

One server serves the session; each test has a project of its own, so tests see only what they
wrote and may run in any order or, one server a worker, in parallel.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio

from runstore.aio import AsyncClient, connect
from runstore.sync import Client
from runstore.testing import server


@pytest.fixture(scope="session")
def runstore_server() -> Iterator[str]:
    """The address, host:port, of a server that lives as long as the test session."""
    with server() as address:
        yield address


@pytest.fixture
def runstore_project() -> str:
    """A project of this test alone; the clients below are the project's."""
    return f"test/{uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def runstore_client(
    runstore_server: str, runstore_project: str
) -> AsyncIterator[AsyncClient]:
    """An asynchronous client of the test's project."""
    async with connect(runstore_server, project=runstore_project) as client:
        yield client


@pytest.fixture
def runstore_sync_client(runstore_server: str, runstore_project: str) -> Iterator[Client]:
    """A synchronous client of the test's project."""
    with Client(runstore_server, project=runstore_project) as client:
        yield client
