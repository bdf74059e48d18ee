"""Holds, and the selections of runs that they hold."""

from __future__ import annotations

from runstore.v1 import admin_pb2, runs_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.heads import RunStatus
from runstore_storage.contract.holds import Hold, NewHold, RunSelection

from runstore_server.convert.admin import principal_message
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp


def new_hold_of(request: rpc.PlaceHoldRequest) -> NewHold:
    return NewHold(
        project=project_of(request.project),
        reason=request.reason,
        run_id=request.run_id,
        where=selection_of(request.filter),
    )


def selection_of(message: admin_pb2.RunSelection) -> RunSelection:
    return RunSelection(
        statuses=tuple(RunStatus(each) for each in message.statuses),
        plan_id=message.plan_id,
        tags=tuple(message.tags),
        labels=dict(message.labels),
    )


def selection_message(where: RunSelection) -> admin_pb2.RunSelection:
    return admin_pb2.RunSelection(
        statuses=[runs_pb2.RunStatus.ValueType(each) for each in where.statuses],
        plan_id=where.plan_id,
        tags=where.tags,
        labels=where.labels,
    )


def hold_message(hold: Hold) -> admin_pb2.Hold:
    message = admin_pb2.Hold(
        hold_id=hold.hold_id,
        reason=hold.reason,
        placed_by=principal_message(hold.placed_by),
        placed_at=timestamp(hold.placed_at),
        released_by=principal_message(hold.released_by) if hold.released_by else None,
        released_at=timestamp(hold.released_at) if hold.released_at else None,
    )
    if hold.run_id:
        message.run_id = hold.run_id
    else:
        message.filter.CopyFrom(selection_message(hold.where))
    return message
