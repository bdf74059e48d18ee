"""Statistics as messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import get_args

from runstore.arguments import InvalidArgument, instance, not_of, sequence
from runstore.v1 import statistics_pb2 as rpc
from runstore.values.statistics import Dimension, StatisticsFields, StatisticsRow
from runstore.wire.events import usage_value
from runstore.wire.messages import message_of


def dimension_messages(by: Sequence[Dimension]) -> list[rpc.StatisticsDimension.ValueType]:
    """The messages of the argument `by`."""
    known = get_args(Dimension)
    for index, each in enumerate(sequence(by, "dimensions", "by")):
        if each not in known:
            raise InvalidArgument(f"by[{index}]", f"must be one of {', '.join(known)}, is {each!r}")
    return [rpc.StatisticsDimension.Value(f"STATISTICS_DIMENSION_{each.upper()}") for each in by]


def _day(day: date | None, name: str) -> str:
    if day is None:
        return ""
    if isinstance(day, datetime):
        raise not_of("date", day, name)
    return instance(day, date, name).isoformat()


def filter_message(fields: StatisticsFields) -> rpc.StatisticsFilter:
    return message_of(
        rpc.StatisticsFilter,
        run_ids=fields.get("run_ids", ()),
        plan_id=fields.get("plan_id", ""),
        labels=fields.get("labels", {}),
        tags=fields.get("tags", ()),
        types=fields.get("types", ()),
        models=fields.get("models", ()),
        tools=fields.get("tools", ()),
        node_ids=fields.get("node_ids", ()),
        from_day=_day(fields.get("from_day"), "from_day"),
        to_day=_day(fields.get("to_day"), "to_day"),
    )


def row_value(message: rpc.StatisticsRow) -> StatisticsRow:
    return StatisticsRow(
        message.run_id,
        message.node_id,
        message.model,
        message.tool,
        message.type,
        date.fromisoformat(message.day) if message.day else None,
        message.label_value,
        message.events,
        message.errors,
        message.tool_calls,
        message.runs,
        usage_value(message.usage),
    )
