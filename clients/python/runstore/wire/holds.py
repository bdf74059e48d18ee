"""Holds as messages, and back."""

from __future__ import annotations

from runstore.arguments import instance, items
from runstore.v1 import admin_pb2, runs_pb2
from runstore.values.holds import Hold, RunSelection
from runstore.values.runs import RunStatus
from runstore.wire.admin import principal_value
from runstore.wire.messages import message_at
from runstore.wire.times import optional_time, time_value


def selection_message(where: RunSelection | None) -> admin_pb2.RunSelection | None:
    if where is None:
        return None
    instance(where, RunSelection, "filter")
    statuses = items(where.statuses, RunStatus, "filter.statuses")
    return message_at(
        "filter.",
        admin_pb2.RunSelection,
        statuses=[runs_pb2.RunStatus.ValueType(each) for each in statuses],
        plan_id=where.plan_id,
        tags=where.tags,
        labels=where.labels,
    )


def hold_value(message: admin_pb2.Hold) -> Hold:
    return Hold(
        hold_id=message.hold_id,
        run_id=message.run_id,
        filter=selection_value(message.filter) if message.HasField("filter") else None,
        reason=message.reason,
        placed_by=principal_value(message.placed_by),
        placed_at=time_value(message.placed_at),
        released_by=principal_value(message.released_by)
        if message.HasField("released_by")
        else None,
        released_at=optional_time(message, "released_at"),
    )


def selection_value(message: admin_pb2.RunSelection) -> RunSelection:
    return RunSelection(
        tuple(RunStatus(each) for each in message.statuses),
        message.plan_id,
        tuple(message.tags),
        dict(message.labels),
    )
