"""How statistics look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import Dimension, StatisticsRow

from runstore_server.cli.tables.runs import console

_FIGURES = ("events", "errors", "tool calls", "runs", "in", "cached", "out", "cost", "time")


def rows(
    found: Sequence[StatisticsRow], by: Sequence[Dimension], label_key: str, *, as_json: bool
) -> None:
    """A table, or a JSON object a line."""
    if as_json:
        for row in found:
            typer.echo(json.dumps(_json(row, by, label_key)))
        return
    if not found:
        typer.echo("nothing counted")
        return
    headings = [*by, *([label_key] if label_key else [])]
    table = Table(
        *(Column(Text(each), overflow="fold") for each in headings),
        *(Column(each, justify="right", no_wrap=True) for each in _FIGURES),
        box=None,
    )
    for row in found:
        keys = _keys(row, by, label_key).values()
        table.add_row(*(Text(each or "-") for each in keys), *_figures(row))
    console.print(table)


def _keys(row: StatisticsRow, by: Sequence[Dimension], label_key: str) -> dict[str, str]:
    values: dict[Dimension, tuple[str, str]] = {
        "run": ("run_id", row.run_id),
        "node": ("node_id", row.node_id),
        "model": ("model", row.model),
        "tool": ("tool", row.tool),
        "type": ("type", row.type),
        "day": ("day", row.day.isoformat() if row.day else ""),
    }
    keys = dict(values[each] for each in by)
    return keys | ({"label_value": row.label_value} if label_key else {})


def _figures(row: StatisticsRow) -> list[str]:
    usage = row.usage
    counts = (row.events, row.errors, row.tool_calls, row.runs)
    tokens = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)
    return [
        *(f"{each:,}" for each in (*counts, *tokens)),
        f"${usage.cost_micros / 1e6:,.4f}",
        str(timedelta(seconds=round(usage.duration.total_seconds()))),
    ]


def _json(row: StatisticsRow, by: Sequence[Dimension], label_key: str) -> dict[str, object]:
    usage = row.usage
    return {
        **_keys(row, by, label_key),
        "events": row.events,
        "errors": row.errors,
        "tool_calls": row.tool_calls,
        "runs": row.runs,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cost_micros": usage.cost_micros,
        "duration_us": round(usage.duration / timedelta(microseconds=1)),
    }
