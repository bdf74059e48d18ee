"""Snapshots and task writes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runstore_server.http.models.described import Described, Hash, PageToken, Salt, Seq
from runstore_server.http.models.payloads import PayloadModel


class SnapshotSummary(Described):
    """A snapshot without its parts."""

    snapshot_id: str
    namespace: str
    parent_snapshot_id: str
    seq: Seq
    reason: Literal["checkpoint", "pause", "replan", "error", "final"]
    plan_version_id: str
    pending_node_ids: list[str]
    node_count: int
    metadata: PayloadModel | None
    created_at: datetime
    content_hash: Hash
    salt: Salt


class SnapshotList(Described):
    """A page of snapshots, newest first."""

    snapshots: list[SnapshotSummary]
    limit: int
    next_page_token: PageToken


class NodeModel(Described):
    """A node of the plan."""

    node_id: str
    kind: str
    facets: list[str]
    status: str
    input_schema: PayloadModel | None
    output_schema: PayloadModel | None
    provenance: PayloadModel | None
    state: PayloadModel | None


class TaskWriteModel(Described):
    """The result of a task since the snapshot."""

    snapshot_id: str
    task_id: str
    index: int
    channel: str
    payload: PayloadModel | None


class SnapshotModel(SnapshotSummary):
    """A snapshot in full, with the task writes since."""

    nodes: list[NodeModel]
    state: dict[str, PayloadModel]
    task_writes: list[TaskWriteModel]


class SnapshotAnswer(Described):
    """A snapshot in full, with the task writes since."""

    snapshot: SnapshotModel
