"""Values of the Python client as every runner writes them; README.md defines the format."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from typing import Any

import runstore
from runstore import Payload

MOST_INLINE_BYTES = 4096
MOST_EXACT = 2**53 - 1
Json = dict[str, Any]


def seen(value: Any) -> Any:
    """A value of the client as every runner writes it; empty values are omitted."""
    match value:
        case Payload():
            return seen_payload(value)
        case IntEnum():
            return value.name
        case bool() | str() | None:
            return value
        case int():
            return value if abs(value) <= MOST_EXACT else str(value)
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case Mapping():
            return pruned({name: seen(each) for name, each in value.items()})
        case list() | tuple():
            return [seen(each) for each in value]
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if "duration" in fields:
        fields["duration_micros"] = fields.pop("duration") // timedelta(microseconds=1)
    return seen(fields)


def pruned(fields: Json) -> Json:
    return {name: each for name, each in fields.items() if each not in (None, "", [], {})}


def seen_payload(value: Payload) -> Json:
    is_json = isinstance(value.content, str)
    shown: Json = {"content_type": value.content_type} if value.content_type else {}
    if len(value.data) > MOST_INLINE_BYTES:
        digest = sha256(value.data).hexdigest()
        return shown | {"is_json": is_json, "sha256": digest, "size": len(value.data)}
    if is_json:
        return shown | {"json": value.content}
    return shown | {"base64": base64.b64encode(value.data).decode()}


def seen_error(error: runstore.RunstoreError) -> Json:
    return pruned(
        {
            "type": type(error).__name__,
            "code": error.code.name,
            "reason": error.reason,
            "metadata": error.metadata,
            "violations": [
                {"field": field, "description": text} for field, text in error.violations
            ],
        }
    )


def shown_policy(policy: runstore.Policy) -> Json:
    """A policy with its times in seconds."""
    fields = {each.name: getattr(policy, each.name) for each in dataclasses.fields(policy)}
    kept = {name: each for name, each in fields.items() if isinstance(each, timedelta)}
    seconds = {f"{name}_seconds": each // timedelta(seconds=1) for name, each in kept.items()}
    return {name: each for name, each in fields.items() if name not in kept} | seconds


def shown_item(item: runstore.StreamItem) -> Json | None:
    match item:
        case runstore.Event():
            return {"event": item}
        case runstore.EndOfRun():
            return {"end_of_run": item}
    return None  # other progress depends on time
