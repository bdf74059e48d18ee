"""Outputs, and whether a run succeeded."""

from __future__ import annotations

from enum import IntEnum

import runstore
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import StoredOutput

from runstore_server.json.events import usage_value
from runstore_server.json.payloads import payload_value
from runstore_server.json.texts import enum_text, salt_text, time_text
from runstore_server.json.writing import JsonObject

_SUCCESS: dict[int, bool] = {
    Outcome.SUCCEEDED: True,
    Outcome.FAILED: False,
    Outcome.CANCELLED: False,
}


def success_value(outcome: IntEnum) -> bool | None:
    """Whether the run achieved its objective; None where that is not known."""
    return _SUCCESS.get(outcome)


def output_value(stored: StoredOutput | runstore.Output) -> JsonObject:
    output = stored.output if isinstance(stored, StoredOutput) else stored
    return {
        "payload": payload_value(output.payload),
        "schema_hash": output.schema_hash,
        "plan_version_id": output.plan_version_id,
        "provenance": payload_value(output.provenance),
        "statistics": payload_value(output.statistics),
        "usage": usage_value(stored.usage),
        "outcome": enum_text(stored.outcome),
        "revision": stored.revision,
        "completed_at": time_text(stored.completed_at),
        "salt": salt_text(stored.salt),
    }
