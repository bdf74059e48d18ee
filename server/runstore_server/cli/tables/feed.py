"""Consumers of the feed."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from runstore import Consumer

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table


def print_consumers(found: Sequence[Consumer]) -> None:
    if not found:
        typer.echo("no consumers")
        return
    rows = (
        (
            each.name,
            str(each.position),
            str(max(each.last_position - each.position, 0)),
            time_cell(each.committed_at),
        )
        for each in found
    )
    headings = ("consumer", "position", "lag, at most", "committed")
    print_table(headings, rows, numbers=("position", "lag, at most"))
