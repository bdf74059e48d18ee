"""Calls about runs."""

from __future__ import annotations

from typing import Any

from runstore.arguments import instance, member, only_known
from runstore.calls.call import PAGE_SIZE, RUNS, Call, Page, page_of
from runstore.ids import new_id
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.outputs import Completion
from runstore.values.runs import (
    Claim,
    Completed,
    ForkFields,
    NewRunFields,
    Replayed,
    RunInfo,
    RunOrder,
    RunQuery,
    RunRef,
    Verification,
)
from runstore.wire.configs import ref_messages
from runstore.wire.messages import message_of
from runstore.wire.outputs import completion_message
from runstore.wire.payloads import payload_message
from runstore.wire.runs import (
    claim_value,
    completed_value,
    external_ref_message,
    filter_message,
    replayed_value,
    run_value,
    verification_value,
)

VERIFY_SLICE = 10_000


def save_run(project: str, objective: str, fields: NewRunFields) -> Call[RunInfo]:
    only_known(fields, NewRunFields)
    ref, completion = fields.get("external_ref"), fields.get("completion")
    request = message_of(
        rpc.SaveRunRequest,
        project=project,
        run_id=fields.get("run_id") or new_id(),
        plan_id=fields.get("plan_id", ""),
        objective=objective,
        plan=payload_message(fields.get("plan"), "plan"),
        parent_run_id=fields.get("parent_run_id", ""),
        external_ref=external_ref_message(ref),
        config_refs=ref_messages(fields.get("config_refs", ())),
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
        completion=None if completion is None else completion_message(completion),
        subjects=fields.get("subjects", ()),
    )
    return Call(RUNS, "SaveRun", request, _run)


def get_run(run: RunRef) -> Call[RunInfo]:
    request = message_of(rpc.GetRunRequest, project=run.project, run_id=run.run_id)
    return Call(RUNS, "GetRun", request, _run)


def list_runs(project: str, query: RunQuery, page_token: str) -> Call[Page[RunInfo]]:
    instance(query, RunQuery, "query")
    default = RunOrder.CREATED_ASC if query.oldest_first else RunOrder.CREATED_DESC
    request = message_of(
        rpc.ListRunsRequest,
        project=project,
        filter=filter_message(query),
        order=rpc.RunOrder.ValueType(member(query.order or default, RunOrder, "order")),
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(RUNS, "ListRuns", request, page_of("runs", run_value))


def resume_run(
    run: RunRef, namespace: str, actor: str, request_id: str, expected_seq: int | None
) -> Call[Claim]:
    request = message_of(
        rpc.ResumeRunRequest,
        project=run.project,
        run_id=run.run_id,
        namespace=namespace,
        actor=actor,
        request_id=request_id or new_id(),
        expected_seq=expected_seq,
    )
    return Call(RUNS, "ResumeRun", request, claim_value)


def complete_run(run: RunRef, completion: Completion, expected_seq: int | None) -> Call[Completed]:
    message = completion_message(completion)
    request = message_of(
        rpc.CompleteRunRequest,
        project=run.project,
        run_id=run.run_id,
        outcome=message.outcome,
        events=message.events,
        output=message.output,
        final_snapshot=message.final_snapshot if message.HasField("final_snapshot") else None,
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )
    return Call(RUNS, "CompleteRun", request, completed_value)


def replay_run(
    run: RunRef, at_seq: int | None, namespace: str, page_size: int, read_archive: bool
) -> Call[Replayed]:
    request = message_of(
        rpc.ReplayRunRequest,
        project=run.project,
        run_id=run.run_id,
        at_seq=at_seq,
        namespace=namespace,
        page_size=page_size,
        read_archive=read_archive,
    )
    return Call(RUNS, "ReplayRun", request, replayed_value)


def fork_run(run: RunRef, at_seq: int, objective: str | None, fields: ForkFields) -> Call[RunInfo]:
    only_known(fields, ForkFields)
    request = message_of(
        rpc.ForkRunRequest,
        project=run.project,
        run_id=run.run_id,
        at_seq=at_seq,
        fork_run_id=fields.get("run_id") or new_id(),
        objective=objective,
        config_refs=ref_messages(fields.get("config_refs", ())),
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
    )
    return Call(RUNS, "ForkRun", request, _run)


def verify_run(
    run: RunRef, from_seq: int, max_events: int, read_archive: bool
) -> Call[Verification]:
    request = message_of(
        rpc.VerifyRunRequest,
        project=run.project,
        run_id=run.run_id,
        from_seq=from_seq,
        max_events=max_events,
        read_archive=read_archive,
    )
    return Call(RUNS, "VerifyRun", request, verification_value)


def _run(response: Any) -> RunInfo:
    return run_value(response.run)
