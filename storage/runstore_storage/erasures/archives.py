"""Archived runs of which something is to be erased: restored before, and archived again after it.

The new files have the same chain, and what is left of the events; the files before go at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from runstore_storage.contract.admin import Act
from runstore_storage.contract.archives import Archive, ArchiveStore
from runstore_storage.contract.errors import (
    ArchiveNotFound,
    RunHeld,
    RunInUse,
    RunNotFound,
    RunOpen,
)
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.erasures.acts import act_of
from runstore_storage.in_turn import first_done
from runstore_storage.sql import erasing
from runstore_storage.sql.erasing import Moved

# How many runs are looked at in one step: the first ones may fail.
LOOKED_AT = 100

Move = Callable[[Moved, RunKey], Awaitable[None]]

_log = logging.getLogger(__name__)


class Restore(Protocol):
    """As `ArchiveStore.restore_run`, for an erasure."""

    async def __call__(self, key: RunKey, act: Act, *, erasure: int) -> tuple[Archive, bool]: ...


class ArchivedRuns:
    """Does so for one process."""

    def __init__(self, engine: Database, archives: ArchiveStore, restore: Restore) -> None:
        self._engine = engine
        self._archives = archives
        self._restore = restore

    async def step(self) -> int | None:
        """Restore the next run that an erasure waits for, or archive the next one again; 0 where
        there is none. A run that fails lets the next one go on.
        """
        async with reading(self._engine) as conn:
            archived = await erasing.archived(conn, limit=LOOKED_AT)
            restored = await erasing.restored(conn, limit=LOOKED_AT)
        steps = [(each, self._bring_back) for each in archived]
        steps += [(each, self._archive_again) for each in restored]
        return await first_done(
            (f"moving run {each.run}", partial(self._move, each, move)) for each, move in steps
        )

    async def _move(self, each: Moved, move: Move) -> int:
        with bound(Scope(each.project)):
            await move(each, RunKey(each.project, each.run_id))
        return 1

    async def _bring_back(self, each: Moved, key: RunKey) -> None:
        try:
            await self._restore(key, await self._act(each, "RestoreRun"), erasure=each.erasure)
        except (ArchiveNotFound, RunNotFound):
            _log.info("run %d was restored or deleted by somebody else", each.run)

    async def _archive_again(self, each: Moved, key: RunKey) -> None:
        """Archive a run, unless something came that keeps it: then it stays as it is."""
        act = await self._act(each, "ArchiveRun")
        try:
            await self._archives.archive_run(key, expected_last_seq=None, act=act)
        except (RunHeld, RunInUse, RunNotFound, RunOpen) as refusal:
            _log.warning("run %d is not archived again: %s", each.run, refusal)
        async with writing(self._engine) as conn:
            await erasing.forget_restored(conn, each)

    async def _act(self, each: Moved, method: str) -> Act:
        async with reading(self._engine) as conn:
            return await act_of(conn, each.project, each.record, each.run_id, method=method)
