"""Removals: what was removed for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runstore.values.words import WordEnum


class RemovalKind(WordEnum):
    """What is removed."""

    RUN = 1
    EVENTS = 2
    SNAPSHOTS = 3
    ARTIFACTS = 4
    SEARCH_TEXT = 5
    EVENTS_ERASED = 6


class RemovalState(WordEnum):
    """How far a removal has come; of one that is stopped, the rest stays."""

    REMOVING = 1
    DONE = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Removal:
    """What is removed, in numbers and hashes: nothing of what it was.

    From `at` on a run can no longer be read; all of it was gone at `done_at`, None before that, or
    the rest was left.
    `birth` is the hash that the run's chain began with. Events `first_seq`..`last_seq` are removed,
    0 and 0 if there are none, and `removed_events` of them are gone. `record` is the number of the
    record that says who asked for it, and why.
    """

    removal_id: str
    kind: RemovalKind
    state: RemovalState
    birth: bytes
    first_seq: int
    last_seq: int
    record: int
    at: datetime
    removed_events: int = 0
    done_at: datetime | None = None
