"""Policies of retention as messages, and back; what would go by them as values."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from runstore.arguments import instance
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.removals import RemovalKind
from runstore.values.retention import Policy, RetentionBlocker, RetentionPreview, RetentionSum
from runstore.wire.admin import principal_value
from runstore.wire.holds import selection_message, selection_value
from runstore.wire.messages import message_at
from runstore.wire.times import optional_time, span_message, span_value


def policy_message(policy: Policy) -> admin_pb2.Policy:
    instance(policy, Policy, "policy")

    def span(name: str) -> Duration | None:
        given: timedelta | None = getattr(policy, name)
        return None if given is None else span_message(given, f"policy.{name}")

    return message_at(
        "policy.",
        admin_pb2.Policy,
        name=policy.name,
        filter=selection_message(policy.filter),
        keep_events=span("keep_events"),
        keep_snapshots=span("keep_snapshots"),
        keep_last_snapshots=policy.keep_last_snapshots,
        keep_artifacts=span("keep_artifacts"),
        keep_search_text=span("keep_search_text"),
        keep_run=span("keep_run"),
        include_external=policy.include_external,
    )


def policy_value(message: admin_pb2.Policy) -> Policy:
    return Policy(
        name=message.name,
        keep_run=_span(message, "keep_run"),
        keep_events=_span(message, "keep_events"),
        keep_snapshots=_span(message, "keep_snapshots"),
        keep_last_snapshots=message.keep_last_snapshots,
        keep_artifacts=_span(message, "keep_artifacts"),
        keep_search_text=_span(message, "keep_search_text"),
        filter=selection_value(message.filter),
        include_external=message.include_external,
        put_by=principal_value(message.put_by),
        put_at=optional_time(message, "put_at"),
    )


def preview_value(message: rpc.PreviewRetentionResponse) -> RetentionPreview:
    return RetentionPreview(
        sums=tuple(_sum_value(each) for each in message.sums),
        looked_at_runs=message.looked_at_runs,
        has_more=message.has_more,
        warnings=tuple(message.warnings),
    )


def _sum_value(message: admin_pb2.RetentionSum) -> RetentionSum:
    return RetentionSum(
        kind=RemovalKind(message.kind),
        blocker=RetentionBlocker(message.blocker) if message.blocker else None,
        runs=message.runs,
        items=message.items,
        bytes=message.bytes,
        sample_run_ids=tuple(message.sample_run_ids),
    )


def _span(message: admin_pb2.Policy, name: str) -> timedelta | None:
    has = message.HasField(name)  # type: ignore[arg-type] # it is the name of a duration
    return span_value(getattr(message, name)) if has else None
