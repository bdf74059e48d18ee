"""Artifacts."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import Artifact

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import time_cell

SHORT_DIGEST = 12


def print_artifacts(found: Sequence[Artifact]) -> None:
    if not found:
        typer.echo("no artifacts")
        return
    table = Table("created", "run", "name", Column("version", justify="right"), "type", box=None)
    table.add_column("size", justify="right")
    table.add_column("where")
    for each in found:
        table.add_row(
            time_cell(each.created_at),
            Text(each.run_id),
            Text(each.name),
            str(each.version),
            Text(each.type),
            "-" if each.size is None else str(each.size),
            Text(each.url or f"sha256 {each.sha256.hex()[:SHORT_DIGEST]}"),
        )
    console.print(table)
