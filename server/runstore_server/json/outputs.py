"""Outputs and outcomes."""

from __future__ import annotations

from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import StoredOutput

from runstore_server.json.events import usage_value
from runstore_server.json.payloads import payload_value
from runstore_server.json.times import time_text
from runstore_server.json.writing import JsonValue

_SUCCESS = {Outcome.SUCCEEDED: True, Outcome.FAILED: False, Outcome.CANCELLED: False}


def outcome_name(outcome: Outcome) -> str | None:
    return None if outcome is Outcome.UNSPECIFIED else outcome.name.lower()


def success_of(outcome: Outcome) -> bool | None:
    """Whether the run did what it was to do; None where that is not known."""
    return _SUCCESS.get(outcome)


def output_value(stored: StoredOutput) -> dict[str, JsonValue]:
    output = stored.output
    return {
        "payload": payload_value(output.payload),
        "schema_hash": output.schema_hash,
        "plan_version_id": output.plan_version_id,
        "provenance": payload_value(output.provenance),
        "statistics": payload_value(output.statistics),
        "usage": usage_value(stored.usage),
        "outcome": outcome_name(stored.outcome),
        "revision": stored.revision,
        "completed_at": time_text(stored.completed_at),
    }
