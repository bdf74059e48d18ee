"""Runs as messages, and back."""

from __future__ import annotations

from runstore.arguments import instance, items
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1 import runs_pb2
from runstore.values.outputs import Outcome
from runstore.values.runs import (
    Claim,
    Completed,
    ExternalFilter,
    ExternalRef,
    ForkBase,
    Replayed,
    RunInfo,
    RunQuery,
    RunStatus,
    Verification,
)
from runstore.wire import configs
from runstore.wire.events import event_value, usage_value
from runstore.wire.messages import message_at, message_of
from runstore.wire.payloads import optional_payload
from runstore.wire.snapshots import optional_snapshot, task_write_values
from runstore.wire.times import optional_time, time_message, time_value


def external_ref_message(ref: ExternalRef | None) -> runs_pb2.ExternalRef | None:
    if ref is None:
        return None
    instance(ref, ExternalRef, "external_ref")
    return message_at(
        "external_ref.",
        runs_pb2.ExternalRef,
        system=ref.system,
        id=ref.id,
        url=ref.url,
        owns_status=ref.owns_status,
    )


def run_value(message: runs_pb2.Run) -> RunInfo:
    ref, base = message.external_ref, message.fork_base
    return RunInfo(
        project=message.project,
        run_id=message.run_id,
        plan_id=message.plan_id,
        objective=message.objective,
        plan=optional_payload(message, "plan"),
        parent_run_id=message.parent_run_id,
        external_ref=ExternalRef(ref.system, ref.id, ref.url, ref.owns_status)
        if message.HasField("external_ref")
        else None,
        config_refs=tuple(map(configs.ref_value, message.config_refs)),
        tags=tuple(message.tags),
        labels=dict(message.labels),
        status=RunStatus(message.status),
        outcome=Outcome(message.outcome),
        last_seq=message.last_seq,
        last_hash=message.last_hash,
        writer_epoch=message.writer_epoch,
        usage=usage_value(message.usage),
        created_at=time_value(message.created_at),
        updated_at=time_value(message.updated_at),
        completed_at=optional_time(message, "completed_at"),
        fork_base=ForkBase(base.run_id, base.seq) if message.HasField("fork_base") else None,
        subjects=tuple(message.subjects),
        salt=message.salt,
    )


def filter_message(query: RunQuery) -> rpc.RunFilter:
    statuses = items(query.statuses, RunStatus, "statuses")
    return message_of(
        rpc.RunFilter,
        statuses=[runs_pb2.RunStatus.ValueType(each) for each in statuses],
        tags=query.tags,
        any_tags=query.any_tags,
        labels=query.labels,
        created_from_time=time_message(query.created_from, "created_from"),
        created_before_time=time_message(query.created_before, "created_before"),
        updated_from_time=time_message(query.updated_from, "updated_from"),
        updated_before_time=time_message(query.updated_before, "updated_before"),
        completed_from_time=time_message(query.completed_from, "completed_from"),
        completed_before_time=time_message(query.completed_before, "completed_before"),
        plan_id=query.plan_id,
        model=query.model,
        tool=query.tool,
        parent_run_id=query.parent_run_id,
        root_run_id=query.root_run_id,
        external=_external_filter_message(query.external),
        config=configs.filter_message(query.config) if query.config else None,
        objective=query.objective,
    )


def _external_filter_message(wanted: ExternalFilter | None) -> rpc.ExternalFilter | None:
    if wanted is None:
        return None
    instance(wanted, ExternalFilter, "external")
    return message_at("external.", rpc.ExternalFilter, system=wanted.system, id=wanted.id)


def claim_value(message: rpc.ResumeRunResponse) -> Claim:
    return Claim(
        run=run_value(message.run),
        writer_epoch=message.writer_epoch,
        snapshot=optional_snapshot(message),
        pending_node_ids=tuple(message.pending_node_ids),
        task_writes=task_write_values(message.task_writes),
        events=tuple(map(event_value, message.events)),
        next_from_seq=message.next_from_seq,
        deduplicated=message.deduplicated,
    )


def completed_value(message: rpc.CompleteRunResponse) -> Completed:
    return Completed(
        status=RunStatus(message.status),
        seq=message.seq,
        revision=message.revision,
        completed_at=time_value(message.completed_at),
        deduplicated=message.deduplicated,
    )


def replayed_value(message: rpc.ReplayRunResponse) -> Replayed:
    return Replayed(
        run=run_value(message.run),
        at_seq=message.at_seq,
        snapshot=optional_snapshot(message),
        task_writes=task_write_values(message.task_writes),
        events=tuple(map(event_value, message.events)),
        next_from_seq=message.next_from_seq,
        configs=tuple(map(configs.pinned_value, message.configs)),
    )


def verification_value(message: rpc.VerifyRunResponse) -> Verification:
    return Verification(
        verified=message.verified,
        checked_events=message.checked_events,
        last_seq=message.last_seq,
        last_hash=message.last_hash,
        problem=message.first_break.problem,
        problem_seq=message.first_break.seq,
        next_from_seq=message.next_from_seq,
        erased_events=message.erased_events,
    )
