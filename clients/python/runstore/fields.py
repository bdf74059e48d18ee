"""What callers may give to a call, and the messages it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypedDict

from runstore.v1 import events_pb2, outputs_pb2, snapshots_pb2
from runstore.values.payloads import Value
from runstore.values.runs import (
    ConfigRef,
    ExternalRef,
    NewEvent,
    Outcome,
    PlanNode,
    SnapshotReason,
    Usage,
)
from runstore.wire import runs as wire

FIRST_EPOCH = 1
"""The writer epoch of a run that nobody resumed."""


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run and the epoch its writer holds; None writes without fencing."""

    project: str
    run_id: str
    writer_epoch: int | None = None


class Writer(Protocol):
    """A handle on a run, of either client."""

    @property
    def ref(self) -> RunRef: ...


class EventFields(TypedDict, total=False):
    """What may stand beside an event's type and payload."""

    event_id: str
    node_id: str
    actor: str
    model: str
    tool: str
    tags: Sequence[str]
    usage: Usage | None
    trace_parent: str
    occurred_at: datetime | None


class FilterFields(TypedDict, total=False):
    """Which events: any of the types, any of the nodes, all of the tags."""

    types: Sequence[str]
    node_ids: Sequence[str]
    tags: Sequence[str]


class SnapshotFields(TypedDict, total=False):
    """What a snapshot may hold; values of `state` may be `Ref`s to parts stored before."""

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


class OutputFields(TypedDict, total=False):
    """What may stand beside an output's payload."""

    schema_hash: str
    plan_version_id: str
    provenance: Value
    statistics: Value


@dataclass(frozen=True, slots=True)
class Completion:
    """How a run ended."""

    outcome: Outcome = Outcome.SUCCEEDED
    payload: Value = None
    output: OutputFields = field(default_factory=OutputFields)
    events: Sequence[NewEvent] = ()
    final_snapshot: SnapshotFields | None = None


class ForkFields(TypedDict, total=False):
    """What is different in a fork; `config_refs` replace those of the same kind and name."""

    run_id: str
    config_refs: Sequence[ConfigRef]
    tags: Sequence[str]
    labels: Mapping[str, str]


class NewRunFields(TypedDict, total=False):
    """What a run may be saved with; with `completion` it is stored as already finished."""

    run_id: str
    plan_id: str
    plan: Value
    parent_run_id: str
    external_ref: ExternalRef
    config_refs: Sequence[ConfigRef]
    tags: Sequence[str]
    labels: Mapping[str, str]
    completion: Completion


def event_of(event: str | NewEvent, payload: Value, fields: EventFields) -> NewEvent:
    """The event an append means; raise TypeError where a `NewEvent` comes with more beside it."""
    if isinstance(event, str):
        return NewEvent(event, payload, **fields)
    if payload is not None or fields:
        raise TypeError("a NewEvent holds its payload and fields itself")
    return event


def filter_message(fields: FilterFields) -> events_pb2.EventFilter:
    return events_pb2.EventFilter(**fields)


def snapshot_message(fields: SnapshotFields) -> snapshots_pb2.Snapshot:
    message = snapshots_pb2.Snapshot(
        namespace=fields.get("namespace", ""),
        snapshot_id=fields.get("snapshot_id", ""),
        parent_snapshot_id=fields.get("parent_snapshot_id", ""),
        seq=fields.get("seq", 0),
        plan_version_id=fields.get("plan_version_id", ""),
        reason=snapshots_pb2.SnapshotReason.ValueType(fields.get("reason", 0)),
        nodes=[wire.node_message(node) for node in fields.get("nodes", ())],
        pending_node_ids=fields.get("pending_node_ids", ()),
        metadata=wire.payload_message(fields.get("metadata")),
    )
    for name, value in fields.get("state", {}).items():
        message.state[name].CopyFrom(wire.part_message(value))
    return message


def output_message(payload: Value, fields: OutputFields) -> outputs_pb2.Output:
    return outputs_pb2.Output(
        payload=wire.payload_message(payload),
        schema_hash=fields.get("schema_hash", ""),
        plan_version_id=fields.get("plan_version_id", ""),
        provenance=wire.payload_message(fields.get("provenance")),
        statistics=wire.payload_message(fields.get("statistics")),
    )
