"""Every unary call as a value: which RPC, what request, what its answer means.

The async and the sync client build the same calls and differ only in how they send them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from runstore.fields import (
    Completion,
    FilterFields,
    ForkFields,
    NewRunFields,
    RunRef,
    SnapshotFields,
    filter_message,
    output_message,
    snapshot_message,
)
from runstore.ids import new_id
from runstore.v1 import outputs_pb2, runs_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.payloads import Payload
from runstore.values.runs import (
    Appended,
    Claim,
    Completed,
    EventPage,
    NewEvent,
    Output,
    Replayed,
    RunInfo,
    RunOrder,
    RunQuery,
    Snapshot,
    SnapshotPut,
    SnapshotsDeleted,
    TaskWrite,
    Verification,
)
from runstore.wire import runs as wire
from runstore.wire.times import timestamp

T = TypeVar("T")
Answer = Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One RPC. `answer` turns its response into a value."""

    method: str
    request: Message
    answer: Answer[T]
    service: str = "run_service"


def save_run(project: str, objective: str, fields: NewRunFields) -> Call[RunInfo]:
    ref, completion = fields.get("external_ref"), fields.get("completion")
    request = rpc.SaveRunRequest(
        project=project,
        run_id=fields.get("run_id") or new_id(),
        plan_id=fields.get("plan_id", ""),
        objective=objective,
        plan=wire.payload_message(fields.get("plan")),
        parent_run_id=fields.get("parent_run_id", ""),
        external_ref=runs_pb2.ExternalRef(
            system=ref.system, id=ref.id, url=ref.url, owns_status=ref.owns_status
        )
        if ref
        else None,
        config_refs=[wire.config_ref_message(each) for each in fields.get("config_refs", ())],
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
        completion=None if completion is None else _completion_message(completion),
    )
    return Call("SaveRun", request, lambda response: wire.run_value(response.run))


def get_run(run: RunRef) -> Call[RunInfo]:
    request = rpc.GetRunRequest(project=run.project, run_id=run.run_id)
    return Call("GetRun", request, lambda response: wire.run_value(response.run))


def list_runs(
    project: str, query: RunQuery, page_size: int, page_token: str
) -> Call[tuple[list[RunInfo], str]]:
    default = RunOrder.CREATED_ASC if query.oldest_first else RunOrder.CREATED_DESC
    request = rpc.ListRunsRequest(
        project=project,
        filter=_run_filter_message(query),
        order=rpc.RunOrder.ValueType(query.order or default),
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


def _run_filter_message(query: RunQuery) -> rpc.RunFilter:
    config, external = query.config, query.external
    return rpc.RunFilter(
        statuses=[runs_pb2.RunStatus.ValueType(each) for each in query.statuses],
        tags=query.tags,
        any_tags=query.any_tags,
        labels=query.labels,
        created_from_time=timestamp(query.created_from),
        created_before_time=timestamp(query.created_before),
        updated_from_time=timestamp(query.updated_from),
        updated_before_time=timestamp(query.updated_before),
        completed_from_time=timestamp(query.completed_from),
        completed_before_time=timestamp(query.completed_before),
        plan_id=query.plan_id,
        model=query.model,
        tool=query.tool,
        parent_run_id=query.parent_run_id,
        root_run_id=query.root_run_id,
        external=rpc.ExternalFilter(system=external.system, id=external.id) if external else None,
        config=rpc.ConfigFilter(
            kind=config.kind, name=config.name, version=config.version, digest=config.digest
        )
        if config
        else None,
        objective=query.objective,
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


def list_events(run: RunRef, from_seq: int, page_size: int, where: FilterFields) -> Call[EventPage]:
    request = rpc.ListEventsRequest(
        project=run.project,
        run_id=run.run_id,
        from_seq=from_seq,
        page_size=page_size,
        filter=filter_message(where),
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
        snapshot=snapshot_message(fields),
        events=[wire.event_message(event) for event in events],
        task_writes=[wire.task_write_message(write) for write in task_writes],
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
        # A snapshot's own id recognises it also when another process puts it again.
        request_id="" if fields.get("snapshot_id") else new_id(),
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
    metadata: Mapping[str, Any] | Payload | None,
    with_parts: bool,
    page_token: str,
    limit: int = 0,
) -> Call[tuple[list[Snapshot], str]]:
    request = rpc.ListSnapshotsRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        metadata=wire.payload_message(metadata),
        with_parts=with_parts,
        limit=limit,
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


def delete_snapshots(
    run: RunRef, snapshot_ids: Sequence[str], namespace: str
) -> Call[SnapshotsDeleted]:
    request = rpc.DeleteSnapshotsRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        snapshot_ids=snapshot_ids,
        writer_epoch=run.writer_epoch,
    )
    return Call("DeleteSnapshots", request, wire.snapshots_deleted_value)


def resume(
    run: RunRef, namespace: str, actor: str, request_id: str, expected_seq: int | None
) -> Call[Claim]:
    request = rpc.ResumeRunRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        actor=actor,
        request_id=request_id or new_id(),
        expected_seq=expected_seq,
    )
    return Call("ResumeRun", request, wire.claim_value)


def replay(run: RunRef, at_seq: int | None, namespace: str, page_size: int) -> Call[Replayed]:
    request = rpc.ReplayRunRequest(
        project=run.project,
        run_id=run.run_id,
        at_seq=at_seq,
        namespace=namespace,
        page_size=page_size,
    )
    return Call("ReplayRun", request, wire.replayed_value)


def fork(run: RunRef, at_seq: int, objective: str | None, fields: ForkFields) -> Call[RunInfo]:
    request = rpc.ForkRunRequest(
        project=run.project,
        run_id=run.run_id,
        at_seq=at_seq,
        fork_run_id=fields.get("run_id") or new_id(),
        objective=objective,
        config_refs=[wire.config_ref_message(each) for each in fields.get("config_refs", ())],
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
    )
    return Call("ForkRun", request, lambda response: wire.run_value(response.run))


def complete(run: RunRef, completion: Completion, expected_seq: int | None) -> Call[Completed]:
    message = _completion_message(completion)
    request = rpc.CompleteRunRequest(
        project=run.project,
        run_id=run.run_id,
        outcome=message.outcome,
        events=message.events,
        output=message.output,
        final_snapshot=message.final_snapshot if message.HasField("final_snapshot") else None,
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )
    return Call("CompleteRun", request, wire.completed_value)


def _completion_message(completion: Completion) -> rpc.Completion:
    final = completion.final_snapshot
    return rpc.Completion(
        outcome=outputs_pb2.Outcome.ValueType(completion.outcome),
        events=[wire.event_message(event) for event in completion.events],
        output=output_message(completion.payload, completion.output),
        final_snapshot=None if final is None else snapshot_message(final),
    )


def get_output(run: RunRef, revision: int) -> Call[Output]:
    request = rpc.GetOutputRequest(project=run.project, run_id=run.run_id, revision=revision)
    return Call("GetOutput", request, lambda response: wire.output_value(response.output))


def verify(run: RunRef, from_seq: int, max_events: int) -> Call[Verification]:
    request = rpc.VerifyRunRequest(
        project=run.project, run_id=run.run_id, from_seq=from_seq, max_events=max_events
    )
    return Call("VerifyRun", request, wire.verification_value)


def counted(found: Verification, checked_events: int) -> Verification:
    """The findings of the last slice, with the events of all slices."""
    return replace(found, checked_events=checked_events)
