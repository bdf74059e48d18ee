"""Hits of a search."""

from __future__ import annotations

import runstore

from runstore_server.json.texts import time_text
from runstore_server.json.writing import JsonObject


def hit_value(hit: runstore.SearchHit) -> JsonObject:
    return {
        "run_id": hit.run_id,
        "seq": hit.seq,
        "position": hit.position,
        "rank": hit.rank,
        "recorded_at": time_text(hit.recorded_at),
        "snippet": hit.snippet,
        "highlights": [{"start": start, "length": length} for start, length in hit.highlights],
    }
