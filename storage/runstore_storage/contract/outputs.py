"""Outputs: the results of runs, and the methods that complete a run and read its output."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import NO_GUARD, Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Output:
    """A run's result as the writer states it."""

    payload: Payload | None = None
    schema_hash: str = ""
    plan_version_id: str = ""
    provenance: Payload | None = None
    statistics: Payload | None = None


@dataclass(frozen=True, slots=True)
class StoredOutput:
    output: Output
    usage: Usage
    outcome: Outcome
    revision: int
    completed_at: datetime
    salt: bytes | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    outcome: Outcome
    events: tuple[Event, ...] = ()
    output: Output = Output()
    final_snapshot: Snapshot | None = None

    @property
    def items(self) -> int:
        """The number of its events and of its snapshot's items."""
        return len(self.events) + (self.final_snapshot.items if self.final_snapshot else 0)


@dataclass(frozen=True, slots=True)
class CompletedRun:
    status: RunStatus
    seq: int
    revision: int
    completed_at: datetime
    deduplicated: bool


class OutputStore(Protocol):
    """Results of runs."""

    async def complete_run(
        self, key: RunKey, completion: Completion, guard: Guard = NO_GUARD
    ) -> CompletedRun:
        """Complete a run, or add an output revision to a completed one.

        A completion equal to an earlier one returns that revision. An outcome other than the first
        raises `OutcomeConflict`; new events or snapshots for a completed run raise `RunCompleted`.
        Without an outcome `OutcomeRequired` is raised, unless the run is EXTERNAL.
        """

    async def get_output(self, key: RunKey, revision: int) -> StoredOutput:
        """Return a revision (0 is the latest), or raise `OutputNotFound`."""
