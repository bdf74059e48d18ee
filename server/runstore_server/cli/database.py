"""The store, for commands that work on the database directly. Servers may keep running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop
from runstore_migrations import schema
from runstore_storage.postgres import PostgresStore

from runstore_server.app import open_store
from runstore_server.cli.environment import database_url
from runstore_server.cli.server_failures import exit_on_failure
from runstore_server.settings import Settings

T = TypeVar("T")


def run_with_store(
    settings: Settings,
    work: Callable[[PostgresStore], Coroutine[object, object, T]],
    *,
    url_of: Callable[[Settings], str] = database_url,
) -> T:
    """Do some work on the settings' store; its schema must be the one this release needs."""
    url = url_of(settings)

    async def run() -> T:
        store = open_store(settings, url)
        try:
            return await work(store)
        finally:
            await store.close()

    with exit_on_failure():
        asyncio.run(schema.check(url, settings.db_schema))
        return uvloop.run(run())
