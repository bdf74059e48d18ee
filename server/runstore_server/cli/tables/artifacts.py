"""Artifacts."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from runstore import Artifact

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table

SHORT_DIGEST = 12


def print_artifacts(found: Sequence[Artifact]) -> None:
    if not found:
        typer.echo("no artifacts")
        return
    rows = (
        (
            each.name,
            str(each.version),
            each.run_id,
            each.type or "-",
            "-" if each.size is None else f"{each.size:,}",
            time_cell(each.created_at),
            each.url or f"sha256 {each.sha256.hex()[:SHORT_DIGEST]}",
        )
        for each in found
    )
    headings = ("name", "version", "run", "type", "bytes", "created", "where")
    print_table(headings, rows, numbers=("version", "bytes"))
