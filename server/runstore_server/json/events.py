"""Events and usage."""

from __future__ import annotations

from collections.abc import Callable

from runstore_storage.contract.events import RecordedEvent, Usage
from runstore_storage.contract.payloads import SnapshotPart

from runstore_server.json.payloads import payload_value
from runstore_server.json.times import time_text
from runstore_server.json.writing import JsonValue


def event_value(
    recorded: RecordedEvent, payload: Callable[[SnapshotPart | None], JsonValue] = payload_value
) -> dict[str, JsonValue]:
    event = recorded.event
    return {
        "seq": recorded.seq,
        "event_id": event.event_id,
        "type": event.type,
        "payload": payload(event.payload),
        "node_id": event.node_id,
        "actor": event.actor,
        "model": event.model,
        "tool": event.tool,
        "tags": event.tags,
        "usage": usage_value(event.usage) if event.usage else None,
        "trace_parent": event.trace_parent,
        "occurred_at": time_text(event.occurred_at),
        "recorded_at": time_text(recorded.recorded_at),
        "hash": recorded.hash.hex(),
    }


def usage_value(usage: Usage) -> dict[str, JsonValue]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cost_micros": usage.cost_micros,
        "duration_us": usage.duration_us,
    }
