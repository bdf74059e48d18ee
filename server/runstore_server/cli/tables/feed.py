"""Consumers of the feed."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Table
from rich.text import Text
from runstore import Consumer

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import time_cell


def print_consumers(found: Sequence[Consumer]) -> None:
    if not found:
        typer.echo("no consumers")
        return
    table = Table("consumer", "position", "lag, at most", "committed", box=None)
    for each in found:
        lag = str(each.last_position - each.position)
        table.add_row(Text(each.name), str(each.position), lag, time_cell(each.committed_at))
    console.print(table)
