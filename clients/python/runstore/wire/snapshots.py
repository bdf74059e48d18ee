"""Snapshots and task writes as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

from runstore.arguments import items, mapping, member, only_known
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1 import snapshots_pb2
from runstore.values.snapshots import (
    PlanNode,
    Snapshot,
    SnapshotFields,
    SnapshotPut,
    SnapshotReason,
    SnapshotsDeleted,
    TaskWrite,
)
from runstore.wire.messages import message_at
from runstore.wire.payloads import optional_payload, part_message, payload_message, payload_value
from runstore.wire.times import time_value


def snapshot_message(fields: SnapshotFields, at: str) -> snapshots_pb2.Snapshot:
    """The message of the snapshot at this path."""
    only_known(fields, SnapshotFields)
    nodes = items(fields.get("nodes", ()), PlanNode, f"{at}nodes")
    message = message_at(
        at,
        snapshots_pb2.Snapshot,
        namespace=fields.get("namespace", ""),
        snapshot_id=fields.get("snapshot_id", ""),
        parent_snapshot_id=fields.get("parent_snapshot_id", ""),
        seq=fields.get("seq", 0),
        plan_version_id=fields.get("plan_version_id", ""),
        reason=snapshots_pb2.SnapshotReason.ValueType(
            member(fields.get("reason", 0), SnapshotReason, f"{at}reason")
        ),
        nodes=[node_message(node, f"{at}nodes[{n}].") for n, node in enumerate(nodes)],
        pending_node_ids=fields.get("pending_node_ids", ()),
        metadata=payload_message(fields.get("metadata"), f"{at}metadata"),
    )
    for name, value in mapping(fields.get("state", {}), f"{at}state").items():
        message.state[name].CopyFrom(part_message(value, f"{at}state[{name!r}]"))
    return message


def snapshot_value(
    message: snapshots_pb2.Snapshot, task_writes: tuple[TaskWrite, ...] = ()
) -> Snapshot:
    return Snapshot(
        run_id=message.run_id,
        namespace=message.namespace,
        snapshot_id=message.snapshot_id,
        parent_snapshot_id=message.parent_snapshot_id,
        seq=message.seq,
        plan_version_id=message.plan_version_id,
        reason=SnapshotReason(message.reason),
        nodes=tuple(map(node_value, message.nodes)),
        pending_node_ids=tuple(message.pending_node_ids),
        state={name: payload_value(message.state[name]) for name in message.state},
        metadata=optional_payload(message, "metadata"),
        created_at=time_value(message.created_at),
        content_hash=message.content_hash,
        task_writes=task_writes,
        salt=message.salt,
    )


def optional_snapshot(message: rpc.ResumeRunResponse | rpc.ReplayRunResponse) -> Snapshot | None:
    """The snapshot of a response; None if it has none."""
    return snapshot_value(message.snapshot) if message.HasField("snapshot") else None


def found_value(message: rpc.GetSnapshotResponse) -> Snapshot:
    """A snapshot with its task writes."""
    return snapshot_value(message.snapshot, task_write_values(message.task_writes))


def listed_values(message: rpc.ListSnapshotsResponse) -> tuple[list[Snapshot], str]:
    """A page of snapshots, with their task writes if they were asked for, and the next token."""
    writes = [task_write_values(each.task_writes) for each in message.task_writes]
    listed = zip(message.snapshots, chain(writes, repeat(())))  # noqa: B905 - one is endless
    return [snapshot_value(each, since) for each, since in listed], message.next_page_token


def put_value(message: rpc.PutSnapshotResponse) -> SnapshotPut:
    return SnapshotPut(
        snapshot_id=message.snapshot_id,
        seq=message.seq,
        content_hash=message.content_hash,
        created_at=time_value(message.created_at),
        last_seq=message.last_seq,
        deduplicated=message.deduplicated,
    )


def deleted_value(message: rpc.DeleteSnapshotsResponse) -> SnapshotsDeleted:
    return SnapshotsDeleted(
        snapshots=message.deleted_snapshots,
        task_writes=message.deleted_task_writes,
        freed_bytes=message.freed_bytes,
    )


def node_message(node: PlanNode, at: str) -> snapshots_pb2.PlanNode:
    """The message of the node at this path."""
    return message_at(
        at,
        snapshots_pb2.PlanNode,
        node_id=node.node_id,
        kind=node.kind,
        facets=node.facets,
        status=node.status,
        input_schema=payload_message(node.input_schema, f"{at}input_schema"),
        output_schema=payload_message(node.output_schema, f"{at}output_schema"),
        provenance=payload_message(node.provenance, f"{at}provenance"),
        state=payload_message(node.state, f"{at}state"),
    )


def node_value(message: snapshots_pb2.PlanNode) -> PlanNode:
    return PlanNode(
        node_id=message.node_id,
        kind=message.kind,
        facets=tuple(message.facets),
        status=message.status,
        input_schema=optional_payload(message, "input_schema"),
        output_schema=optional_payload(message, "output_schema"),
        provenance=optional_payload(message, "provenance"),
        state=optional_payload(message, "state"),
    )


def task_write_messages(writes: Iterable[TaskWrite], name: str) -> list[snapshots_pb2.TaskWrite]:
    """The messages of the argument `name`."""
    given = items(writes, TaskWrite, name)
    return [_task_write_message(write, f"{name}[{n}].") for n, write in enumerate(given)]


def _task_write_message(write: TaskWrite, at: str) -> snapshots_pb2.TaskWrite:
    return message_at(
        at,
        snapshots_pb2.TaskWrite,
        snapshot_id=write.snapshot_id,
        task_id=write.task_id,
        index=write.index,
        channel=write.channel,
        payload=payload_message(write.payload, f"{at}payload"),
    )


def task_write_values(messages: Iterable[snapshots_pb2.TaskWrite]) -> tuple[TaskWrite, ...]:
    return tuple(
        TaskWrite(
            task_id=each.task_id,
            index=each.index,
            payload=optional_payload(each, "payload"),
            channel=each.channel,
            snapshot_id=each.snapshot_id,
        )
        for each in messages
    )
