"""Values that cross the store's boundary: what callers hand in and what they get back.

All are frozen. Times are UTC-aware and kept to the microsecond; hashes are 32 bytes of SHA-256.
Enum numbers equal those of the contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

# Events the store writes by itself; nobody else may use their types.
RUN_COMPLETED = "run.completed"
RUN_PAUSED = "run.paused"
RUN_REPLANNED = "run.replanned"
RUN_RESUMED = "run.resumed"
OWN_EVENT_TYPES = frozenset({RUN_COMPLETED, RUN_PAUSED, RUN_REPLANNED, RUN_RESUMED})


class RunStatus(IntEnum):
    RUNNING = 1
    PAUSED = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXTERNAL = 6


class Outcome(IntEnum):
    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3


class SnapshotReason(IntEnum):
    CHECKPOINT = 1
    PAUSE = 2
    REPLAN = 3
    ERROR = 4
    FINAL = 5


class RunOrder(IntEnum):
    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4
    COMPLETED_DESC = 5
    COMPLETED_ASC = 6


@dataclass(frozen=True, slots=True)
class RunKey:
    """The public identity of a run."""

    project: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Payload:
    """A value kept as it is: a JSON text (str) or opaque bytes."""

    content: str | bytes
    content_type: str = ""

    @property
    def data(self) -> bytes:
        """The content's bytes; of a JSON text its UTF-8."""
        return self.content.encode() if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Ref:
    """A snapshot part that the run has stored before, by the SHA-256 of its content."""

    sha256: bytes


Part = Payload | Ref


@dataclass(frozen=True, slots=True)
class Usage:
    """What an event cost, or the sum over several."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_micros: int = 0
    duration_us: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cost_micros + other.cost_micros,
            self.duration_us + other.duration_us,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A fact as its writer states it. An empty `event_id` is filled in by the store."""

    type: str
    event_id: str = ""
    payload: Payload | None = None
    node_id: str = ""
    actor: str = ""
    model: str = ""
    tool: str = ""
    tags: tuple[str, ...] = ()
    usage: Usage | None = None
    trace_parent: str = ""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A fact with its place in the run."""

    seq: int
    recorded_at: datetime
    hash: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events: any of the types, any of the nodes, all of the tags; empty selects all."""

    types: tuple[str, ...] = ()
    node_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def matches(self, event: Event) -> bool:
        return (
            (not self.types or event.type in self.types)
            and (not self.node_ids or event.node_id in self.node_ids)
            and all(tag in event.tags for tag in self.tags)
        )


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold for a write to be accepted; None asks for nothing."""

    expected_seq: int | None = None
    writer_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class ExternalRef:
    system: str
    id: str
    url: str = ""
    owns_status: bool = False


@dataclass(frozen=True, slots=True)
class ForkBase:
    """Where a fork left another run: they have all up to `seq` in common."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A pinned version. Before a run is saved, a number, a digest or a label may stand alone."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class PlanNode:
    node_id: str
    kind: str = ""
    facets: tuple[str, ...] = ()
    status: str = ""
    input_schema: Part | None = None
    output_schema: Part | None = None
    provenance: Part | None = None
    state: Part | None = None


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
    state: Mapping[str, Part] = field(default_factory=dict)
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
class Output:
    """A run's result as the writer states it."""

    payload: Payload | None = None
    schema_hash: str = ""
    plan_version_id: str = ""
    provenance: Payload | None = None
    statistics: Payload | None = None


