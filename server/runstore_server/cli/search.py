"""runstore search: the index that searches read."""

from __future__ import annotations

import typer
from runstore_storage.contract.feed import SEARCH

from runstore_server.cli.rebuild import rebuild_with_bar

app = typer.Typer(help="Maintain the search index.", no_args_is_help=True)


@app.callback()
def search() -> None:
    """Maintain the search index."""


@app.command()
def rebuild() -> None:
    """Empty the search index and index every published event again.

    Servers may keep running: searches find what is indexed so far. If this is stopped, the servers
    do the rest. It is for the owner of the tables: RUNSTORE_DATABASE_OWNER_URL where that is set.
    """
    done = rebuild_with_bar(
        "indexing entries of the feed",
        SEARCH,
        lambda store: (store.search.forget_text, store.search.index_text),
    )
    typer.echo(f"{done} entries of the feed are searchable")
