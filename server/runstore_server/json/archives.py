"""Archives as JSON values."""

from __future__ import annotations

import runstore

from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.writing import JsonObject


def archive_value(archive: runstore.Archive) -> JsonObject:
    return {
        "run_id": archive.run_id,
        "number": archive.number,
        "state": enum_text(archive.state),
        "first_seq": archive.first_seq,
        "last_seq": archive.last_seq,
        "record": archive.record,
        "begun_at": time_text(archive.begun_at),
        "changed_at": time_text(archive.changed_at),
        "manifest_hash": archive.manifest_hash.hex(),
        "size": archive.size,
        "removed_events": archive.removed_events,
    }
