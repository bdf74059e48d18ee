"""Snapshots and task writes."""

from __future__ import annotations

from typing import Any

from runstore_server.validation.bounds import (
    BATCH,
    FULL_BATCH,
    GUARDED,
    ID,
    NAMESPACE,
    OF_RUN,
    PAGE,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    TOKEN,
    Entries,
    Integer,
    Items,
)
from runstore_server.validation.checks import (
    json_object,
    no_refs,
    of_this_run,
    requires,
    unique,
    unique_event_ids,
)
from runstore_server.validation.rules import Found, MessageRules, Rules, report

MAX_PARTS = 10_000


def _key(write: Any) -> object:
    return write.snapshot_id, write.task_id, write.index


def _pending_nodes(message: Any, path: str, found: Found) -> None:
    node_ids = {node.node_id for node in message.nodes}
    for index, node_id in enumerate(message.pending_node_ids):
        if node_id and node_id not in node_ids:
            report(found, f"{path}pending_node_ids[{index}]", "is not a node of the snapshot")


RULES: Rules = {
    "PlanNode": MessageRules(
        {
            "node_id": REQUIRED_ID,
            "kind": ID,
            "facets": Items(0, 1000, REQUIRED_ID),
            "status": ID,
        }
    ),
    "Snapshot": MessageRules(
        {
            "run_id": ID,
            "namespace": NAMESPACE,
            "snapshot_id": ID,
            "parent_snapshot_id": ID,
            "seq": SEQ,
            "plan_version_id": ID,
            "nodes": Items(0, MAX_PARTS),
            "pending_node_ids": Items(0, MAX_PARTS, REQUIRED_ID),
            "state": Entries(MAX_PARTS, REQUIRED_ID),
        },
        checks=(
            json_object("metadata"),
            unique("nodes", lambda node: node.node_id, "a node_id of the snapshot"),
            _pending_nodes,
        ),
    ),
    "TaskWrite": MessageRules(
        {
            "snapshot_id": ID,
            "task_id": REQUIRED_ID,
            "index": Integer(-1000, 100_000),
            "channel": ID,
        },
        checks=(no_refs("payload"),),
    ),
    "PutSnapshotRequest": MessageRules(
        OF_RUN | GUARDED | {"events": BATCH, "task_writes": BATCH, "request_id": ID},
        required=("snapshot",),
        checks=(
            unique_event_ids,
            of_this_run("snapshot"),
            unique("task_writes", _key, "a task write of the request"),
        ),
    ),
    "PutTaskWritesRequest": MessageRules(
        OF_RUN | {"namespace": NAMESPACE, "writes": FULL_BATCH, "writer_epoch": SEQ},
        checks=(unique("writes", _key, "a task write of the request"),),
    ),
    "DeleteSnapshotsRequest": MessageRules(
        OF_RUN
        | {"namespace": NAMESPACE, "snapshot_ids": Items(1, 1000, REQUIRED_ID), "writer_epoch": SEQ}
    ),
    "GetSnapshotRequest": MessageRules(
        OF_RUN
        | {
            "namespace": NAMESPACE,
            "snapshot_id": REQUIRED_ID,
            "plan_version_id": REQUIRED_ID,
            "at_seq": SEQ,
        }
    ),
    "ListSnapshotsRequest": MessageRules(
        {
            "project": PROJECT,
            "run_id": ID,
            "namespace": NAMESPACE,
            "before": ID,
            "id_below": ID,
            "limit": PAGE,
            "page_token": TOKEN,
        },
        checks=(json_object("metadata"), requires("before", "run_id")),
    ),
}
