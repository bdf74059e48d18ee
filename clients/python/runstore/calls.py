"""Every unary call as a value: which RPC, what request, what its answer means.

The async and the sync client build the same calls and differ only in how they send them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypedDict, TypeVar

from google.protobuf.message import Message

from runstore import wire
from runstore.v1 import outputs_pb2, runs_pb2, snapshots_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values import (
    Appended,
    Claim,
    Completed,
    ConfigRef,
    EventPage,
    ExternalRef,
    NewEvent,
    Outcome,
    Output,
    PlanNode,
    RunInfo,
    RunQuery,
    Snapshot,
    SnapshotPut,
    SnapshotReason,
    TaskWrite,
    Value,
    Verification,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One RPC. `answer` turns its response into a value."""

    method: str
    request: Message
    answer: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run and the epoch its writer holds; None writes without fencing."""

    project: str
    run_id: str
    writer_epoch: int | None = None


class NewRunFields(TypedDict, total=False):
    """What a run may be saved with."""

    run_id: str
    plan_id: str
    plan: Value
    parent_run_id: str
    external_ref: ExternalRef
    config_refs: Sequence[ConfigRef]
    tags: Sequence[str]
    labels: Mapping[str, str]


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


def save_run(project: str, objective: str, fields: NewRunFields) -> Call[RunInfo]:
    ref = fields.get("external_ref")
    request = rpc.SaveRunRequest(
        project=project,
        run_id=fields.get("run_id") or wire.new_id(),
        plan_id=fields.get("plan_id", ""),
        objective=objective,
        plan=wire.payload_message(fields.get("plan")),
        parent_run_id=fields.get("parent_run_id", ""),
        external_ref=runs_pb2.ExternalRef(
            system=ref.system, id=ref.id, url=ref.url, owns_status=ref.owns_status
        )
        if ref
        else None,
        config_refs=[
            runs_pb2.ConfigRef(
                kind=each.kind, name=each.name, version=each.version, digest=each.digest
            )
            for each in fields.get("config_refs", ())
        ],
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
    )
    return Call("SaveRun", request, lambda response: wire.run_value(response.run))


def get_run(run: RunRef) -> Call[RunInfo]:
    request = rpc.GetRunRequest(project=run.project, run_id=run.run_id)
    return Call("GetRun", request, lambda response: wire.run_value(response.run))


def list_runs(
    project: str, query: RunQuery, page_size: int, page_token: str
) -> Call[tuple[list[RunInfo], str]]:
    request = rpc.ListRunsRequest(
        project=project,
        filter=rpc.RunFilter(
            statuses=[runs_pb2.RunStatus.ValueType(each) for each in query.statuses],
            tags=query.tags,
            labels=query.labels,
            created_from_time=wire.timestamp(query.created_from),
            created_before_time=wire.timestamp(query.created_before),
            plan_id=query.plan_id,
            model=query.model,
            tool=query.tool,
            parent_run_id=query.parent_run_id,
        ),
        order=rpc.RUN_ORDER_CREATED_ASC if query.oldest_first else rpc.RUN_ORDER_CREATED_DESC,
        page_size=page_size,
        page_token=page_token,
    )
    return Call(
        "ListRuns",
        request,
        lambda response: (
            [wire.run_value(run) for run in response.runs],
            response.next_page_token,
        ),
    )


def append(
    run: RunRef, events: Sequence[NewEvent], expected_seq: int | None
) -> Call[list[Appended]]:
    request = rpc.AppendEventsRequest(
        project=run.project,
        run_id=run.run_id,
        events=[wire.event_message(event) for event in events],
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )
    return Call(
        "AppendEvents",
        request,
        lambda response: [wire.appended_value(each) for each in response.events],
    )


def append_one(run: RunRef, event: NewEvent, expected_seq: int | None) -> Call[Appended]:
    request = rpc.AppendEventRequest(
        project=run.project,
        run_id=run.run_id,
        event=wire.event_message(event),
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )
    return Call("AppendEvent", request, wire.appended_value)


def list_events(run: RunRef, from_seq: int, page_size: int) -> Call[EventPage]:
    request = rpc.ListEventsRequest(
        project=run.project, run_id=run.run_id, from_seq=from_seq, page_size=page_size
    )
    return Call("ListEvents", request, wire.page_value)


def put_snapshot(
    run: RunRef,
    fields: SnapshotFields,
    events: Sequence[NewEvent],
    task_writes: Sequence[TaskWrite],
    expected_seq: int | None,
) -> Call[SnapshotPut]:
    request = rpc.PutSnapshotRequest(
        project=run.project,
        run_id=run.run_id,
        snapshot=_snapshot(fields),
        events=[wire.event_message(event) for event in events],
        task_writes=[wire.task_write_message(write) for write in task_writes],
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
        request_id=wire.new_id(),
    )
    return Call("PutSnapshot", request, wire.snapshot_put_value)


def put_task_writes(run: RunRef, writes: Sequence[TaskWrite], namespace: str) -> Call[bool]:
    request = rpc.PutTaskWritesRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        writes=[wire.task_write_message(write) for write in writes],
        writer_epoch=run.writer_epoch,
    )
    return Call("PutTaskWrites", request, lambda response: bool(response.deduplicated))


def get_snapshot(
    run: RunRef,
    namespace: str,
    snapshot_id: str | None,
    plan_version_id: str | None,
    at_seq: int | None,
) -> Call[Snapshot]:
    request = rpc.GetSnapshotRequest(project=run.project, run_id=run.run_id, namespace=namespace)
    if snapshot_id is not None:
        request.snapshot_id = snapshot_id
    elif plan_version_id is not None:
        request.plan_version_id = plan_version_id
    elif at_seq is not None:
        request.at_seq = at_seq
    return Call("GetSnapshot", request, wire.snapshot_response_value)


def list_snapshots(
    run: RunRef,
    namespace: str | None,
    metadata: Mapping[str, Any] | None,
    with_parts: bool,
    page_token: str,
) -> Call[tuple[list[Snapshot], str]]:
    request = rpc.ListSnapshotsRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        metadata=wire.payload_message(metadata),
        with_parts=with_parts,
        page_token=page_token,
    )
    return Call(
        "ListSnapshots",
        request,
        lambda response: (
            [wire.snapshot_value(each) for each in response.snapshots],
            response.next_page_token,
        ),
    )


def resume(run: RunRef, namespace: str, actor: str, request_id: str) -> Call[Claim]:
    request = rpc.ResumeRunRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        actor=actor,
        request_id=request_id or wire.new_id(),
    )
    return Call("ResumeRun", request, wire.claim_value)


def complete(
    run: RunRef,
    outcome: Outcome,
    payload: Value,
    fields: OutputFields,
    events: Sequence[NewEvent],
    final_snapshot: SnapshotFields | None,
) -> Call[Completed]:
    request = rpc.CompleteRunRequest(
        project=run.project,
        run_id=run.run_id,
        outcome=outputs_pb2.Outcome.ValueType(outcome),
        events=[wire.event_message(event) for event in events],
        output=outputs_pb2.Output(
            payload=wire.payload_message(payload),
            schema_hash=fields.get("schema_hash", ""),
            plan_version_id=fields.get("plan_version_id", ""),
            provenance=wire.payload_message(fields.get("provenance")),
            statistics=wire.payload_message(fields.get("statistics")),
        ),
        final_snapshot=None if final_snapshot is None else _snapshot(final_snapshot),
        writer_epoch=run.writer_epoch,
    )
    return Call("CompleteRun", request, wire.completed_value)


def get_output(run: RunRef, revision: int) -> Call[Output]:
    request = rpc.GetOutputRequest(project=run.project, run_id=run.run_id, revision=revision)
    return Call("GetOutput", request, lambda response: wire.output_value(response.output))


def verify(run: RunRef, from_seq: int, max_events: int) -> Call[Verification]:
    request = rpc.VerifyRunRequest(
        project=run.project, run_id=run.run_id, from_seq=from_seq, max_events=max_events
    )
    return Call("VerifyRun", request, wire.verification_value)


def _snapshot(fields: SnapshotFields) -> snapshots_pb2.Snapshot:
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


def counted(found: Verification, checked_events: int) -> Verification:
    """The findings of the last slice, with the events of all slices."""
    return replace(found, checked_events=checked_events)
