"""Runs, their filters, and what guards a write to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Protocol, get_args

from runstore.v1 import outputs_pb2, run_service_pb2, runs_pb2
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.heads import Guard, RunKey, RunStatus
from runstore_storage.contract.runs import (
    ExternalFilter,
    ExternalRef,
    NewFork,
    NewRun,
    PinFilter,
    Run,
    RunFilter,
)

from runstore_server.convert.events import usage_message
from runstore_server.convert.outputs import completion_of
from runstore_server.convert.payloads import payload_message, payload_of
from runstore_server.convert.times import time_of, timestamp

TimeBound = Literal[
    "created_from_time",
    "created_before_time",
    "updated_from_time",
    "updated_before_time",
    "completed_from_time",
    "completed_before_time",
]
DEFAULT_PROJECT = "default"
TIME_BOUNDS: tuple[TimeBound, ...] = get_args(TimeBound)


class OfRun(Protocol):
    """A request about one run."""

    project: str
    run_id: str


class Guarded(Protocol):
    """A request that may name the writer's epoch and the last seq it has seen."""

    expected_seq: int
    writer_epoch: int

    def HasField(  # noqa: N802 - protobuf's name
        self, field_name: Literal["expected_seq", "writer_epoch"], /
    ) -> bool: ...


def project_of(project: str) -> str:
    return project or DEFAULT_PROJECT


def key_of(request: OfRun) -> RunKey:
    return RunKey(project_of(request.project), request.run_id)


def guard_of(request: Guarded) -> Guard:
    return Guard(
        expected_seq=request.expected_seq if request.HasField("expected_seq") else None,
        writer_epoch=request.writer_epoch if request.HasField("writer_epoch") else None,
    )


def new_run_of(request: run_service_pb2.SaveRunRequest) -> NewRun:
    ref = request.external_ref
    return NewRun(
        project=project_of(request.project),
        run_id=request.run_id,
        plan_id=request.plan_id,
        objective=request.objective,
        plan=payload_of(request.plan) if request.HasField("plan") else None,
        parent_run_id=request.parent_run_id,
        external_ref=ExternalRef(ref.system, ref.id, ref.url, ref.owns_status)
        if request.HasField("external_ref")
        else None,
        config_refs=config_refs_of(request.config_refs),
        tags=tuple(request.tags),
        labels=dict(request.labels),
        completion=completion_of(request.completion) if request.HasField("completion") else None,
        subjects=tuple(request.subjects),
    )


def fork_of(request: run_service_pb2.ForkRunRequest) -> NewFork:
    return NewFork(
        key=key_of(request),
        at_seq=request.at_seq,
        fork_run_id=request.fork_run_id,
        objective=request.objective if request.HasField("objective") else None,
        config_refs=config_refs_of(request.config_refs),
        tags=tuple(request.tags),
        labels=dict(request.labels),
    )


def config_refs_of(messages: Iterable[runs_pb2.ConfigRef]) -> tuple[ConfigRef, ...]:
    return tuple(
        ConfigRef(each.kind, each.name, each.version, each.digest, each.label) for each in messages
    )


def config_ref_message(pin: ConfigRef) -> runs_pb2.ConfigRef:
    return runs_pb2.ConfigRef(kind=pin.kind, name=pin.name, version=pin.version, digest=pin.digest)


def run_message(run: Run) -> runs_pb2.Run:
    born, ref, base = run.born, run.born.external_ref, run.born.fork_base
    return runs_pb2.Run(
        project=born.project,
        run_id=born.run_id,
        plan_id=born.plan_id,
        objective=born.objective,
        plan=payload_message(born.plan) if born.plan else None,
        parent_run_id=born.parent_run_id,
        external_ref=runs_pb2.ExternalRef(
            system=ref.system, id=ref.id, url=ref.url, owns_status=ref.owns_status
        )
        if ref
        else None,
        config_refs=[config_ref_message(each) for each in born.config_refs],
        tags=born.tags,
        labels=born.labels,
        status=runs_pb2.RunStatus.ValueType(run.status),
        last_seq=run.last_seq,
        writer_epoch=run.writer_epoch,
        usage=usage_message(run.usage),
        created_at=timestamp(run.created_at),
        updated_at=timestamp(run.updated_at),
        completed_at=timestamp(run.completed_at) if run.completed_at else None,
        outcome=outputs_pb2.Outcome.ValueType(run.outcome),
        last_hash=run.last_hash,
        fork_base=runs_pb2.ForkBase(run_id=base.run_id, seq=base.seq) if base else None,
        subjects=born.subjects,
        salt=born.salt or b"",
    )


def filter_of(message: run_service_pb2.RunFilter) -> RunFilter:
    return RunFilter(
        statuses=tuple(RunStatus(each) for each in message.statuses),
        tags=tuple(message.tags),
        any_tags=tuple(message.any_tags),
        labels=dict(message.labels),
        plan_id=message.plan_id,
        model=message.model,
        tool=message.tool,
        parent_run_id=message.parent_run_id,
        root_run_id=message.root_run_id,
        text=message.objective,
        config=PinFilter(
            message.config.kind,
            message.config.name,
            message.config.version,
            message.config.digest,
        )
        if message.HasField("config")
        else None,
        external=ExternalFilter(message.external.system, message.external.id)
        if message.HasField("external")
        else None,
        **_times_of(message),
    )


def _times_of(message: run_service_pb2.RunFilter) -> dict[str, datetime]:
    """The time bounds that are set; the field `<bound>_time` is the filter's `<bound>`."""
    return {
        name.removesuffix("_time"): time_of(getattr(message, name))
        for name in TIME_BOUNDS
        if message.HasField(name)
    }
