"""Statistics: queries, and the rows of their answers."""

from __future__ import annotations

from datetime import date

from runstore.v1 import statistics_pb2
from runstore_storage.contract.statistics import (
    Dimension,
    StatisticsFilter,
    StatisticsQuery,
    StatisticsRow,
)

from runstore_server.convert.events import usage_message

# The field of a row that has the value of each dimension.
FIELDS = {
    Dimension.RUN: "run_id",
    Dimension.NODE: "node_id",
    Dimension.MODEL: "model",
    Dimension.TOOL: "tool",
    Dimension.TYPE: "type",
    Dimension.DAY: "day",
    Dimension.LABEL: "label_value",
}


def query_of(request: statistics_pb2.GetStatisticsRequest) -> StatisticsQuery:
    of_label = (Dimension.LABEL,) if request.label_key else ()
    return StatisticsQuery(
        where=_filter_of(request.filter, request.include_descendants),
        group_by=(*(Dimension(each) for each in request.group_by), *of_label),
        label_key=request.label_key,
        roll_up=request.roll_up_to_root,
    )


def keys_of(query: StatisticsQuery, row: StatisticsRow) -> dict[str, str]:
    """The row's values of the query's dimensions, by field."""
    return {FIELDS[dimension]: key for dimension, key in zip(query.group_by, row.keys, strict=True)}


def row_message(query: StatisticsQuery, row: StatisticsRow) -> statistics_pb2.StatisticsRow:
    message = statistics_pb2.StatisticsRow(
        events=row.events,
        errors=row.errors,
        tool_calls=row.tool_calls,
        runs=row.runs,
        usage=usage_message(row.usage),
    )
    for field, key in keys_of(query, row).items():
        setattr(message, field, key)
    return message


def _filter_of(
    message: statistics_pb2.StatisticsFilter, with_descendants: bool
) -> StatisticsFilter:
    return StatisticsFilter(
        run_ids=tuple(message.run_ids),
        with_descendants=with_descendants,
        plan_id=message.plan_id,
        labels=dict(message.labels),
        tags=tuple(message.tags),
        types=tuple(message.types),
        models=tuple(message.models),
        tools=tuple(message.tools),
        node_ids=tuple(message.node_ids),
        from_day=_day_of(message.from_day),
        to_day=_day_of(message.to_day),
    )


def _day_of(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