@dataclass(frozen=True, slots=True)
class StoredOutput:
    output: Output
    usage: Usage
    outcome: Outcome
    revision: int
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Completion:
    outcome: Outcome
    events: tuple[Event, ...] = ()
    output: Output = Output()
    final_snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it is known at birth. An empty `run_id` is filled in by the store."""

    project: str
    run_id: str = ""
    plan_id: str = ""
    objective: str = ""
    plan: Payload | None = None
    parent_run_id: str = ""
    external_ref: ExternalRef | None = None
    config_refs: tuple[ConfigRef, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    completion: Completion | None = None
    fork_base: ForkBase | None = None


@dataclass(frozen=True, slots=True)
class NewFork:
    """A fork as it is asked for. `at_seq` 0 means all of the other run but its end.

    `objective` None and an empty `fork_run_id` are filled in; `config_refs` replace those of the
    same kind and name.
    """

    key: RunKey
    at_seq: int = 0
    fork_run_id: str = ""
    objective: str | None = None
    config_refs: tuple[ConfigRef, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands; `born` is what SaveRun was given, without the completion."""

    born: NewRun
    status: RunStatus
    outcome: Outcome
    last_seq: int
    last_hash: bytes
    writer_epoch: int
    usage: Usage
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    @property
    def key(self) -> RunKey:
        return RunKey(self.born.project, self.born.run_id)


@dataclass(frozen=True, slots=True)
class PinFilter:
    """Selects runs by a pinned version; version 0 and an empty digest are not compared."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """Selects runs by what they are in another system; an empty id is not compared."""

    system: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Selects runs; every condition that is set must hold.

    `tags` must all be there, of `any_tags` one. `root_run_id` selects a run and whatever was
    started below it. `text` is looked for in the objective's beginning. A run that has not ended
    was completed at no time.
    """

    statuses: tuple[RunStatus, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None
    plan_id: str = ""
    model: str = ""
    tool: str = ""
    parent_run_id: str = ""
    config: PinFilter | None = None
    any_tags: tuple[str, ...] = ()
    root_run_id: str = ""
    external: ExternalFilter | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    completed_from: datetime | None = None
    completed_before: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class SavedRun:
    run: Run
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A place in a listing of runs, for `next_after` alone.

    `as_of` is when the first page was read, where later updates are left out.
    """

    at: datetime
    run: int
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs in order; `next_after` continues the listing, None on the last page."""

    runs: tuple[Run, ...]
    next_after: RunPlace | None


@dataclass(frozen=True, slots=True)
class Appended:
    event_id: str
    seq: int
    recorded_at: datetime
    hash: bytes
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order of seq, and how far reading got.

    Every selected event below `next_from_seq` that is not below the page's `from_seq` is on it.
    `last_seq` and `outcome` are the run's when the page was read; `is_completed` says that no event
    will follow `last_seq`.
    """

    events: tuple[RecordedEvent, ...]
    next_from_seq: int
    last_seq: int
    is_completed: bool
    outcome: Outcome

    @property
    def reaches_end(self) -> bool:
        return self.next_from_seq > self.last_seq


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
class SnapshotPage:
    """Snapshots in order; `next_after` continues the listing, None on the last page."""

    snapshots: tuple[StoredSnapshot, ...]
    next_after: SnapshotPosition | None


@dataclass(frozen=True, slots=True)
class SnapshotPosition:
    """A place in a listing of snapshots, for `next_after` alone."""

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


@dataclass(frozen=True, slots=True)
class ResumedRun:
    run: Run
    writer_epoch: int
    snapshot: StoredSnapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """A version a run is pinned to; the body is None where the store does not have it."""

    ref: ConfigRef
    body: Payload | None


@dataclass(frozen=True, slots=True)
class ReplayedRun:
    """A run as it stood at a seq: the latest snapshot at or before it, and what came after that.

    `events` are the first page of those behind the snapshot; none is beyond `at_seq`.
    """

    run: Run
    at_seq: int
    snapshot: StoredSnapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    configs: tuple[PinnedConfig, ...]


@dataclass(frozen=True, slots=True)
class CompletedRun:
    status: RunStatus
    seq: int
    revision: int
    completed_at: datetime
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the hash chain found; `problem` is empty when everything checked agrees."""

    checked_events: int
    last_seq: int
    last_hash: bytes
    problem: str
    problem_seq: int
    next_from_seq: int
