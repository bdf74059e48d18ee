"""Fixtures of every test: a real Postgres, a store on it, a server over that, and stubs."""

from __future__ import annotations

import os

# Tests start processes while gRPC runs; its fork handlers are not made for that.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakSet

import grpc
import pytest
import pytest_asyncio
import runstore
from database import all_returned, drop_schema, make_schema, provided_database, served_url
from hypothesis import HealthCheck, settings
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App
from runstore_server.settings import Settings
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from scopes import bound_to_arguments

if TYPE_CHECKING:
    from runstore.v1.run_service_pb2_grpc import RunServiceAsyncStub


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and so would the processes that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long a machine takes fails no test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    with provided_database() as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def db_schema(database_url: str) -> AsyncIterator[str]:
    """A migrated schema that only this test session uses."""
    name = f"runstore_test_{os.getpid()}"
    await make_schema(database_url, name)
    yield name
    await drop_schema(database_url, name)
    shutil.rmtree(objects_folder(name), ignore_errors=True)


_made: WeakSet[PostgresStore] = WeakSet()
"""The stores of this process."""


def make_store(database_url: str, db_schema: str, **options: Any) -> PostgresStore:
    """A store without a server: each call may touch the project that it names."""
    made = make_served_store(database_url, db_schema, **options)
    bound_to_arguments(made)
    return made


def make_served_store(
    database_url: str,
    db_schema: str,
    *,
    poll_interval: float = 0.5,
    large_payloads: LargePayloads = LargePayloads(),  # noqa: B008 - frozen
    salted: bool = True,
    archive_url: str = "",
) -> PostgresStore:
    """A store for a server, which binds what each call may touch."""
    made = PostgresStore(
        served_url(database_url),
        schema=db_schema,
        pool_size=10,
        append_lanes=2,
        poll_interval=poll_interval,
        objects_url=objects_folder(db_schema).as_uri(),
        archive_url=archive_url,
        large_payloads=large_payloads,
        salted=salted,
    )
    _made.add(made)
    return made


def objects_folder(db_schema: str) -> Path:
    """Where a store on this schema keeps its objects."""
    return Path(tempfile.gettempdir()) / db_schema


def server_environment(database_url: str, db_schema: str) -> dict[str, str]:
    """Tells a server process of a schema and of its objects, which its duties have to read."""
    return {
        "RUNSTORE_DATABASE_URL": database_url,
        "RUNSTORE_DB_SCHEMA": db_schema,
        "RUNSTORE_OBJECTS_URL": objects_folder(db_schema).as_uri(),
    }


@pytest_asyncio.fixture(scope="session")
async def store(database_url: str, db_schema: str) -> AsyncIterator[PostgresStore]:
    opened = make_store(database_url, db_schema)
    yield opened
    await opened.close()


@pytest.fixture
async def own_schema(database_url: str) -> AsyncIterator[str]:
    """A migrated schema that only one test uses."""
    name = f"runstore_own_{uuid4().hex[:8]}"
    await make_schema(database_url, name)
    yield name
    await drop_schema(database_url, name)


@pytest.fixture
async def own(database_url: str, own_schema: str) -> AsyncIterator[PostgresStore]:
    """A store on a schema of its own: only the test writes to its feed, and nothing is relayed."""
    opened = make_store(database_url, own_schema, poll_interval=0.2)
    yield opened
    await opened.close()


@pytest.fixture
def own_is_open(request: pytest.FixtureRequest) -> None:
    """Make a test's own store before the check below is, so that it is checked before it closes."""
    if "own" in request.fixturenames:
        request.getfixturevalue("own")


@pytest_asyncio.fixture(autouse=True)
async def no_leaked_connection(own_is_open: None) -> AsyncIterator[None]:
    """A test that keeps a connection of any open store fails."""
    yield
    for each in list(_made):
        assert await all_returned(each._engine), "a connection was not returned"


@pytest.fixture
def settings(database_url: str, db_schema: str) -> Settings:
    return Settings(
        database_url=database_url, db_schema=db_schema, port=0, http_port=0, drain_seconds=5
    )


@pytest_asyncio.fixture(scope="session")
async def running_server(
    database_url: str, db_schema: str, store: PostgresStore
) -> AsyncIterator[tuple[str, str]]:
    """The gRPC and HTTP addresses of a server in this process, for tests that do not stop it."""
    settings = Settings(
        database_url=database_url, db_schema=db_schema, port=0, http_port=0, drain_seconds=1
    )
    server = App(settings, make_served_store(database_url, db_schema))
    address = await server.start()
    yield address, str(server.http_address)
    await server.drain()


@pytest.fixture(scope="session")
def server_address(running_server: tuple[str, str]) -> str:
    return running_server[0]


@pytest_asyncio.fixture(scope="session")
async def stub(server_address: str) -> AsyncIterator[RunServiceAsyncStub]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(server_address, options=options) as channel:
        yield RunServiceStub(channel)


@pytest.fixture
def project() -> str:
    """A tenant no other test writes to."""
    return f"test/{uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def client(server_address: str, project: str) -> AsyncIterator[runstore.AsyncClient]:
    async with runstore.connect(server_address, project=project, timeout=60) as connected:
        yield connected
