"""Holds."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import Hold, RunSelection

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table


def print_holds(holds: Sequence[Hold]) -> None:
    """What each holds, why, and whether it still does."""
    if not holds:
        typer.echo("no holds")
        return
    rows = (
        (
            hold.hold_id,
            held_text(hold),
            time_cell(hold.placed_at),
            Text("released", style="red") if hold.released_at else Text("holds", style="green"),
            str(hold.placed_by),
            hold.reason,
        )
        for hold in holds
    )
    print_table(("id", "holds", "placed", "state", "by", "reason"), rows, text_width=16)


def held_text(hold: Hold) -> str:
    """What is held, in words."""
    return f"run {hold.run_id}" if hold.filter is None else selected_text(hold.filter)


def selected_text(where: RunSelection) -> str:
    """The runs that are selected, in words."""
    conditions = [
        *(["status " + "|".join(map(str, where.statuses))] if where.statuses else []),
        *([f"plan {where.plan_id}"] if where.plan_id else []),
        *(f"tag {tag}" for tag in where.tags),
        *(f"label {name}={value}" for name, value in where.labels.items()),
    ]
    return "runs with " + ", ".join(conditions) if conditions else "all runs"
