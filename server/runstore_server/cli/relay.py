"""runstore relay."""

from __future__ import annotations

import asyncio
import signal

import typer
from runstore_storage.postgres import PostgresStore

from runstore_server import logs
from runstore_server.cli.database import run_with_store
from runstore_server.cli.environment import settings_of
from runstore_server.relay.ending import end
from runstore_server.relay.relay import relay_of
from runstore_server.settings import Settings


def relay() -> None:
    """Publish, count, index and deliver events without serving.

    Servers do this too unless RUNSTORE_RELAY=false: one process at a time holds each duty, and the
    others stand by. On SIGTERM it publishes what is committed and stops.
    """
    settings = settings_of()
    logs.configure(settings)
    run_with_store(settings, lambda store: _relay(settings, store))


async def _relay(settings: Settings, store: PostgresStore) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    working = relay_of(settings, store)
    working.start()
    typer.echo("runstore relays")
    await stopping.wait()
    await end(working, store, settings.drain_seconds)
