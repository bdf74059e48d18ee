"""Removals as JSON values."""

from __future__ import annotations

import runstore
from runstore_storage.contract import removals as contract

from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.writing import JsonObject

Removal = contract.Removal | runstore.Removal


def removal_value(removal: Removal) -> JsonObject:
    begun_at = removal.begun_at if isinstance(removal, contract.Removal) else removal.at
    return {
        "removal_id": removal.removal_id,
        "kind": enum_text(removal.kind),
        "state": enum_text(removal.state),
        "birth": removal.birth.hex(),
        "first_seq": removal.first_seq,
        "last_seq": removal.last_seq,
        "record": removal.record,
        "at": time_text(begun_at),
        "removed_events": removal.removed_events,
        "done_at": time_text(removal.done_at),
    }
