"""Policies of retention, and what they would let go, as JSON values."""

from __future__ import annotations

from datetime import timedelta

from runstore import Policy, RetentionPreview, RetentionSum

from runstore_server.json.holds import filter_value
from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.tokens import principal_value
from runstore_server.json.writing import JsonObject


def policy_value(policy: Policy) -> JsonObject:
    return {
        "name": policy.name,
        "filter": filter_value(policy.filter),
        "keep_run_seconds": _seconds(policy.keep_run),
        "keep_events_seconds": _seconds(policy.keep_events),
        "keep_snapshots_seconds": _seconds(policy.keep_snapshots),
        "keep_last_snapshots": policy.keep_last_snapshots,
        "keep_artifacts_seconds": _seconds(policy.keep_artifacts),
        "keep_search_text_seconds": _seconds(policy.keep_search_text),
        "include_external": policy.include_external,
        "put_by": principal_value(policy.put_by) if policy.put_by else None,
        "put_at": time_text(policy.put_at),
    }


def preview_value(preview: RetentionPreview) -> JsonObject:
    return {
        "sums": [_sum_value(each) for each in preview.sums],
        "looked_at_runs": preview.looked_at_runs,
        "has_more": preview.has_more,
        "warnings": preview.warnings,
    }


def _sum_value(each: RetentionSum) -> JsonObject:
    return {
        "kind": enum_text(each.kind),
        "blocker": enum_text(each.blocker) if each.blocker else None,
        "runs": each.runs,
        "items": each.items,
        "bytes": each.bytes,
        "sample_run_ids": each.sample_run_ids,
    }


def _seconds(kept: timedelta | None) -> float | None:
    return None if kept is None else kept.total_seconds()
