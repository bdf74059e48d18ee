"""Calls about snapshots and task writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstore.arguments import InvalidArgument
from runstore.calls.call import RUNS, Call, Page
from runstore.ids import new_id
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import NewEvent
from runstore.values.runs import RunRef
from runstore.values.snapshots import (
    Snapshot,
    SnapshotFields,
    SnapshotListing,
    SnapshotPut,
    SnapshotsDeleted,
    TaskWrite,
)
from runstore.wire.events import event_messages
from runstore.wire.messages import message_of
from runstore.wire.payloads import payload_message
from runstore.wire.snapshots import (
    deleted_value,
    found_value,
    listed_values,
    put_value,
    snapshot_message,
    task_write_messages,
)


def put_snapshot(
    run: RunRef,
    fields: SnapshotFields,
    events: Sequence[NewEvent],
    task_writes: Sequence[TaskWrite],
    expected_seq: int | None,
) -> Call[SnapshotPut]:
    request = message_of(
        rpc.PutSnapshotRequest,
        project=run.project,
        run_id=run.run_id,
        snapshot=snapshot_message(fields, ""),
        events=event_messages(events),
        task_writes=task_write_messages(task_writes, "task_writes"),
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
        # By a snapshot's own id a repeated put is recognised from another process too.
        request_id="" if fields.get("snapshot_id") else new_id(),
    )
    return Call(RUNS, "PutSnapshot", request, put_value)


def put_task_writes(run: RunRef, writes: Sequence[TaskWrite], namespace: str) -> Call[bool]:
    request = message_of(
        rpc.PutTaskWritesRequest,
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        writes=task_write_messages(writes, "writes"),
        writer_epoch=run.writer_epoch,
    )
    return Call(RUNS, "PutTaskWrites", request, lambda response: bool(response.deduplicated))


def get_snapshot(
    run: RunRef,
    namespace: str,
    snapshot_id: str | None = None,
    plan_version_id: str | None = None,
    at_seq: int | None = None,
) -> Call[Snapshot]:
    given = {"snapshot_id": snapshot_id, "plan_version_id": plan_version_id, "at_seq": at_seq}
    selected: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if len(selected) > 1:
        raise InvalidArgument(" and ".join(selected), "only one of them selects a snapshot")
    request = message_of(
        rpc.GetSnapshotRequest,
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        **selected,
    )
    return Call(RUNS, "GetSnapshot", request, found_value)


def list_snapshots(
    run: RunRef, where: SnapshotListing, page_token: str, limit: int = 0
) -> Call[Page[Snapshot]]:
    request = message_of(
        rpc.ListSnapshotsRequest,
        project=run.project,
        run_id=run.run_id,
        namespace=where.get("namespace"),
        before=where.get("before", ""),
        id_below=where.get("id_below", ""),
        metadata=payload_message(where.get("metadata"), "metadata"),
        with_parts=where.get("with_parts", False),
        with_task_writes=where.get("with_task_writes", False),
        limit=limit,
        page_token=page_token,
    )
    return Call(RUNS, "ListSnapshots", request, listed_values)


def delete_snapshots(
    run: RunRef, snapshot_ids: Sequence[str], namespace: str
) -> Call[SnapshotsDeleted]:
    request = message_of(
        rpc.DeleteSnapshotsRequest,
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        snapshot_ids=snapshot_ids,
        writer_epoch=run.writer_epoch,
    )
    return Call(RUNS, "DeleteSnapshots", request, deleted_value)
