"""An HTTP client of a running server, and servers of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import runstore
from conftest import make_served_store
from runstore_server.app import App

if TYPE_CHECKING:
    from runstore_server.settings import Settings
    from runstore_storage.postgres import PostgresStore

TIMEOUT = 30


@pytest_asyncio.fixture
async def http(running_server: tuple[str, str], project: str) -> AsyncIterator[httpx.AsyncClient]:
    """Reads the test's project."""
    async with httpx.AsyncClient(
        base_url=f"http://{running_server[1]}",
        headers={"X-Runstore-Project": project},
        timeout=TIMEOUT,
    ) as client:
        yield client


@dataclass(frozen=True)
class Own:
    """A server of one test's own, with its store and clients of it."""

    app: App
    store: PostgresStore
    http: httpx.AsyncClient
    client: runstore.AsyncClient


OwnServer = Callable[..., AbstractAsyncContextManager[Own]]


@pytest.fixture
def own_server(settings: Settings, database_url: str, db_schema: str, project: str) -> OwnServer:
    @asynccontextmanager
    async def serving(schema: str = db_schema, **changed: Any) -> AsyncIterator[Own]:
        store = make_served_store(database_url, schema)
        app = App(settings.model_copy(update=changed), store)
        address = await app.start()
        async with (
            runstore.connect(address, project=project) as client,
            httpx.AsyncClient(
                base_url=f"http://{app.http_address}",
                headers={"X-Runstore-Project": project},
                timeout=TIMEOUT,
            ) as http,
        ):
            yield Own(app, store, http, client)
        if not app._lifecycle.draining.is_set():
            await app.drain()

    return serving
