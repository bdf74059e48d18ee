"""The database, for commands that work on it directly. Servers may keep running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop
from runstore_migrations import schema
from runstore_storage.postgres import PostgresStore

from runstore_server.app import open_store
from runstore_server.cli.failures import exit_on_failure, failed
from runstore_server.settings import Settings

T = TypeVar("T")


def database_url(settings: Settings) -> str:
    """The database that the settings name; exit with 1 where they name none.

    No command but `dev` falls back on a database: an empty one would look like lost data.
    """
    if not settings.database_url:  # unset, or empty as where another variable was to fill it in
        raise failed(
            "RUNSTORE_DATABASE_URL is not set: set it to the URL of your Postgres"
            " (postgresql://user@host/database), or try runstore out with `runstore dev`, which"
            " starts a Postgres by itself"
        )
    return settings.database_url


def run_with_store(
    settings: Settings, work: Callable[[PostgresStore], Coroutine[object, object, T]]
) -> T:
    """Do some work on the settings' store; its schema must be the one this release needs."""
    url = database_url(settings)

    async def run() -> T:
        store = open_store(settings, url)
        try:
            return await work(store)
        finally:
            await store.close()

    with exit_on_failure():
        asyncio.run(schema.check(url, settings.db_schema))
        return uvloop.run(run())
