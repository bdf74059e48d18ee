"""Between values and messages; pure functions."""

from __future__ import annotations

from typing import Literal

from runstore.ids import new_id
from runstore.v1 import (
    events_pb2,
    outputs_pb2,
    payloads_pb2,
    run_service_pb2,
    runs_pb2,
    snapshots_pb2,
)
from runstore.values.payloads import Payload, Ref, Value, payload_of
from runstore.values.runs import (
    Appended,
    Claim,
    Completed,
    ConfigRef,
    Event,
    EventPage,
    ExternalRef,
    ForkBase,
    NewEvent,
    Outcome,
    Output,
    PinnedConfig,
    PlanNode,
    Replayed,
    RunInfo,
    RunStatus,
    Snapshot,
    SnapshotPut,
    SnapshotReason,
    SnapshotsDeleted,
    TaskWrite,
    Usage,
    Verification,
)
from runstore.wire.times import duration, span_of, time_of, timestamp

NodePart = Literal["input_schema", "output_schema", "provenance", "state"]
_NODE_PARTS: tuple[NodePart, ...] = ("input_schema", "output_schema", "provenance", "state")


def payload_message(value: Value) -> payloads_pb2.Payload | None:
    """The message of a payload argument; None stays away."""
    if value is None:
        return None
    if isinstance(value, Ref):
        return payloads_pb2.Payload(ref=value.sha256)
    payload = payload_of(value)
    if isinstance(payload.content, str):
        return payloads_pb2.Payload(json=payload.content, content_type=payload.content_type)
    return payloads_pb2.Payload(binary=payload.content, content_type=payload.content_type)


def part_message(value: Value) -> payloads_pb2.Payload:
    """The message of a state part, where None is JSON's null."""
    return payload_message(Payload("null") if value is None else value) or payloads_pb2.Payload()


def payload_value(message: payloads_pb2.Payload) -> Payload:
    content = message.json if message.WhichOneof("content") == "json" else message.binary
    return Payload(content, message.content_type)


def event_message(event: NewEvent) -> events_pb2.Event:
    """The message of an event, with an id of ours where it has none."""
    return events_pb2.Event(
        event_id=event.event_id or new_id(),
        type=event.type,
        payload=payload_message(event.payload),
        node_id=event.node_id,
        actor=event.actor,
        model=event.model,
        tool=event.tool,
        tags=event.tags,
        usage=usage_message(event.usage),
        trace_parent=event.trace_parent,
        occurred_at=timestamp(event.occurred_at),
    )


def event_value(message: events_pb2.Event) -> Event:
    return Event(
        seq=message.seq,
        type=message.type,
        payload=payload_value(message.payload) if message.HasField("payload") else None,
        event_id=message.event_id,
        node_id=message.node_id,
        actor=message.actor,
        model=message.model,
        tool=message.tool,
        tags=tuple(message.tags),
        usage=usage_value(message.usage) if message.HasField("usage") else None,
        trace_parent=message.trace_parent,
        occurred_at=time_of(message.occurred_at) if message.HasField("occurred_at") else None,
        recorded_at=time_of(message.recorded_at),
        hash=message.hash,
    )


def usage_message(usage: Usage | None) -> events_pb2.Usage | None:
    if usage is None:
        return None
    return events_pb2.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cost_micros=usage.cost_micros,
        duration=duration(usage.duration),
    )


def usage_value(message: events_pb2.Usage) -> Usage:
    return Usage(
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        cached_input_tokens=message.cached_input_tokens,
        cost_micros=message.cost_micros,
        duration=span_of(message.duration),
    )


def appended_value(message: run_service_pb2.AppendEventResponse) -> Appended:
    return Appended(
        seq=message.seq,
        recorded_at=time_of(message.recorded_at),
        hash=message.hash,
        deduplicated=message.deduplicated,
        event_id=message.event_id,
    )


def page_value(message: run_service_pb2.ListEventsResponse) -> EventPage:
    return EventPage(
        tuple(map(event_value, message.events)), message.next_from_seq, message.last_seq
    )


def node_message(node: PlanNode) -> snapshots_pb2.PlanNode:
    return snapshots_pb2.PlanNode(
        node_id=node.node_id,
        kind=node.kind,
        facets=node.facets,
        status=node.status,
        input_schema=payload_message(node.input_schema),
        output_schema=payload_message(node.output_schema),
        provenance=payload_message(node.provenance),
        state=payload_message(node.state),
    )


def node_value(message: snapshots_pb2.PlanNode) -> PlanNode:
    parts = {
        name: payload_value(getattr(message, name))
        for name in _NODE_PARTS
        if message.HasField(name)
    }
    return PlanNode(message.node_id, message.kind, tuple(message.facets), message.status, **parts)


def task_write_message(write: TaskWrite) -> snapshots_pb2.TaskWrite:
    return snapshots_pb2.TaskWrite(
        snapshot_id=write.snapshot_id,
        task_id=write.task_id,
        index=write.index,
        channel=write.channel,
        payload=payload_message(write.payload),
    )


def task_write_value(message: snapshots_pb2.TaskWrite) -> TaskWrite:
    return TaskWrite(
        task_id=message.task_id,
        index=message.index,
        payload=payload_value(message.payload) if message.HasField("payload") else None,
        channel=message.channel,
        snapshot_id=message.snapshot_id,
    )


