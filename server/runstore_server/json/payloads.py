"""Payloads, exactly as they are stored."""

from __future__ import annotations

from base64 import b64encode

import runstore
from runstore_storage.contract.payloads import Ref, SnapshotPart

from runstore_server.json.writing import JsonValue, RawJson


def payload_value(payload: SnapshotPart | runstore.Payload | None) -> JsonValue:
    """`json` holds the stored text, spliced in unread; other bytes are in `base64`."""
    if payload is None:
        return None
    if isinstance(payload, Ref):
        return {"ref": payload.sha256.hex()}
    if isinstance(payload.content, str):
        return {"json": RawJson(payload.content), "content_type": payload.content_type}
    return {"base64": b64encode(payload.content).decode(), "content_type": payload.content_type}
