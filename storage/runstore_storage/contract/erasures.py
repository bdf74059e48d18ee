"""Erasures: what events said, removed for good; their places in the chain stay.

Of an erased event the payload, the actor, the tags, the subjects and the salt go. What is left is
what it was, where and when, and the hash by which its chain still holds. The terminal event is left
as it is: the store made it, and it names nobody.

What was asked for is done by the holder of the duty `removals`, once nothing keeps a run from it;
that, too, is recorded as in `contract/admin.py`, with one removal for each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

from runstore_storage.contract.admin import Act
from runstore_storage.contract.heads import RunKey

MOST_BLOCKERS = 100


class ErasureState(IntEnum):
    """How far an erasure has come; numbers equal those of the contracts."""

    PENDING = 1
    BLOCKED = 2
    REMOVING = 3
    DONE = 4


class Seqs(NamedTuple):
    """Events from the first to the last, both inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Blocker:
    """What keeps a run from being erased: a hold of it or of its fork, that it or its fork is
    archived, or that it is open.
    """

    run_id: str
    hold_id: str = ""
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was asked for, and how far it has come.

    It is of `runs` runs, and `erased_events` can no longer be read. `blockers` are the first
    `MOST_BLOCKERS` there are. `record` is the number of the act's record. All of it was gone at
    `done_at`, None before that.
    """

    erasure_id: str
    state: ErasureState
    record: int
    begun_at: datetime
    runs: int
    erased_events: int
    blockers: tuple[Blocker, ...] = ()
    done_at: datetime | None = None


class ErasureStore(Protocol):
    """What events said, removed for good."""

    async def erase_events(
        self, key: RunKey, seqs: Sequence[Seqs], act: Act
    ) -> tuple[Erasure, bool]:
        """Have events of a run's history erased; True with the erasure if an earlier act did.

        Those that a fork shares are erased in the run that they are of. `RunNotFound`.
        """

    async def erase_subject(self, project: str, subject: str, act: Act) -> tuple[Erasure, bool]:
        """Have every event of the project erased that names the subject, in runs that it has now;
        True with the erasure if an earlier act did. The act is not to name the subject.
        """

    async def get_erasure(self, project: str, erasure_id: str) -> Erasure:
        """Return an erasure as far as it has come. `ErasureNotFound`."""

    async def erase(self, holder: str) -> int | None:
        """Do the next of what is to be erased; how many events and objects, 0 when nothing can be
        done for now. None when the holder has lost the duty.

        As removing, erasing waits until a run's events were published and counted. An erasure is
        done once Postgres has cleaned up what the events left in its tables and indexes.
        """

    async def clean_up(self) -> int | None:
        """Have Postgres clean up after what was erased; how many removals are done by that. None
        where only the owner of the tables may do it: this is for the owner, too.
        """
