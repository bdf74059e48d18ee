"""Erasures as JSON values."""

from __future__ import annotations

import runstore

from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.writing import JsonObject


def erasure_value(erasure: runstore.Erasure) -> JsonObject:
    return {
        "erasure_id": erasure.erasure_id,
        "state": enum_text(erasure.state),
        "record": erasure.record,
        "at": time_text(erasure.at),
        "runs": erasure.runs,
        "erased_events": erasure.erased_events,
        "blockers": [
            {"run_id": each.run_id, "hold_id": each.hold_id or None, "archived": each.archived}
            for each in erasure.blockers
        ],
        "done_at": time_text(erasure.done_at),
    }
