"""Snapshots, their parts, and the task writes stored after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from runstore.values.payloads import Payload, Value
from runstore.values.words import WordEnum


class SnapshotReason(WordEnum):
    """Why a snapshot was taken."""

    CHECKPOINT = 1
    PAUSE = 2
    REPLAN = 3
    ERROR = 4
    FINAL = 5


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node of a snapshot's plan. When it is put, its payloads may be any `Value` or a `Ref`."""

    node_id: str
    kind: str = ""
    facets: Sequence[str] = ()
    status: str = ""
    input_schema: Value = None
    output_schema: Value = None
    provenance: Value = None
    state: Value = None


@dataclass(frozen=True, slots=True)
class TaskWrite:
    """The result of a task that finished after a snapshot."""

    task_id: str
    index: int = 0
    payload: Value = None
    channel: str = ""
    snapshot_id: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored plan version and state; the payloads of nodes and state are `Payload`s.

    `salt` is empty where `content_hash` was made without one.
    """

    run_id: str
    namespace: str
    snapshot_id: str
    parent_snapshot_id: str
    seq: int
    plan_version_id: str
    reason: SnapshotReason
    nodes: tuple[PlanNode, ...]
    pending_node_ids: tuple[str, ...]
    state: Mapping[str, Payload]
    metadata: Payload | None
    created_at: datetime
    content_hash: bytes
    task_writes: tuple[TaskWrite, ...] = ()
    salt: bytes = b""


class ProjectSnapshotListing(TypedDict, total=False):
    """Which snapshots of a project to list, and how much of each.

    `id_below` selects ids that are smaller, compared by code points; `metadata` is a JSON object,
    each member of which the snapshot's metadata must have. `with_parts` returns nodes and state
    too, `with_task_writes` the task writes since each.
    """

    id_below: str
    metadata: Mapping[str, Any] | Payload | None
    with_parts: bool
    with_task_writes: bool


class SnapshotListing(ProjectSnapshotListing, total=False):
    """As `ProjectSnapshotListing`, of one run: of all namespaces unless one is named.

    `before` selects those that precede the snapshot with this id, of the namespace, in the run's
    order; `SnapshotNotFound` is raised if there is none.
    """

    namespace: str | None
    before: str


class SnapshotFields(TypedDict, total=False):
    """The content of a snapshot; values of `state` may be `Ref`s to parts stored before."""

    state: Mapping[str, Value]
    nodes: Sequence[PlanNode]
    pending_node_ids: Sequence[str]
    plan_version_id: str
    reason: SnapshotReason
    namespace: str
    snapshot_id: str
    parent_snapshot_id: str
    seq: int
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SnapshotPut:
    """A stored snapshot; `deduplicated` if it had been stored before."""

    snapshot_id: str
    seq: int
    content_hash: bytes
    created_at: datetime
    last_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class SnapshotsDeleted:
    """What one call deleted; `freed_bytes` is the stored size of the deleted parts."""

    snapshots: int
    task_writes: int
    freed_bytes: int
