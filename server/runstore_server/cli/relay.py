"""runstore relay, runstore statistics."""

from __future__ import annotations

import asyncio
import signal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from runstore_storage.feed_store import EVERY_PROJECT
from runstore_storage.postgres import PostgresStore

from runstore_server import logs
from runstore_server.cli.opened import run_with_store
from runstore_server.relay import Relay
from runstore_server.settings import Settings

statistics = typer.Typer(help="Look after what statistics are read from.", no_args_is_help=True)


def relay() -> None:
    """Publish, count and deliver events, without serving.

    Every server does this too unless RUNSTORE_RELAY=false; whoever comes first does it, and the
    others stand by. SIGTERM publishes what is committed and stops.
    """
    settings = Settings()
    logs.configure(settings)
    run_with_store(settings, lambda store: _relay(settings, store))


@statistics.command()
def rebuild() -> None:
    """Empty the usage counts and count every published event again.

    Servers may go on meanwhile; statistics are incomplete until it is done.
    """
    with Progress(
        "counting entries of the feed",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        transient=True,
    ) as progress:
        counted = run_with_store(Settings(), lambda store: _rebuild(store, progress))
    typer.echo(f"counted {counted} entries")


async def _relay(settings: Settings, store: PostgresStore) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    working = Relay(store.feed, settings.sinks, poll_seconds=settings.poll_interval)
    working.start()
    typer.echo("runstore relays")
    await stopping.wait()
    await working.stop(settings.drain_seconds)


async def _rebuild(store: PostgresStore, progress: Progress) -> int:
    holder = "runstore statistics rebuild"
    await store.feed.forget_usage(holder)
    last = (await store.feed.read_feed(EVERY_PROJECT, 1, limit=1)).last_position
    task, counted = progress.add_task("", total=last), 0
    while position := await store.feed.count_usage(holder):
        await store.feed.hold_duty("usage counts", holder)
        counted = position
        progress.update(task, completed=position, total=max(last, position))
    return counted
