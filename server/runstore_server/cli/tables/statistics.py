"""Statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import typer
from runstore import StatisticsRow

from runstore_server.cli.tables.layout import print_table

_FIGURES = ("events", "errors", "tool calls", "runs", "in", "cached", "out", "cost", "time")


def print_statistics(
    headings: Sequence[str], found: Sequence[tuple[Mapping[str, str], StatisticsRow]]
) -> None:
    """A table of rows with their keys, which are in the order of the headings."""
    if not found:
        typer.echo("nothing counted")
        return
    rows = ((*(each or "-" for each in keys.values()), *_figures(row)) for keys, row in found)
    print_table((*headings, *_FIGURES), rows, numbers=_FIGURES)


def _figures(row: StatisticsRow) -> list[str]:
    usage = row.usage
    counts = (row.events, row.errors, row.tool_calls, row.runs)
    tokens = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)
    return [
        *(f"{each:,}" for each in (*counts, *tokens)),
        f"${usage.cost_micros / 1e6:,.4f}",
        str(timedelta(seconds=round(usage.duration.total_seconds()))),
    ]
