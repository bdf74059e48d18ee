"""Runs."""

from __future__ import annotations

from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.runs import Run, Verification
from runstore_storage.contract.snapshots import StoredSnapshot

from runstore_server.json.events import usage_value
from runstore_server.json.outputs import outcome_name, output_value, success_of
from runstore_server.json.payloads import payload_value
from runstore_server.json.snapshots import summary_value
from runstore_server.json.times import time_text
from runstore_server.json.writing import JsonValue


def run_summary_value(run: Run) -> dict[str, JsonValue]:
    """What a listing says of a run: everything that is small."""
    born = run.born
    return {
        "project": born.project,
        "run_id": born.run_id,
        "plan_id": born.plan_id,
        "objective": born.objective,
        "parent_run_id": born.parent_run_id,
        "status": run.status.name.lower(),
        "outcome": outcome_name(run.outcome),
        "success": success_of(run.outcome),
        "tags": born.tags,
        "labels": born.labels,
        "last_seq": run.last_seq,
        "usage": usage_value(run.usage),
        "created_at": time_text(run.created_at),
        "updated_at": time_text(run.updated_at),
        "completed_at": time_text(run.completed_at),
    }


def run_value(
    run: Run, output: StoredOutput | None, latest: StoredSnapshot | None
) -> dict[str, JsonValue]:
    """All of a run, with its latest output and what its latest snapshot is."""
    plan = payload_value(run.born.plan)
    return {
        **run_summary_value(run),
        "plan": plan,
        "plan_result": plan,
        "execution_result": payload_value(output.output.payload) if output else None,
        "output": output_value(output) if output else None,
        "external_ref": _external_ref_value(run),
        "config_refs": [
            {
                "kind": each.kind,
                "name": each.name,
                "version": each.version,
                "digest": each.digest,
            }
            for each in run.born.config_refs
        ],
        "writer_epoch": run.writer_epoch,
        "last_hash": run.last_hash.hex(),
        "latest_snapshot": summary_value(latest) if latest else None,
    }


def verification_value(found: Verification) -> dict[str, JsonValue]:
    return {
        "verified": not found.problem,
        "checked_events": found.checked_events,
        "last_seq": found.last_seq,
        "last_hash": found.last_hash.hex(),
        "first_break": {"seq": found.problem_seq, "problem": found.problem}
        if found.problem
        else None,
        "next_from_seq": found.next_from_seq or None,
    }


def _external_ref_value(run: Run) -> JsonValue:
    ref = run.born.external_ref
    if ref is None:
        return None
    return {"system": ref.system, "id": ref.id, "url": ref.url, "owns_status": ref.owns_status}
