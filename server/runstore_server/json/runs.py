"""Runs."""

from __future__ import annotations

import runstore
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.runs import ExternalRef, ForkBase, Run, Verification

from runstore_server.json.events import usage_value
from runstore_server.json.outputs import output_value, success_value
from runstore_server.json.payloads import payload_value
from runstore_server.json.snapshots import snapshot_value
from runstore_server.json.texts import enum_text, hash_text, salt_text, time_text
from runstore_server.json.writing import JsonObject, JsonValue


def run_summary_value(run: Run | runstore.RunInfo) -> JsonObject:
    """A run as a listing shows it: every field that is small."""
    born = run.born if isinstance(run, Run) else run
    return {
        "project": born.project,
        "run_id": born.run_id,
        "plan_id": born.plan_id,
        "objective": born.objective,
        "parent_run_id": born.parent_run_id,
        "status": enum_text(run.status),
        "outcome": enum_text(run.outcome),
        "success": success_value(run.outcome),
        "tags": born.tags,
        "labels": born.labels,
        "subjects": born.subjects,
        "last_seq": run.last_seq,
        "usage": usage_value(run.usage),
        "created_at": time_text(run.created_at),
        "updated_at": time_text(run.updated_at),
        "completed_at": time_text(run.completed_at),
    }


def run_value(
    run: Run | runstore.RunInfo, output: StoredOutput | runstore.Output | None
) -> JsonObject:
    """A run in full with its latest output; `plan_result` and `execution_result` repeat both."""
    born = run.born if isinstance(run, Run) else run
    plan = payload_value(born.plan)
    result = output.output if isinstance(output, StoredOutput) else output
    return {
        **run_summary_value(run),
        "plan": plan,
        "plan_result": plan,
        "execution_result": payload_value(result.payload) if result else None,
        "output": output_value(output) if output else None,
        "external_ref": _external_ref_value(born.external_ref),
        "config_refs": [config_ref_value(each) for each in born.config_refs],
        "fork_base": _fork_base_value(born.fork_base),
        "writer_epoch": run.writer_epoch,
        "last_hash": hash_text(run.last_hash),
        "salt": salt_text(born.salt),
    }


def config_ref_value(ref: ConfigRef | runstore.ConfigRef) -> JsonObject:
    """A pinned version."""
    return {"kind": ref.kind, "name": ref.name, "version": ref.version, "digest": ref.digest}


def resume_point_value(info: runstore.RunInfo, snapshot: runstore.Snapshot | None) -> JsonObject:
    """Where a resume would begin."""
    return {
        "run_id": info.run_id,
        "status": enum_text(info.status),
        "is_complete": info.completed_at is not None,
        "last_seq": info.last_seq,
        "writer_epoch": info.writer_epoch,
        "snapshot": snapshot_value(snapshot, snapshot.task_writes) if snapshot else None,
        "events_after_snapshot": info.last_seq - (snapshot.seq if snapshot else 0),
    }


def verification_value(found: Verification | runstore.Verification) -> JsonObject:
    return {
        "verified": not found.problem,
        "checked_events": found.checked_events,
        "last_seq": found.last_seq,
        "last_hash": hash_text(found.last_hash),
        "first_break": {"seq": found.problem_seq, "problem": found.problem}
        if found.problem
        else None,
        "next_from_seq": found.next_from_seq or None,
        "erased_events": found.erased_events,
    }


def _external_ref_value(ref: ExternalRef | runstore.ExternalRef | None) -> JsonValue:
    if ref is None:
        return None
    return {"system": ref.system, "id": ref.id, "url": ref.url, "owns_status": ref.owns_status}


def _fork_base_value(base: ForkBase | runstore.ForkBase | None) -> JsonValue:
    return {"run_id": base.run_id, "seq": base.seq} if base else None
