"""Commands that work on the database itself, beside the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop
from runstore_migrations import schema
from runstore_storage.postgres import PostgresStore

from runstore_server.app import open_store
from runstore_server.cli.failures import database_url, explained
from runstore_server.settings import Settings

T = TypeVar("T")


def run_with_store(
    settings: Settings, work: Callable[[PostgresStore], Coroutine[object, object, T]]
) -> T:
    """Do some work on the store of the settings, whose schema must be this release's."""
    url = database_url(settings)

    async def run() -> T:
        store = open_store(settings, url)
        try:
            return await work(store)
        finally:
            await store.close()

    with explained():
        asyncio.run(schema.check(url, settings.db_schema))
        return uvloop.run(run())
