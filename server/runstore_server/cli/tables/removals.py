"""Removals."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import Removal, RemovalState

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table

_STYLES = {
    RemovalState.REMOVING: "yellow",
    RemovalState.DONE: "green",
    RemovalState.STOPPED: "red",
}


def print_removals(removals: Sequence[Removal]) -> None:
    """What was removed, by which record, and whether all of it is gone."""
    if not removals:
        typer.echo("no removals")
        return
    rows = (
        (
            removal.removal_id,
            str(removal.kind),
            f"{removal.first_seq}-{removal.last_seq}" if removal.last_seq else "",
            time_cell(removal.at),
            Text(str(removal.state), style=_STYLES.get(removal.state, "")),
            str(removal.record),
            removal.birth.hex(),
        )
        for removal in removals
    )
    titles = ("id", "of", "events", "at", "state", "record", "birth")
    print_table(titles, rows, text_width=16)
