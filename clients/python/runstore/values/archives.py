"""Archives: runs whose events are read from the object store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runstore.values.words import WordEnum


class ArchiveState(WordEnum):
    """How far an archive has come."""

    PLANNED = 1
    ARCHIVED = 2
    SWITCHED = 3
    REMOVING = 4
    DONE = 5
    RESTORED = 6
    CANCELLED = 7
    REPLACED = 8


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of a run, the `number`-th; its events `first_seq`..`last_seq` are read from it
    from the state SWITCHED on.

    `record` is the number of the record that says who asked for it, and why. Its files, of `size`
    bytes, are written once `manifest_hash` is not empty. `removed_events` events have no row any
    more.
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
