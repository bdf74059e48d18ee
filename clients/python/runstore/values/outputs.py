"""Outputs: how runs end, and the revisions of their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from runstore.values.events import NewEvent, Usage
from runstore.values.payloads import Payload, Value
from runstore.values.snapshots import SnapshotFields
from runstore.values.words import WordEnum


class Outcome(WordEnum):
    """How a run ended; `UNSPECIFIED` for one that has not."""

    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class Output:
    """A revision of a run's result; `salt` is empty where its hash was made without one."""

    payload: Payload | None
    schema_hash: str
    plan_version_id: str
    provenance: Payload | None
    statistics: Payload | None
    usage: Usage
    outcome: Outcome
    revision: int
    completed_at: datetime
    salt: bytes = b""


class OutputFields(TypedDict, total=False):
    """The fields of an output other than its payload."""

    schema_hash: str
    plan_version_id: str
    provenance: Value
    statistics: Value


@dataclass(frozen=True, slots=True)
class Completion:
    """How a run ended."""

    outcome: Outcome = Outcome.SUCCEEDED
    payload: Value = None
    output: OutputFields = field(default_factory=OutputFields)
    events: Sequence[NewEvent] = ()
    final_snapshot: SnapshotFields | None = None
