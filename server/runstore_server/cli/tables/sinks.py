"""Sinks and their dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Table
from rich.text import Text
from runstore_storage.contract.feed import DeadLetter, FeedEntry

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import time_cell


def print_dead_letters(sink: str, found: Sequence[tuple[DeadLetter, FeedEntry | None]]) -> None:
    """The letters with their entries, which the feed may have no longer."""
    if not found:
        typer.echo(f"{sink} has no dead letters")
        return
    table = Table("id", "position", "run", "seq", "tries", "failed", "error", box=None)
    for letter, entry in found:
        table.add_row(
            str(letter.id),
            str(letter.position),
            Text(entry.run_id if entry else "-"),
            str(entry.recorded.seq) if entry else "-",
            str(letter.attempts),
            time_cell(letter.failed_at),
            Text(letter.error),
        )
    console.print(table)
