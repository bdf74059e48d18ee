"""The ledger: what was erased and deleted, in numbers and hashes, to be done again on a copy.

A backup has what was erased and deleted after it was made. The ledger of the database as it was
last is kept apart from its backups, and applied to what is restored from one before that is served.
It names runs, seqs and births, and nothing of what was removed, nor of whom it was about.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from runstore_storage.contract.access import Principal
from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.heads import RunKey


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A run that was deleted, or of which its own events `erased` were; `birth` tells it from every
    other of its id.
    """

    key: RunKey
    birth: bytes
    erased: tuple[Seqs, ...] = ()

    @property
    def is_deleted(self) -> bool:
        return not self.erased


class Applied(Enum):
    """What an entry has left to do."""

    DONE = "done"
    """What it says is so, or there is no such run."""
    ASKED = "asked"
    """It was asked for, and the holder of the duty `removals` does it."""
    REFUSED = "refused"
    """The run is open or held; or it is to be deleted, and has forks. What is to be erased is, once
    nothing of that is so.
    """


class LedgerStore(Protocol):
    """What was erased and deleted, of all projects."""

    def entries(self) -> AsyncGenerator[LedgerEntry]:
        """Yield the deleted runs, then those of which something is erased."""

    async def apply(self, entry: LedgerEntry, by: Principal) -> Applied:
        """Ask for what an entry says and is not so; it can be asked any number of times."""
