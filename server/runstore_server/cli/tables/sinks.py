"""Sinks and their dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from runstore_storage.contract.feed import DeadLetter, FeedEntry

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table


def print_dead_letters(sink: str, found: Sequence[tuple[DeadLetter, FeedEntry | None]]) -> None:
    """The letters with their entries, which the feed may have no longer."""
    if not found:
        typer.echo(f"{sink} has no dead letters")
        return
    rows = (
        (
            str(letter.id),
            str(letter.position),
            entry.run_id if entry else "-",
            str(entry.recorded.seq) if entry else "-",
            str(letter.attempts),
            time_cell(letter.failed_at),
            letter.error,
        )
        for letter, entry in found
    )
    headings = ("id", "position", "run", "seq", "tries", "failed", "error")
    print_table(headings, rows, numbers=("id", "position", "seq", "tries"), text_width=40)
