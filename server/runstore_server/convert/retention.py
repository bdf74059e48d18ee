"""Policies of retention, and what they would let go."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from runstore.v1 import admin_pb2
from runstore_storage.contract.retention import Due, Keep, KeptPolicy, Policy

from runstore_server.convert.admin import principal_message
from runstore_server.convert.holds import selection_message, selection_of
from runstore_server.convert.times import duration, micros_of, timestamp

_MICROSECOND = timedelta(microseconds=1)


def policy_of(message: admin_pb2.Policy) -> Policy:
    def keep(name: str) -> timedelta | None:
        has = message.HasField(name)  # type: ignore[arg-type] # it is the name of a duration
        return timedelta(microseconds=micros_of(getattr(message, name))) if has else None

    return Policy(
        message.name,
        Keep(
            events=keep("keep_events"),
            snapshots=keep("keep_snapshots"),
            last_snapshots=message.keep_last_snapshots,
            artifacts=keep("keep_artifacts"),
            search_text=keep("keep_search_text"),
            run=keep("keep_run"),
        ),
        where=selection_of(message.filter),
        includes_external=message.include_external,
    )


def kept_policy_message(kept: KeptPolicy) -> admin_pb2.Policy:
    policy, keep = kept.policy, kept.policy.keep
    return admin_pb2.Policy(
        name=policy.name,
        filter=selection_message(policy.where),
        keep_events=_duration(keep.events),
        keep_snapshots=_duration(keep.snapshots),
        keep_last_snapshots=keep.last_snapshots,
        keep_artifacts=_duration(keep.artifacts),
        keep_search_text=_duration(keep.search_text),
        keep_run=_duration(keep.run),
        include_external=policy.includes_external,
        put_by=principal_message(kept.put_by),
        put_at=timestamp(kept.put_at),
    )


def due_message(due: Due) -> admin_pb2.RetentionSum:
    return admin_pb2.RetentionSum(
        kind=admin_pb2.RemovalKind.ValueType(due.kind),
        blocker=admin_pb2.RetentionBlocker.ValueType(due.blocker or 0),
        runs=due.runs,
        items=due.items,
        bytes=due.bytes,
        sample_run_ids=due.sample_run_ids,
    )


def _duration(kept: timedelta | None) -> Duration | None:
    return None if kept is None else duration(kept // _MICROSECOND)
