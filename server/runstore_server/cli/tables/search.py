"""Hits of a search."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import SearchHit

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import time_cell

_MATCHED = "bold yellow"


def print_hits(found: Sequence[SearchHit]) -> None:
    """A table of the hits, with the matches highlighted."""
    if not found:
        typer.echo("nothing found")
        return
    table = Table(Column("run", no_wrap=True), Column("seq", justify="right"), "recorded", "text")
    for hit in found:
        table.add_row(Text(hit.run_id), str(hit.seq), time_cell(hit.recorded_at), _snippet(hit))
    console.print(table)


def _snippet(hit: SearchHit) -> Text:
    shown = Text(hit.snippet)
    for start, length in hit.highlights:
        shown.stylize(_MATCHED, start, start + length)
    return shown
