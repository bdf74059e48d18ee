"""Lines of an archive's files: what each row is as JSON, its members always in one order.

Times are microseconds since 1970 UTC, hashes and salts hexadecimal; what is absent is null.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.artifacts import Artifact
from runstore_storage.contract.configs import ConfigRef, ConfigVersion
from runstore_storage.contract.events import RecordedEvent, Usage
from runstore_storage.contract.holds import Hold
from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun, Run
from runstore_storage.contract.times import microseconds
from runstore_storage.sql.archives import KeptWrite
from runstore_storage.sql.columns import USAGE
from runstore_storage.sql.snapshots import StoredRow

Members = dict[str, object]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def line(members: Mapping[str, object]) -> bytes:
    """The members as a line."""
    return _encode(members).encode() + b"\n"


def open_run(run: Run) -> Members:
    """What stays of a run's birth."""
    born = run.born
    ref, base = born.external_ref, born.fork_base
    return {
        "run": {
            "project": born.project,
            "run_id": born.run_id,
            "plan_id": born.plan_id,
            "parent_run_id": born.parent_run_id,
            "external_ref": {"system": ref.system, "id": ref.id, "owns_status": ref.owns_status}
            if ref
            else None,
            "config_refs": [pin(each) for each in born.config_refs],
            "fork_base": {"run_id": base.run_id, "seq": base.seq} if base else None,
            "created_at": microseconds(run.created_at),
            **_sealed_run(born),
            "birth": chain.birth_hash(born).hex(),
        }
    }


def sealed_run(run: Run) -> Members:
    """What may be erased of a run's birth."""
    born = run.born
    return {
        "run": {
            "run_id": born.run_id,
            "salt": _hex(born.salt),
            "objective": born.objective,
            "plan": payload(born.plan),
            "tags": born.tags,
            "labels": dict(sorted(born.labels.items())),
            "external_url": born.external_ref.url if born.external_ref else "",
            "subjects": born.subjects,
        }
    }


def open_event(recorded: RecordedEvent) -> Members:
    """What stays of an event."""
    event = recorded.event
    return {
        "seq": recorded.seq,
        "event_id": event.event_id,
        "type": event.type,
        "node_id": event.node_id,
        "model": event.model,
        "tool": event.tool,
        "usage": usage(event.usage),
        "trace_parent": event.trace_parent,
        "occurred_at": _time(event.occurred_at),
        "recorded_at": microseconds(recorded.recorded_at),
        **_sealed_event(recorded),
        "hash": recorded.hash.hex(),
    }


def sealed_event(recorded: RecordedEvent) -> Members:
    """What may be erased of an event; once it is, when that was."""
    event = recorded.event
    if recorded.erased:
        return {"seq": recorded.seq, "erased_at": microseconds(recorded.erased.at)}
    return {
        "seq": recorded.seq,
        "salt": _hex(recorded.salt),
        "payload": payload(event.payload),
        "actor": event.actor,
        "tags": event.tags,
        "subjects": event.subjects,
    }


def snapshot(row: StoredRow, filled: Mapping[str, Any]) -> Members:
    """A snapshot; `filled` has its nodes, and its state by name, as `Manifest.named` gives them."""
    of = row.snapshot
    return {
        "run_id": row.run_id,
        "namespace": of.namespace,
        "snapshot_id": of.snapshot_id,
        "parent_snapshot_id": of.parent_snapshot_id,
        "seq": of.seq,
        "plan_version_id": of.plan_version_id,
        "reason": int(of.reason),
        **filled,
        "pending_node_ids": of.pending_node_ids,
        "metadata": payload(of.metadata),
        "created_at": microseconds(row.created_at),
        "salt": _hex(row.salt),
        "content_hash": row.content_hash.hex(),
    }


def task_write(kept: KeptWrite) -> Members:
    """A task's result."""
    write = kept.write
    return {
        "run_id": kept.run_id,
        "namespace": kept.namespace,
        "snapshot_id": write.snapshot_id,
        "task_id": write.task_id,
        "index": write.index,
        "channel": write.channel,
        "payload": payload(write.payload),
        "seq": kept.seq,
        "written_at": _time(kept.written_at),
        "salt": _hex(kept.salt),
        "body_hash": kept.body_hash.hex(),
    }


def output(stored: StoredOutput, body_hash: bytes) -> Members:
    """A revision of the output."""
    of = stored.output
    return {
        "revision": stored.revision,
        "outcome": stored.outcome.name,
        "payload": payload(of.payload),
        "schema_hash": of.schema_hash,
        "plan_version_id": of.plan_version_id,
        "provenance": payload(of.provenance),
        "statistics": payload(of.statistics),
        "usage": usage(stored.usage),
        "completed_at": microseconds(stored.completed_at),
        "salt": _hex(stored.salt),
        "body_hash": body_hash.hex(),
    }


def artifact(of: Artifact) -> Members:
    """A version of a named result."""
    return {
        "artifact_id": of.artifact_id,
        "name": of.new.name,
        "version": of.version,
        "type": of.new.type,
        "content_type": of.new.content_type,
        "url": of.url,
        "sha256": of.sha256.hex(),
        "size": of.size,
        "metadata": payload(of.new.metadata),
        "actor": of.new.actor,
        "created_at": microseconds(of.created_at),
    }


def config(of: ConfigVersion) -> Members:
    """A version that runs are pinned to; labels move, so they are none of an archive's."""
    return {
        "kind": of.kind,
        "name": of.name,
        "version": of.version,
        "digest": of.digest,
        "body": payload(of.body),
        "description": of.description,
        "metadata": payload(of.metadata),
        "actor": of.actor,
        "created_at": microseconds(of.created_at),
    }


def request(request_id: str, salt: bytes | None, body_hash: bytes, answer: str) -> Members:
    """The first answer to a request."""
    return {
        "request_id": request_id,
        "salt": _hex(salt),
        "body_hash": body_hash.hex(),
        "answer": json.loads(answer),
    }


def pin(ref: ConfigRef) -> Members:
    """A pinned version."""
    return {"kind": ref.kind, "name": ref.name, "version": ref.version, "digest": ref.digest}


def hold(of: Hold) -> Members:
    """What keeps the run from being removed."""
    by = of.placed_by
    return {
        "hold_id": of.hold_id,
        "names_run": bool(of.run_id),
        "reason": of.reason,
        "placed_by": {"kind": by.kind.name, "id": by.id, "issuer": by.issuer},
        "placed_at": microseconds(of.placed_at),
    }


def payload(of: Payload | None) -> Members | None:
    """A payload: its JSON text as a string, or its bytes in base64."""
    if of is None:
        return None
    if isinstance(of.content, str):
        return {"json": of.content, "content_type": of.content_type}
    return {"binary": b64encode(of.content).decode(), "content_type": of.content_type}


def usage(of: Usage | None) -> Members | None:
    """What was used."""
    return {name: getattr(of, name) for name in USAGE} if of else None


def _sealed_event(recorded: RecordedEvent) -> Members:
    """The hash of what may be erased; without a salt, that of the whole event."""
    if recorded.erased and recorded.erased.sealed:
        return {"sealed": recorded.erased.sealed.hex()}
    if recorded.erased or recorded.salt is None:
        return {"body": chain.recorded_hash(recorded).hex()}
    return {"sealed": chain.sealed_hash(recorded.event, recorded.salt).hex()}


def _sealed_run(born: NewRun) -> Members:
    return {} if born.salt is None else {"sealed": chain.sealed_run_hash(born, born.salt).hex()}


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _time(at: datetime | None) -> int | None:
    return microseconds(at) if at else None
