"""Events out of the lines of an archive's files: what `archives/lines.py` writes, read back."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from runstore_storage.contract.events import Event, RecordedEvent, Usage
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
        payload=_payload(sealed["payload"]),
        node_id=stays["node_id"],
        actor=sealed["actor"],
        model=stays["model"],
        tool=stays["tool"],
        tags=tuple(sealed["tags"]),
        usage=Usage(**stays["usage"]) if stays["usage"] else None,
        trace_parent=stays["trace_parent"],
        occurred_at=None if stays["occurred_at"] is None else time_at(stays["occurred_at"]),
        subjects=tuple(sealed["subjects"]),
    )
    salt = None if sealed["salt"] is None else bytes.fromhex(sealed["salt"])
    return RecordedEvent(
        stays["seq"], time_at(stays["recorded_at"]), bytes.fromhex(stays["hash"]), event, salt
    )


def _payload(of: Members | None) -> Payload | None:
    if of is None:
        return None
    content: str | bytes = of["json"] if "json" in of else b64decode(of["binary"], validate=True)
    return Payload(content, of["content_type"])
