"""Events out of the lines of an archive's files: what `archives/lines.py` writes, read back."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.events import Erased, Event, RecordedEvent, Usage
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.times import time_at

Members = Mapping[str, Any]

MALFORMED = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What parsing something else than such lines may raise."""


def recorded_event(chain_line: bytes, sealed_line: bytes) -> RecordedEvent:
    """The event of a line of what stays of it, and the line of what may be erased of it."""
    stays, sealed = json.loads(chain_line), json.loads(sealed_line)
    if stays["seq"] != sealed["seq"]:
        raise ValueError("the lines are of two events")
    event = Event(
        type=stays["type"],
        event_id=stays["event_id"],
        node_id=stays["node_id"],
        model=stays["model"],
        tool=stays["tool"],
        usage=Usage(**stays["usage"]) if stays["usage"] else None,
        trace_parent=stays["trace_parent"],
        occurred_at=None if stays["occurred_at"] is None else time_at(stays["occurred_at"]),
    )
    salt = erased = None
    if "erased_at" in sealed:
        erased = _erased(event, stays, sealed)
    else:
        event = replace(
            event,
            payload=_payload(sealed["payload"]),
            actor=sealed["actor"],
            tags=tuple(sealed["tags"]),
            subjects=tuple(sealed["subjects"]),
        )
        salt = None if sealed["salt"] is None else bytes.fromhex(sealed["salt"])
    at, hash_ = time_at(stays["recorded_at"]), bytes.fromhex(stays["hash"])
    return RecordedEvent(stays["seq"], at, hash_, event, salt, erased)


def _erased(event: Event, stays: Members, sealed: Members) -> Erased:
    at = time_at(sealed["erased_at"])
    if "sealed" not in stays:
        return Erased(at, None, bytes.fromhex(stays["body"]))
    kept = bytes.fromhex(stays["sealed"])
    return Erased(at, kept, chain.open_event_hash(event, kept))


def _payload(of: Members | None) -> Payload | None:
    if of is None:
        return None
    content: str | bytes = of["json"] if "json" in of else b64decode(of["binary"], validate=True)
    return Payload(content, of["content_type"])
