"""Statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import StatisticsRow

from runstore_server.cli.printing import console

_FIGURES = ("events", "errors", "tool calls", "runs", "in", "cached", "out", "cost", "time")


def print_statistics(
    headings: Sequence[str], found: Sequence[tuple[Mapping[str, str], StatisticsRow]]
) -> None:
    """A table of rows with their keys, which are in the order of the headings."""
    if not found:
        typer.echo("nothing counted")
        return
    table = Table(
        *(Column(Text(each), overflow="fold") for each in headings),
        *(Column(each, justify="right", no_wrap=True) for each in _FIGURES),
        box=None,
    )
    for keys, row in found:
        table.add_row(*(Text(each or "-") for each in keys.values()), *_figures(row))
    console.print(table)


def _figures(row: StatisticsRow) -> list[str]:
    usage = row.usage
    counts = (row.events, row.errors, row.tool_calls, row.runs)
    tokens = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)
    return [
        *(f"{each:,}" for each in (*counts, *tokens)),
        f"${usage.cost_micros / 1e6:,.4f}",
        str(timedelta(seconds=round(usage.duration.total_seconds()))),
    ]
