"""What `pytest_plugins = ["runstore.testing"]` adds to a test session.

One server serves the session. Each test has its own project, so tests see only what they wrote, and
may run in any order or, with a server for each worker, in parallel.
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
    """The address, host:port, of a server that runs as long as the test session."""
    with server() as address:
        yield address


@pytest.fixture
def runstore_project() -> str:
    """A project that only this test uses; the clients below are clients of it."""
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
