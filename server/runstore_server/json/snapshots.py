"""Snapshots and task writes."""

from __future__ import annotations

from runstore_storage.contract.snapshots import (
    PlanNode,
    SnapshotWithWrites,
    StoredSnapshot,
    TaskWrite,
)

from runstore_server.json.payloads import payload_value
from runstore_server.json.times import time_text
from runstore_server.json.writing import JsonValue


def summary_value(stored: StoredSnapshot) -> dict[str, JsonValue]:
    """What a snapshot is, without its parts."""
    snapshot = stored.snapshot
    return {
        "snapshot_id": snapshot.snapshot_id,
        "namespace": snapshot.namespace,
        "parent_snapshot_id": snapshot.parent_snapshot_id,
        "seq": snapshot.seq,
        "reason": snapshot.reason.name.lower(),
        "plan_version_id": snapshot.plan_version_id,
        "pending_node_ids": snapshot.pending_node_ids,
        "node_count": len(snapshot.nodes) if stored.node_count is None else stored.node_count,
        "metadata": payload_value(snapshot.metadata),
        "created_at": time_text(stored.created_at),
        "content_hash": stored.content_hash.hex(),
    }


def snapshot_value(found: SnapshotWithWrites) -> dict[str, JsonValue]:
    """A snapshot with its parts and the task writes since."""
    snapshot = found.snapshot.snapshot
    return {
        **summary_value(found.snapshot),
        "nodes": [_node_value(node) for node in snapshot.nodes],
        "state": {name: payload_value(part) for name, part in snapshot.state.items()},
        "task_writes": [_task_write_value(write) for write in found.task_writes],
    }


def _node_value(node: PlanNode) -> dict[str, JsonValue]:
    return {
        "node_id": node.node_id,
        "kind": node.kind,
        "facets": node.facets,
        "status": node.status,
        "input_schema": payload_value(node.input_schema),
        "output_schema": payload_value(node.output_schema),
        "provenance": payload_value(node.provenance),
        "state": payload_value(node.state),
    }


def _task_write_value(write: TaskWrite) -> dict[str, JsonValue]:
    return {
        "snapshot_id": write.snapshot_id,
        "task_id": write.task_id,
        "index": write.index,
        "channel": write.channel,
        "payload": payload_value(write.payload),
    }
