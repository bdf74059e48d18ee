"""Statistics as messages, and back."""

from __future__ import annotations

from datetime import date

from runstore.v1 import statistics_pb2 as rpc
from runstore.values.statistics import Dimension, StatisticsFields, StatisticsRow
from runstore.wire.events import usage_value


def dimension_message(dimension: Dimension) -> rpc.StatisticsDimension.ValueType:
    return rpc.StatisticsDimension.Value(f"STATISTICS_DIMENSION_{dimension.upper()}")


def filter_message(fields: StatisticsFields) -> rpc.StatisticsFilter:
    from_day, to_day = fields.get("from_day"), fields.get("to_day")
    return rpc.StatisticsFilter(
        run_ids=fields.get("run_ids", ()),
        plan_id=fields.get("plan_id", ""),
        labels=fields.get("labels", {}),
        tags=fields.get("tags", ()),
        types=fields.get("types", ()),
        models=fields.get("models", ()),
        tools=fields.get("tools", ()),
        node_ids=fields.get("node_ids", ()),
        from_day=from_day.isoformat() if from_day else "",
        to_day=to_day.isoformat() if to_day else "",
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
