"""Figures as one table, for a terminal or for a document."""

from __future__ import annotations

from typing import Any

from rich.table import Table

WIDTH = 160
HEADS = ("figure", "median", "spread", "baseline", "median", "spread", "ratio", "target", "met")


def of(records: list[dict[str, Any]]) -> Table:
    table = Table(*HEADS, box=None)
    for each in records:
        table.add_row(*cells(each))
    return table


def cells(record: dict[str, Any]) -> tuple[str, ...]:
    """A figure's line."""
    return (
        record["figure"],
        f"{_number(record['value'])} {record['unit']}",
        _percent(record["spread_percent"]),
        record["baseline"],
        _number(record["baseline_value"]),
        _percent(record["baseline_spread_percent"]),
        _number(record["ratio"]),
        record["target"],
        {True: "yes", False: "NO", None: ""}[record["is_met"]],
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"
