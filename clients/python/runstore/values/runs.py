"""The values of the client: frozen, typed, free of protobuf.

Times are UTC-aware datetimes, durations timedeltas, hashes 32 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from runstore.values.payloads import Payload, Value


class RunStatus(IntEnum):
    RUNNING = 1
    PAUSED = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXTERNAL = 6


class RunOrder(IntEnum):
    """Orders of a listing. By completion, runs that have not ended are left out."""

    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4
    COMPLETED_DESC = 5
    COMPLETED_ASC = 6


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


@dataclass(frozen=True, slots=True)
class Usage:
    """What an event cost, or the sum over several. `cost_micros` are millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_micros: int = 0
    duration: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. Without an `event_id` the client makes one, so that it can retry."""

    type: str
    payload: Value = None
    event_id: str = ""
    node_id: str = ""
    actor: str = ""
    model: str = ""
    tool: str = ""
    tags: Sequence[str] = ()
    usage: Usage | None = None
    trace_parent: str = ""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was recorded."""

    seq: int
    type: str
    payload: Payload | None
    event_id: str
    node_id: str
    actor: str
    model: str
    tool: str
    tags: tuple[str, ...]
    usage: Usage | None
    trace_parent: str
    occurred_at: datetime | None
    recorded_at: datetime
    hash: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event stands; `deduplicated` when it was there already."""

    seq: int
    recorded_at: datetime
    hash: bytes
    deduplicated: bool
    event_id: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything up to `last_seq` was delivered; the stream is live from here."""

    last_seq: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive; everything up to `last_seq` was delivered."""

    last_seq: int


@dataclass(frozen=True, slots=True)
class EndOfRun:
    """The run is complete at `last_seq`; the stream ends."""

    last_seq: int
    outcome: Outcome


StreamItem = Event | CaughtUp | Heartbeat | EndOfRun


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A plan node in a snapshot. To be put, its payloads may be any `Value` or a `Ref`."""

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
    """A task's finished result since a snapshot."""

    task_id: str
    index: int = 0
    payload: Value = None
    channel: str = ""
    snapshot_id: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored plan version and state; node and state payloads are `Payload`s."""

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


@dataclass(frozen=True, slots=True)
class SnapshotPut:
    snapshot_id: str
    seq: int
    content_hash: bytes
    created_at: datetime
    last_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class SnapshotsDeleted:
    """What one call removed; `freed_bytes` are those of parts, as they were stored."""

    snapshots: int
    task_writes: int
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class ExternalRef:
    """The same execution in another system; one that owns the status makes the run EXTERNAL."""

    system: str
    id: str
    url: str = ""
    owns_status: bool = False


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A version of a prompt, tool, agent or evaluator that a run is pinned to.

    A saved run's has number and digest. To save one, any of them is enough, or a label alone.
    """

    kind: str
    name: str
    version: int = 0
    digest: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFilter:
    """Which pins: of a config, where given of one version of it."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ForkBase:
    """Where a fork left another run: they have all up to `seq` in common."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """Runs that are this in another system; without an id, anything there."""

    system: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it stands; lists leave `plan` out."""

    project: str
    run_id: str
    plan_id: str
    objective: str
    plan: Payload | None
    parent_run_id: str
    external_ref: ExternalRef | None
    config_refs: tuple[ConfigRef, ...]
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    status: RunStatus
    outcome: Outcome
    last_seq: int
    last_hash: bytes
    writer_epoch: int
    usage: Usage
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    fork_base: ForkBase | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A revision of a run's result."""

    payload: Payload | None
    schema_hash: str
    plan_version_id: str
    provenance: Payload | None
    statistics: Payload | None
    usage: Usage
    outcome: Outcome
    revision: int
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Completed:
    status: RunStatus
    seq: int
    revision: int
    completed_at: datetime
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the hash chain found; `problem` is empty when everything agrees."""

    verified: bool
    checked_events: int
    last_seq: int
    last_hash: bytes
    problem: str = ""
    problem_seq: int = 0
    next_from_seq: int = 0


@dataclass(frozen=True, slots=True)
class EventPage:
    """`next_from_seq` is 0 when the page reached the run's end."""

    events: tuple[Event, ...]
    next_from_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a resume returned: the claimed epoch and what the new writer needs."""

    run: RunInfo
    writer_epoch: int
    snapshot: Snapshot | None
    pending_node_ids: tuple[str, ...]
    task_writes: tuple[TaskWrite, ...]
    events: tuple[Event, ...]
    next_from_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """A version a run is pinned to; the body is None where it is kept elsewhere."""

    ref: ConfigRef
    body: Payload | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run as it stood at a seq; `events` go on at `next_from_seq`, up to `at_seq`."""

    run: RunInfo
    at_seq: int
    snapshot: Snapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: tuple[Event, ...]
    next_from_seq: int
    configs: tuple[PinnedConfig, ...]


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to list, in which order; conditions are joined by AND.

    `tags` must all be there, of `any_tags` one. `root_run_id` is a run and all below it.
    `objective` are words of the objective, as in web search. `oldest_first` is the order
    CREATED_ASC, and counts where no `order` is given.
    """

    statuses: Sequence[RunStatus] = ()
    tags: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None
    plan_id: str = ""
    model: str = ""
    tool: str = ""
    parent_run_id: str = ""
    config: ConfigFilter | None = None
    oldest_first: bool = False
    any_tags: Sequence[str] = ()
    root_run_id: str = ""
    external: ExternalFilter | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    completed_from: datetime | None = None
    completed_before: datetime | None = None
    objective: str = ""
    order: RunOrder | None = None
