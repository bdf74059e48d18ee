"""Hits of a search."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import SearchHit

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table, printable

_MATCHED = "bold yellow"


def print_hits(found: Sequence[SearchHit]) -> None:
    """A table of the hits, with the matches highlighted."""
    if not found:
        typer.echo("nothing found")
        return
    rows = ((hit.run_id, str(hit.seq), time_cell(hit.recorded_at), _snippet(hit)) for hit in found)
    print_table(("run", "seq", "recorded", "text"), rows, numbers=("seq",), text_width=40)


def _snippet(hit: SearchHit) -> Text:
    shown = Text(printable(hit.snippet))
    for start, length in hit.highlights:
        shown.stylize(_MATCHED, start, start + length)
    return shown
