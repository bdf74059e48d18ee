"""Snapshots and task writes."""

from __future__ import annotations

from collections.abc import Sequence

import runstore
from runstore_storage.contract.snapshots import PlanNode, StoredSnapshot, TaskWrite

from runstore_server.json.payloads import payload_value
from runstore_server.json.texts import enum_text, hash_text, salt_text, time_text
from runstore_server.json.writing import JsonObject


def snapshot_summary_value(stored: StoredSnapshot | runstore.Snapshot) -> JsonObject:
    """A snapshot without its parts; the client's value needs them all the same, to be counted."""
    snapshot = stored.snapshot if isinstance(stored, StoredSnapshot) else stored
    counted = stored.node_count if isinstance(stored, StoredSnapshot) else None
    return {
        "snapshot_id": snapshot.snapshot_id,
        "namespace": snapshot.namespace,
        "parent_snapshot_id": snapshot.parent_snapshot_id,
        "seq": snapshot.seq,
        "reason": enum_text(snapshot.reason),
        "plan_version_id": snapshot.plan_version_id,
        "pending_node_ids": snapshot.pending_node_ids,
        "node_count": len(snapshot.nodes) if counted is None else counted,
        "metadata": payload_value(snapshot.metadata),
        "created_at": time_text(stored.created_at),
        "content_hash": hash_text(stored.content_hash),
        "salt": salt_text(stored.salt),
    }


def snapshot_parts_value(stored: StoredSnapshot | runstore.Snapshot) -> JsonObject:
    """A snapshot with its parts."""
    snapshot = stored.snapshot if isinstance(stored, StoredSnapshot) else stored
    return {
        **snapshot_summary_value(stored),
        "nodes": [_node_value(node) for node in snapshot.nodes],
        "state": {name: payload_value(part) for name, part in snapshot.state.items()},
    }


def snapshot_value(
    stored: StoredSnapshot | runstore.Snapshot,
    task_writes: Sequence[TaskWrite | runstore.TaskWrite],
) -> JsonObject:
    """A snapshot in full, with the task writes since."""
    return {**snapshot_parts_value(stored), "task_writes": [*map(task_write_value, task_writes)]}


def task_write_value(write: TaskWrite | runstore.TaskWrite) -> JsonObject:
    return {
        "snapshot_id": write.snapshot_id,
        "task_id": write.task_id,
        "index": write.index,
        "channel": write.channel,
        "payload": payload_value(write.payload),
    }


def _node_value(node: PlanNode | runstore.PlanNode) -> JsonObject:
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
