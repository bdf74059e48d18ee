"""Erasures: what events said, removed for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from runstore.values.words import WordEnum


class SeqRange(NamedTuple):
    """Events from the first to the last, both inclusive."""

    first_seq: int
    last_seq: int


class ErasureState(WordEnum):
    """How far an erasure has come."""

    PENDING = 1
    BLOCKED = 2
    REMOVING = 3
    DONE = 4


@dataclass(frozen=True, slots=True)
class ErasureBlocker:
    """What keeps a run from being erased: a hold of it or of a fork of it; that one of them is
    archived, which is restored for that, and archived again; or else that it is open.
    """

    run_id: str
    hold_id: str = ""
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was asked to be erased, in numbers: nothing of what it was.

    It was asked for `at` a time, and is of events of so many `runs`; `erased_events` can no longer
    be read. `blockers` are what it waits for; all was gone at `done_at`, None before that. `record`
    is the number of the record that says who asked for it, and why.
    """

    erasure_id: str
    state: ErasureState
    record: int
    at: datetime
    runs: int
    erased_events: int
    blockers: tuple[ErasureBlocker, ...] = ()
    done_at: datetime | None = None
