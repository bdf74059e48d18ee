"""Snapshots and task writes: the plan and state of a run at a seq, and the methods on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import NO_GUARD, Guard, RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.payloads import Payload, SnapshotPart


class SnapshotReason(IntEnum):
    CHECKPOINT = 1
    PAUSE = 2
    REPLAN = 3
    ERROR = 4
    FINAL = 5


@dataclass(frozen=True, slots=True)
class PlanNode:
    node_id: str
    kind: str = ""
    facets: tuple[str, ...] = ()
    status: str = ""
    input_schema: SnapshotPart | None = None
    output_schema: SnapshotPart | None = None
    provenance: SnapshotPart | None = None
    state: SnapshotPart | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A plan version and its state as the writer states them.

    The store fills in an empty `snapshot_id`; `seq` 0 stands for the run's last event.
    """

    namespace: str = ""
    snapshot_id: str = ""
    parent_snapshot_id: str = ""
    seq: int = 0
    plan_version_id: str = ""
    reason: SnapshotReason = SnapshotReason.CHECKPOINT
    nodes: tuple[PlanNode, ...] = ()
    pending_node_ids: tuple[str, ...] = ()
    state: Mapping[str, SnapshotPart] = field(default_factory=dict)
    metadata: Payload | None = None

    @property
    def items(self) -> int:
        """The number of its nodes, their facets, its pending nodes and its state's entries."""
        facets = sum(len(node.facets) for node in self.nodes)
        return len(self.nodes) + facets + len(self.pending_node_ids) + len(self.state)


@dataclass(frozen=True, slots=True)
class TaskWrite:
    task_id: str
    index: int
    snapshot_id: str = ""
    channel: str = ""
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot as it is stored; `node_count` and, in a listing, `task_writes` only on request."""

    run_id: str
    snapshot: Snapshot
    created_at: datetime
    content_hash: bytes
    salt: bytes | None = None
    node_count: int | None = None
    task_writes: tuple[TaskWrite, ...] = ()


@dataclass(frozen=True, slots=True)
class PutSnapshotResult:
    snapshot_id: str
    seq: int
    content_hash: bytes
    created_at: datetime
    last_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class SnapshotSelector:
    """Chooses a snapshot by the one field that is set, or the latest if none is."""

    snapshot_id: str | None = None
    plan_version_id: str | None = None
    at_seq: int | None = None

    def __str__(self) -> str:
        """Describes the selector in `SnapshotNotFound` messages: `run 'x' has no snapshot ...`."""
        if self.snapshot_id is not None:
            return self.snapshot_id
        if self.plan_version_id is not None:
            return f"of plan version {self.plan_version_id}"
        return "yet" if self.at_seq is None else f"at or before seq {self.at_seq}"


@dataclass(frozen=True, slots=True)
class SnapshotWithWrites:
    snapshot: StoredSnapshot
    task_writes: tuple[TaskWrite, ...]


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """Selects snapshots of a run, or of all runs of a project if `run_id` is empty.

    `namespace` None selects all namespaces. `before` lists a run's snapshots from behind that one,
    `id_below` those with a smaller id. `metadata` is a JSON object, each member of which a
    snapshot's metadata must have. `with_parts` returns snapshots in full, `with_node_counts` only
    says how many nodes each has; `with_task_writes` adds the writes since each.
    """

    project: str
    run_id: str = ""
    namespace: str | None = None
    before: str = ""
    id_below: str = ""
    metadata: Payload | None = None
    with_parts: bool = False
    with_task_writes: bool = False
    with_node_counts: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """Where a page of snapshots ended."""

    rank: int
    run: int
    namespace: str
    snapshot_id: str


@dataclass(frozen=True, slots=True)
class DeletedSnapshots:
    """How much was deleted; `freed_bytes` counts parts in their stored, compressed form."""

    snapshots: int
    task_writes: int
    freed_bytes: int


class SnapshotStore(Protocol):
    """Snapshots of runs, and the task writes since them."""

    async def put_snapshot(
        self,
        key: RunKey,
        snapshot: Snapshot,
        *,
        events: Sequence[Event] = (),
        task_writes: Sequence[TaskWrite] = (),
        guard: Guard = NO_GUARD,
        request_id: str = "",
    ) -> PutSnapshotResult:
        """Append the events, and store the task writes and the snapshot, all or nothing.

        PAUSE appends run.paused and pauses the run; REPLAN appends run.replanned and sets the run
        running. The status of an EXTERNAL run does not change. A seq beyond the last event raises
        `SnapshotAhead`, a ref that the run never stored `UnknownRef`. A repeated request is
        recognised by its `request_id` or, without one, by the caller's snapshot_id.
        """

    async def put_task_writes(
        self,
        key: RunKey,
        namespace: str,
        writes: Sequence[TaskWrite],
        *,
        writer_epoch: int | None = None,
    ) -> bool:
        """Store results of tasks since a snapshot, all or nothing; True if all had been stored.

        A write with an index >= 0 is stored once, one with an index < 0 is replaced. An empty
        snapshot_id stands for the run's beginning; an unknown one raises `SnapshotNotFound`.
        """

    async def get_snapshot(
        self, key: RunKey, namespace: str, selector: SnapshotSelector
    ) -> SnapshotWithWrites:
        """Return the chosen snapshot in full with its task writes, or raise `SnapshotNotFound`."""

    async def list_snapshots(
        self, query: SnapshotQuery, *, limit: int, after: SnapshotCursor | None
    ) -> Page[StoredSnapshot, SnapshotCursor]:
        """Return up to `limit` snapshots: of a run by seq and id, of a project by time, descending.

        With parts or task writes, a page ends early when they pass the store's page size.
        """

    async def delete_snapshots(
        self,
        key: RunKey,
        namespace: str,
        snapshot_ids: Collection[str],
        *,
        writer_epoch: int | None = None,
    ) -> DeletedSnapshots:
        """Delete snapshots of the run itself, their task writes, and the parts that no other
        snapshot of the run refers to.

        Unknown ids are ignored. If a fork has one of the snapshots in its history, `SnapshotInUse`
        is raised, and `RunHeld` if a hold holds the run; nothing is deleted then. Snapshots of a
        completed run may be deleted too. Events, outputs and first answers to requests are kept.
        """
