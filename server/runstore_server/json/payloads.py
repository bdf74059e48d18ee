"""Payloads, exactly as they are stored."""

from __future__ import annotations

from base64 import b64encode

from runstore_storage.contract.payloads import Ref, SnapshotPart

from runstore_server.json.writing import JsonValue, RawJson


def payload_value(payload: SnapshotPart | None) -> JsonValue:
    """`json` holds the text that is stored, spliced in unread; other bytes are in `base64`."""
    if payload is None:
        return None
    if isinstance(payload, Ref):
        return {"ref": payload.sha256.hex()}
    if isinstance(payload.content, str):
        return {"json": RawJson(payload.content), "content_type": payload.content_type}
    return {"base64": b64encode(payload.content).decode(), "content_type": payload.content_type}


def line_safe_payload_value(payload: SnapshotPart | None) -> JsonValue:
    """The payload for Server-Sent Events, which keep LF and change CR.

    In JSON a bare CR can only be white space between values. A text that has one is given with
    blanks in its place, which is the same value, and as its bytes in `json_base64`.
    """
    value = payload_value(payload)
    if not (isinstance(value, dict) and isinstance(raw := value.get("json"), RawJson)):
        return value
    if "\r" not in raw.text:
        return value
    exact = b64encode(raw.text.encode()).decode()
    return {**value, "json": RawJson(raw.text.replace("\r", " ")), "json_base64": exact}
