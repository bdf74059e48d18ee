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
    """A plan version and state as the writer states it.

    An empty `snapshot_id` is filled in by the store; `seq` 0 means the run's last event.
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


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot with its place in time; `node_count` is None where it was not asked for."""

    run_id: str
    snapshot: Snapshot
    created_at: datetime
    content_hash: bytes
    node_count: int | None = None


@dataclass(frozen=True, slots=True)
class TaskWrite:
    task_id: str
    index: int
    snapshot_id: str = ""
    channel: str = ""
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class PutSnapshotAnswer:
    snapshot_id: str
    seq: int
    content_hash: bytes
    created_at: datetime
    last_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class SnapshotSelector:
    """Chooses a snapshot; at most one field is set, none means the latest."""

    snapshot_id: str | None = None
    plan_version_id: str | None = None
    at_seq: int | None = None

    def __str__(self) -> str:
        """What is chosen, for whom it is not found: `run 'x' has no snapshot ...`."""
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
    """Selects snapshots of a run, or of all runs of a project where `run_id` is empty.

    `namespace` None selects all. `metadata` is a JSON object whose members must all be equal.
    `with_node_counts` says how many nodes each has where `with_parts` does not bring them.
    """

    project: str
    run_id: str = ""
    namespace: str | None = None
    before: str = ""
    metadata: Payload | None = None
    with_parts: bool = False
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
    """How much was deleted; `freed_bytes` are those of parts, as they were stored."""

    snapshots: int
    task_writes: int
    freed_bytes: int


class SnapshotStore(Protocol):
    """Snapshots of runs, and task writes since them."""

    async def put_snapshot(
        self,
        key: RunKey,
        snapshot: Snapshot,
        *,
        events: Sequence[Event] = (),
        task_writes: Sequence[TaskWrite] = (),
        guard: Guard = NO_GUARD,
        request_id: str = "",
    ) -> PutSnapshotAnswer:
        """Append the events, keep the task writes, store the snapshot: all or none.

        PAUSE appends run.paused and pauses the run, REPLAN appends run.replanned and sets it
        running; the status of an EXTERNAL run stays. A seq beyond the last event raises
        `SnapshotAhead`, a ref the run never stored `UnknownRef`. The request is recognised by
        `request_id`, or else by a snapshot_id of the caller's.
        """

    async def put_task_writes(
        self,
        key: RunKey,
        namespace: str,
        writes: Sequence[TaskWrite],
        *,
        writer_epoch: int | None = None,
    ) -> bool:
        """Keep results of tasks since a snapshot, all or none; True when all were known.

        Index >= 0 is written once, index < 0 is replaced. An empty snapshot_id is the run's
        beginning, an unknown one raises `SnapshotNotFound`.
        """

    async def get_snapshot(
        self, key: RunKey, namespace: str, selector: SnapshotSelector
    ) -> SnapshotWithWrites:
        """Return the chosen snapshot in full with its task writes, or raise `SnapshotNotFound`."""

    async def list_snapshots(
        self, query: SnapshotQuery, *, limit: int, after: SnapshotCursor | None
    ) -> Page[StoredSnapshot, SnapshotCursor]:
        """Return up to `limit` snapshots: of a run by seq and id, of a project by age; both
        descending. With parts, a page ends early where they pass the store's page size.
        """

    async def delete_snapshots(
        self,
        key: RunKey,
        namespace: str,
        snapshot_ids: Collection[str],
        *,
        writer_epoch: int | None = None,
    ) -> DeletedSnapshots:
        """Delete snapshots of the run itself with their task writes, and the parts that no other
        snapshot of the run refers to; return how much that was.

        Unknown ids are ignored. A snapshot that a fork has in its history raises `SnapshotInUse`,
        and nothing is deleted. A completed run's snapshots may be deleted too. Events, outputs and
        first answers to requests stay.
        """
