"""The answers as OpenAPI describes them. Nothing is built from these: payloads are spliced in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Seq = Annotated[int, Field(ge=0, description="Place of an event in its run: 1, 2, 3 ...")]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex.")]
OutcomeName = Literal["succeeded", "failed", "cancelled"]


class Described(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PayloadModel(Described):
    """A value as it was stored: the JSON text itself, or bytes in base64."""

    json_: Any = Field(default=None, alias="json", description="The stored text, byte for byte.")
    base64: str | None = Field(default=None, description="Bytes that were not stored as JSON.")
    json_base64: str | None = Field(
        default=None,
        description="In Server-Sent Events: the UTF-8 of a text with carriage returns, which `json`"
        " then has as blanks.",
    )
    content_type: str = Field(default="", description="Media type, where the writer gave one.")


class UsageModel(Described):
    """What an event cost, or the sum over several."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_micros: int
    duration_us: int


class EventModel(Described):
    """A fact with its place in the run."""

    seq: Seq
    event_id: str
    type: str
    payload: PayloadModel | None
    node_id: str
    actor: str
    model: str
    tool: str
    tags: list[str]
    usage: UsageModel | None
    trace_parent: str
    occurred_at: datetime | None
    recorded_at: datetime
    hash: Hash


class EventList(Described):
    """A page of events, in order of seq."""

    events: list[EventModel]
    next_from_seq: int | None = Field(description="Where the next page begins; null on the last.")
    last_seq: Seq


class EntryModel(Described):
    """A published event with its place in the feed."""

    position: Annotated[int, Field(ge=1, description="Greater than those of all before it.")]
    run_id: str
    published_at: datetime
    event: EventModel


class EntryList(Described):
    """A page of the feed, in order of position."""

    entries: list[EntryModel]
    next_position: int = Field(description="Where the next page begins.")
    last_position: int = Field(description="The feed's end; reached where next_position is beyond.")


class RunSummary(Described):
    """What a listing says of a run."""

    project: str
    run_id: str
    plan_id: str
    objective: str
    parent_run_id: str
    status: Literal["running", "paused", "succeeded", "failed", "cancelled", "external"]
    outcome: OutcomeName | None
    success: bool | None = Field(description="True when succeeded, false when failed or cancelled.")
    tags: list[str]
    labels: dict[str, str]
    last_seq: Seq
    usage: UsageModel
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class RunList(Described):
    """A page of runs."""

    runs: list[RunSummary]
    limit: int
    offset: int
    next_page_token: str | None = Field(description="Asks for the next page; null on the last.")


class OutputModel(Described):
    """A revision of a run's result."""

    payload: PayloadModel | None
    schema_hash: str
    plan_version_id: str
    provenance: PayloadModel | None
    statistics: PayloadModel | None
    usage: UsageModel
    outcome: OutcomeName | None
    revision: int
    completed_at: datetime


class OutputAnswer(Described):
    """A revision of a run's result."""

    output: OutputModel


class SnapshotSummary(Described):
    """What a snapshot is, without its parts."""

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


class SnapshotList(Described):
    """A page of snapshots, newest first."""

    snapshots: list[SnapshotSummary]
    limit: int
    next_page_token: str | None = Field(description="Asks for the next page; null on the last.")


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
    """A result of a task since the snapshot."""

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


class ExternalRefModel(Described):
    """The engine that runs the run."""

    system: str
    id: str
    url: str
    owns_status: bool


class ConfigRefModel(Described):
    """A pinned configuration."""

    kind: str
    name: str
    version: int
    digest: str


class ForkBaseModel(Described):
    """The run a fork's history begins with, and its last seq that both have."""

    run_id: str
    seq: Seq


class RunModel(RunSummary):
    """All of a run."""

    plan: PayloadModel | None
    plan_result: PayloadModel | None = Field(description="The plan again, as consoles name it.")
    execution_result: PayloadModel | None = Field(description="The latest output's payload.")
    output: OutputModel | None = Field(description="The latest output.")
    external_ref: ExternalRefModel | None
    config_refs: list[ConfigRefModel]
    fork_base: ForkBaseModel | None
    writer_epoch: int
    last_hash: Hash
    latest_snapshot: SnapshotSummary | None = Field(description="Of any namespace.")


class RunAnswer(Described):
    """All of a run."""

    run: RunModel


class ChainBreak(Described):
    """Where the hash chain does not hold."""

    seq: Seq
    problem: str


class VerificationAnswer(Described):
    """What recomputing the hash chain found."""

    verified: bool
    checked_events: int
    last_seq: Seq
    last_hash: Hash
    first_break: ChainBreak | None
    next_from_seq: int | None = Field(description="Where to go on when `max_events` were checked.")


class StatisticsRowModel(Described):
    """What was counted of one group; what it is not grouped by is left out."""

    run_id: str | None = None
    node_id: str | None = None
    model: str | None = None
    tool: str | None = None
    type: str | None = None
    day: str | None = Field(default=None, description="YYYY-MM-DD, in UTC.")
    label_value: str | None = None
    events: int
    errors: int = Field(description="Events whose type's last word is error or failed.")
    tool_calls: int = Field(description="Events that name a tool and do not tell how a call ended.")
    runs: int = Field(description="Runs that have any of the events.")
    usage: UsageModel


class StatisticsAnswer(Described):
    """A page of groups."""

    rows: list[StatisticsRowModel]
    limit: int
    next_page_token: str | None = Field(description="Asks for the next page; null on the last.")
    counted_position: int = Field(description="Up to which everything of the feed is counted.")


class ViolationModel(Described):
    """A parameter that breaks its rule."""

    field: str
    description: str


class Problem(Described):
    """A refusal or failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = Field(
        default=None, description="ErrorReason of the gRPC contracts; absent for 404 and 405 paths."
    )
    metadata: dict[str, str] = Field(default={}, description="Of the reason.")
    request_id: str
    violations: list[ViolationModel] = Field(default=[], description="Of INVALID_REQUEST.")
