"""Removals: what was decided to go, and how far it has gone.

Deleting a run takes it away from readers at once. What is stored of it is removed after that, by
the holder of the duty `removals`, some rows at a time. So is what policies let go of runs that stay
(`contract/retention.py`), as long as they do and nothing keeps it. Every act is recorded as in
`contract/admin.py`, in the transaction that decides the removal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.admin import Act
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.signals import Watchable


class RemovalKind(IntEnum):
    """What is removed; numbers equal those of the contracts."""

    RUN = 1
    EVENTS = 2
    """Rows of events that are archived."""
    SNAPSHOTS = 3
    ARTIFACTS = 4
    SEARCH_TEXT = 5
    EVENTS_ERASED = 6


class RemovalState(IntEnum):
    """How far a removal has come; numbers equal those of the contracts."""

    REMOVING = 1
    DONE = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Removal:
    """What is removed, in numbers and hashes: nothing of what it was.

    `birth` is the hash that the run's chain began with. Events `first_seq`..`last_seq` are its own,
    0 and 0 if it has none, and `removed_events` of them are gone. `record` is the number of the
    act's record. All of it was gone at `done_at`, None before that; or the rest stays, if it
    `is_stopped`.
    """

    removal_id: str
    kind: RemovalKind
    birth: bytes
    first_seq: int
    last_seq: int
    record: int
    begun_at: datetime
    removed_events: int = 0
    done_at: datetime | None = None
    is_stopped: bool = False

    @property
    def is_done(self) -> bool:
        return self.done_at is not None

    @property
    def state(self) -> RemovalState:
        if self.is_stopped:
            return RemovalState.STOPPED
        return RemovalState.DONE if self.is_done else RemovalState.REMOVING


class RemovalStore(Protocol):
    """What is removed for good."""

    @property
    def decided(self) -> Watchable:
        """Wakes when this process has decided a removal."""

    async def delete_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Removal, bool]:
        """Delete a run that has ended; True with the removal if an earlier act deleted it.

        From then on the run is not found, and its id is reserved. Checked in this order: a run that
        is not at `expected_last_seq` raises `SeqConflict`, one that is neither completed nor owned
        by an external engine `RunOpen`, one that is held `RunHeld`, one that has forks `RunInUse`.
        """

    async def list_removals(
        self, project: str, *, run_id: str, limit: int, after: int | None
    ) -> Page[Removal, int]:
        """Return removals, newest first: of the project, or of one run.

        `RunNotFound` where the project never had the run.
        """

    async def remove(self, holder: str) -> int | None:
        """Remove the next of what was decided to go; how many rows and objects, 0 when nothing can
        be removed for now. None when the holder has lost the duty.

        What a run's events count for is counted first; so a removal waits until its events were
        published, and the duties that count have passed them.
        """
