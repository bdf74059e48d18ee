"""Runs as they stood at a seq."""

from __future__ import annotations

from collections.abc import Sequence

import runstore

from runstore_server.json.events import event_value
from runstore_server.json.payloads import payload_value
from runstore_server.json.runs import config_ref_value
from runstore_server.json.snapshots import snapshot_parts_value, task_write_value
from runstore_server.json.writing import JsonObject


def replay_value(found: runstore.Replayed, events: Sequence[runstore.Event]) -> JsonObject:
    """What a replay returned, with all events after the snapshot."""
    return {
        "run_id": found.run.run_id,
        "at_seq": found.at_seq,
        "snapshot": snapshot_parts_value(found.snapshot) if found.snapshot else None,
        "task_writes": [*map(task_write_value, found.task_writes)],
        "events": [*map(event_value, events)],
        "configs": [
            {**config_ref_value(each.ref), "body": payload_value(each.body)}
            for each in found.configs
        ],
    }
