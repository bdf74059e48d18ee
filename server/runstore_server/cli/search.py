"""runstore search: the index that searches look through."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from runstore_storage.feed_records import RELAY
from runstore_storage.search_records import SEARCH
from runstore_storage.store import Store

from runstore_server.cli.opened import run_with_store
from runstore_server.settings import Settings

POLL_SECONDS = 0.5

app = typer.Typer(help="Look after what searches look through.", no_args_is_help=True)


@app.callback()
def search() -> None:
    """Look after what searches look through."""


@app.command()
def rebuild() -> None:
    """Make all events of RUNSTORE_DATABASE_URL searchable anew, from the first on.

    Servers may go on: searches find what was done so far. Safe to stop; servers do the rest.
    """
    with Progress(
        "rebuilding", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    ) as progress:
        task = progress.add_task("rebuild", total=None)

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        done = run_with_store(Settings(), lambda store: rebuild_index(store, on_progress))
    typer.echo(f"{done} entries of the feed are searchable")


async def rebuild_index(store: Store, on_progress: Callable[[int, int], None]) -> int:
    """Start over, and return the feed's position at that time when all up to it is searchable.

    While another process has taken the duty it does the work, and this one looks on.
    """
    holder = f"{socket.gethostname()}/{os.getpid()}/rebuild"
    duties = {duty.name: duty.position for duty in await store.feed.list_duties()}
    total, done = duties.get(RELAY, 0), 0
    await store.search.forget_text(holder)
    try:
        while done < total:
            on_progress(done, total)
            if await store.feed.hold_duty(SEARCH, holder) is None:
                await asyncio.sleep(POLL_SECONDS)
                done = await store.search.indexed_position()
            else:
                done = await store.search.index_text(holder) or done
    finally:
        await store.feed.release_duty(SEARCH, holder)
    return total
