"""Snapshots and task writes."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Literal

from runstore.v1 import run_service_pb2, snapshots_pb2
from runstore_storage.contract.snapshots import (
    PlanNode,
    Snapshot,
    SnapshotReason,
    SnapshotSelector,
    StoredSnapshot,
    TaskWrite,
)

from runstore_server.convert.payloads import part_of, payload_message, payload_of
from runstore_server.convert.times import timestamp

MANY_ITEMS = 1000
NODE_PARTS: tuple[Literal["input_schema", "output_schema", "provenance", "state"], ...] = (
    "input_schema",
    "output_schema",
    "provenance",
    "state",
)


def snapshot_of(
    message: snapshots_pb2.Snapshot, default: SnapshotReason = SnapshotReason.CHECKPOINT
) -> Snapshot:
    """The snapshot; an unspecified reason becomes `default`."""
    return Snapshot(
        namespace=message.namespace,
        snapshot_id=message.snapshot_id,
        parent_snapshot_id=message.parent_snapshot_id,
        seq=message.seq,
        plan_version_id=message.plan_version_id,
        reason=SnapshotReason(message.reason) if message.reason else default,
        nodes=tuple(_node_of(node) for node in message.nodes),
        pending_node_ids=tuple(message.pending_node_ids),
        state={name: part_of(message.state[name]) for name in message.state},
        metadata=payload_of(message.metadata) if message.HasField("metadata") else None,
    )


def snapshot_message(stored: StoredSnapshot) -> snapshots_pb2.Snapshot:
    snapshot = stored.snapshot
    message = snapshots_pb2.Snapshot(
        run_id=stored.run_id,
        namespace=snapshot.namespace,
        snapshot_id=snapshot.snapshot_id,
        parent_snapshot_id=snapshot.parent_snapshot_id,
        seq=snapshot.seq,
        plan_version_id=snapshot.plan_version_id,
        reason=snapshots_pb2.SnapshotReason.ValueType(snapshot.reason),
        nodes=[_node_message(node) for node in snapshot.nodes],
        pending_node_ids=snapshot.pending_node_ids,
        metadata=payload_message(snapshot.metadata) if snapshot.metadata else None,
        created_at=timestamp(stored.created_at),
        content_hash=stored.content_hash,
        salt=stored.salt or b"",
    )
    for name, part in snapshot.state.items():
        message.state[name].CopyFrom(payload_message(part))
    return message


def are_many(snapshots: Iterable[StoredSnapshot | None], writes: Sized = ()) -> bool:
    """Whether making messages of them takes so long that other calls should go on beside it."""
    items = sum(each.snapshot.items + len(each.task_writes) for each in snapshots if each)
    return items + len(writes) > MANY_ITEMS


def task_write_of(message: snapshots_pb2.TaskWrite) -> TaskWrite:
    return TaskWrite(
        task_id=message.task_id,
        index=message.index,
        snapshot_id=message.snapshot_id,
        channel=message.channel,
        payload=payload_of(message.payload) if message.HasField("payload") else None,
    )


def task_write_message(write: TaskWrite) -> snapshots_pb2.TaskWrite:
    return snapshots_pb2.TaskWrite(
        snapshot_id=write.snapshot_id,
        task_id=write.task_id,
        index=write.index,
        channel=write.channel,
        payload=payload_message(write.payload) if write.payload else None,
    )


def task_writes_message(stored: StoredSnapshot) -> run_service_pb2.SnapshotTaskWrites:
    """The task writes of a listed snapshot."""
    return run_service_pb2.SnapshotTaskWrites(
        task_writes=map(task_write_message, stored.task_writes)
    )


def selector_of(request: run_service_pb2.GetSnapshotRequest) -> SnapshotSelector:
    match request.WhichOneof("selector"):
        case "snapshot_id":
            return SnapshotSelector(snapshot_id=request.snapshot_id)
        case "plan_version_id":
            return SnapshotSelector(plan_version_id=request.plan_version_id)
        case "at_seq":
            return SnapshotSelector(at_seq=request.at_seq)
        case _:
            return SnapshotSelector()


def _node_of(message: snapshots_pb2.PlanNode) -> PlanNode:
    parts = {name: part_of(getattr(message, name)) for name in NODE_PARTS if message.HasField(name)}
    return PlanNode(
        node_id=message.node_id,
        kind=message.kind,
        facets=tuple(message.facets),
        status=message.status,
        **parts,
    )


def _node_message(node: PlanNode) -> snapshots_pb2.PlanNode:
    message = snapshots_pb2.PlanNode(
        node_id=node.node_id, kind=node.kind, facets=node.facets, status=node.status
    )
    for name in NODE_PARTS:
        if (part := getattr(node, name)) is not None:
            getattr(message, name).CopyFrom(payload_message(part))
    return message