def snapshot_value(
    message: snapshots_pb2.Snapshot, task_writes: tuple[TaskWrite, ...] = ()
) -> Snapshot:
    return Snapshot(
        run_id=message.run_id,
        namespace=message.namespace,
        snapshot_id=message.snapshot_id,
        parent_snapshot_id=message.parent_snapshot_id,
        seq=message.seq,
        plan_version_id=message.plan_version_id,
        reason=SnapshotReason(message.reason),
        nodes=tuple(map(node_value, message.nodes)),
        pending_node_ids=tuple(message.pending_node_ids),
        state={name: payload_value(message.state[name]) for name in message.state},
        metadata=payload_value(message.metadata) if message.HasField("metadata") else None,
        created_at=time_of(message.created_at),
        content_hash=message.content_hash,
        task_writes=task_writes,
    )


def snapshot_response_value(message: run_service_pb2.GetSnapshotResponse) -> Snapshot:
    return snapshot_value(message.snapshot, tuple(map(task_write_value, message.task_writes)))


def snapshot_put_value(message: run_service_pb2.PutSnapshotResponse) -> SnapshotPut:
    return SnapshotPut(
        snapshot_id=message.snapshot_id,
        seq=message.seq,
        content_hash=message.content_hash,
        created_at=time_of(message.created_at),
        last_seq=message.last_seq,
        deduplicated=message.deduplicated,
    )


def snapshots_deleted_value(
    message: run_service_pb2.DeleteSnapshotsResponse,
) -> SnapshotsDeleted:
    return SnapshotsDeleted(
        snapshots=message.deleted_snapshots,
        task_writes=message.deleted_task_writes,
        freed_bytes=message.freed_bytes,
    )


def run_value(message: runs_pb2.Run) -> RunInfo:
    ref = message.external_ref
    return RunInfo(
        project=message.project,
        run_id=message.run_id,
        plan_id=message.plan_id,
        objective=message.objective,
        plan=payload_value(message.plan) if message.HasField("plan") else None,
        parent_run_id=message.parent_run_id,
        external_ref=ExternalRef(ref.system, ref.id, ref.url, ref.owns_status)
        if message.HasField("external_ref")
        else None,
        config_refs=tuple(
            ConfigRef(each.kind, each.name, each.version, each.digest)
            for each in message.config_refs
        ),
        tags=tuple(message.tags),
        labels=dict(message.labels),
        status=RunStatus(message.status),
        outcome=Outcome(message.outcome),
        last_seq=message.last_seq,
        last_hash=message.last_hash,
        writer_epoch=message.writer_epoch,
        usage=usage_value(message.usage),
        created_at=time_of(message.created_at),
        updated_at=time_of(message.updated_at),
        completed_at=time_of(message.completed_at) if message.HasField("completed_at") else None,
        fork_base=ForkBase(message.fork_base.run_id, message.fork_base.seq)
        if message.HasField("fork_base")
        else None,
    )


def config_ref_message(ref: ConfigRef) -> runs_pb2.ConfigRef:
    return runs_pb2.ConfigRef(
        kind=ref.kind, name=ref.name, version=ref.version, digest=ref.digest, label=ref.label
    )


def replayed_value(message: run_service_pb2.ReplayRunResponse) -> Replayed:
    return Replayed(
        run=run_value(message.run),
        at_seq=message.at_seq,
        snapshot=snapshot_value(message.snapshot) if message.HasField("snapshot") else None,
        task_writes=tuple(task_write_value(each) for each in message.task_writes),
        events=tuple(event_value(each) for each in message.events),
        next_from_seq=message.next_from_seq,
        configs=tuple(
            PinnedConfig(
                ConfigRef(each.ref.kind, each.ref.name, each.ref.version, each.ref.digest),
                payload_value(each.body) if each.HasField("body") else None,
            )
            for each in message.configs
        ),
    )


def output_value(message: outputs_pb2.Output) -> Output:
    def payload(name: Literal["payload", "provenance", "statistics"]) -> Payload | None:
        return payload_value(getattr(message, name)) if message.HasField(name) else None

    return Output(
        payload=payload("payload"),
        schema_hash=message.schema_hash,
        plan_version_id=message.plan_version_id,
        provenance=payload("provenance"),
        statistics=payload("statistics"),
        usage=usage_value(message.usage),
        outcome=Outcome(message.outcome),
        revision=message.revision,
        completed_at=time_of(message.completed_at),
    )


def completed_value(message: run_service_pb2.CompleteRunResponse) -> Completed:
    return Completed(
        status=RunStatus(message.status),
        seq=message.seq,
        revision=message.revision,
        completed_at=time_of(message.completed_at),
        deduplicated=message.deduplicated,
    )


def claim_value(message: run_service_pb2.ResumeRunResponse) -> Claim:
    return Claim(
        run=run_value(message.run),
        writer_epoch=message.writer_epoch,
        snapshot=snapshot_value(message.snapshot) if message.HasField("snapshot") else None,
        pending_node_ids=tuple(message.pending_node_ids),
        task_writes=tuple(map(task_write_value, message.task_writes)),
        events=tuple(map(event_value, message.events)),
        next_from_seq=message.next_from_seq,
        deduplicated=message.deduplicated,
    )


def verification_value(message: run_service_pb2.VerifyRunResponse) -> Verification:
    return Verification(
        verified=message.verified,
        checked_events=message.checked_events,
        last_seq=message.last_seq,
        last_hash=message.last_hash,
        problem=message.first_break.problem,
        problem_seq=message.first_break.seq,
        next_from_seq=message.next_from_seq,
    )
