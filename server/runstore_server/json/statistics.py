"""Rows of statistics."""

from __future__ import annotations

from collections.abc import Mapping

import runstore
from runstore_storage.contract.statistics import StatisticsRow

from runstore_server.json.events import usage_value
from runstore_server.json.writing import JsonObject


def statistics_row_value(
    keys: Mapping[str, str], row: StatisticsRow | runstore.StatisticsRow
) -> JsonObject:
    """A row after its keys, each named for what it groups by."""
    return {
        **keys,
        "events": row.events,
        "errors": row.errors,
        "tool_calls": row.tool_calls,
        "runs": row.runs,
        "usage": usage_value(row.usage),
    }
