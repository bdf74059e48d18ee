"""Archives: the whole history of a run as files that are verified without a server.

docs/export.md has the format. An archive of a run that has not changed is the same, byte for byte,
however often it is made by one release.

A run that is archived has its files in the object store, and its events there only: whoever reads
them says so, or is told `EventsArchived`. Every act is recorded as in `contract/admin.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.admin import Act
from runstore_storage.contract.heads import RunKey


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of an archive, whose chunks have to be read before the next file is asked for."""

    name: str
    size: int
    chunks: AsyncIterator[bytes]


class ArchiveState(IntEnum):
    """How far an archive has come; numbers equal those of the contracts."""

    PLANNED = 1
    ARCHIVED = 2
    """Its files were written and read back; the events are still read from their rows."""
    SWITCHED = 3
    """The events are read from the files; their rows are still there."""
    REMOVING = 4
    DONE = 5
    RESTORED = 6
    CANCELLED = 7
    """What keeps it came before the switch, or its files could not be made."""
    REPLACED = 8
    """A later archive of the run has its events, too."""

    @property
    def is_settled(self) -> bool:
        """Whether the archive takes no more events: another one may be begun."""
        return self >= ArchiveState.DONE


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of a run's own events `first_seq`..`last_seq`, the `number`-th that was decided.

    `record` is the number of the act's record; `manifest_hash` is empty until its files, of `size`
    bytes, are written. Rows of `removed_events` events are gone.
    """

    run_id: str
    number: int
    state: ArchiveState
    first_seq: int
    last_seq: int
    record: int
    begun_at: datetime
    changed_at: datetime
    manifest_hash: bytes = b""
    size: int = 0
    removed_events: int = 0


class ArchiveStore(Protocol):
    """Archives of runs."""

    def export_run(self, key: RunKey) -> AsyncGenerator[ArchiveFile]:
        """Yield the files of a run's archive, of a fork with all of the history that it has.

        The manifest, which names all others, is the last. What is in them is as of one moment,
        shortly after the first is asked for. No connection is held while a chunk is not asked for.
        A snapshot of that moment that is deleted before its parts were read raises
        `SnapshotNotFound`; an export beyond those that the process makes at a time, `Overloaded`.
        """

    async def archive_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Archive, bool]:
        """Decide that a run's events are archived; the holder of the duty `removals` does it.

        What is archived or decided already is returned, as far as it has come; True if an earlier
        act decided it. Checked in this order: a run that is not at `expected_last_seq` raises
        `SeqConflict`, one that is neither completed nor owned by an external engine `RunOpen`, one
        that is held `RunHeld`, one that has forks `RunInUse`, one without events
        `ArchiveNotFound`.

        It waits until all readers of the feed have passed the events: duties, sinks, dead letters,
        and consumers that were heard of lately. What comes before the switch and would have been
        refused cancels it.
        """

    async def archive(self, holder: str) -> int | None:
        """Bring the next archive on by a state; 0 when none can be for now. None when the holder
        has lost the duty `removals`.
        """

    async def restore_run(self, key: RunKey, act: Act) -> tuple[Archive, bool]:
        """Put the rows of a run's archived events back as they were, all or none.

        The archive is read and verified first: `ArchiveInvalid` names the file. A run whose events
        are in no archive raises `ArchiveNotFound`. True if an earlier act restored it.
        """
