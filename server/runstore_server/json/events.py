"""Events and usage."""

from __future__ import annotations

from datetime import timedelta

import runstore
from runstore_storage.contract.events import RecordedEvent, Usage

from runstore_server.json.payloads import payload_value
from runstore_server.json.texts import hash_text, salt_text, time_text
from runstore_server.json.writing import JsonObject


def event_value(recorded: RecordedEvent | runstore.Event) -> JsonObject:
    event = recorded.event if isinstance(recorded, RecordedEvent) else recorded
    return {
        "seq": recorded.seq,
        "event_id": event.event_id,
        "type": event.type,
        "payload": payload_value(event.payload),
        "node_id": event.node_id,
        "actor": event.actor,
        "model": event.model,
        "tool": event.tool,
        "tags": event.tags,
        "usage": usage_value(event.usage) if event.usage else None,
        "trace_parent": event.trace_parent,
        "occurred_at": time_text(event.occurred_at),
        "recorded_at": time_text(recorded.recorded_at),
        "hash": hash_text(recorded.hash),
        "subjects": event.subjects,
        "salt": salt_text(recorded.salt),
        **_erased_value(recorded),
    }


def _erased_value(recorded: RecordedEvent | runstore.Event) -> JsonObject:
    if isinstance(recorded, RecordedEvent):
        erased = recorded.erased
        at, sealed = (erased.at, erased.sealed) if erased else (None, None)
    else:
        at, sealed = recorded.erased_at, recorded.sealed
    return {"sealed": salt_text(sealed), "erased_at": time_text(at)}


def usage_value(usage: Usage | runstore.Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cost_micros": usage.cost_micros,
        "duration_us": usage.duration_us
        if isinstance(usage, Usage)
        else usage.duration // timedelta.resolution,
    }
