"""runstore search: the index that searches look through."""

from __future__ import annotations

import typer
from runstore_storage.contract.feed import SEARCH

from runstore_server.cli.rebuild import rebuild_with_bar

app = typer.Typer(help="Look after what searches look through.", no_args_is_help=True)


@app.callback()
def search() -> None:
    """Look after what searches look through."""


@app.command()
def rebuild() -> None:
    """Make all events of RUNSTORE_DATABASE_URL searchable anew, from the first on.

    Servers may go on: searches find what was done so far. Safe to stop; servers do the rest.
    """
    done = rebuild_with_bar(
        "rebuilding",
        SEARCH,
        lambda store: (store.search.forget_text, store.search.index_text),
    )
    typer.echo(f"{done} entries of the feed are searchable")
