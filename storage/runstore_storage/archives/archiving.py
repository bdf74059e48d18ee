"""Archiving runs, a step at a time: files written and read back, then the switch.

The files of an attempt are nobody else's, so who is late writes to none that are read. The switch
is one small transaction under the run's lock: what keeps the run is asked once more, readers leave
the rows, and the removal of these is noted. Until then the rows are read, from then on the files.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from hashlib import sha256

from runstore_storage.admin.removable import refuse_unless_removable
from runstore_storage.archived.archive import MANIFEST, folder_of
from runstore_storage.contract.archives import ArchiveFile, ArchiveState
from runstore_storage.contract.errors import (
    ArchiveInvalid,
    RunHeld,
    RunInUse,
    RunNotFound,
    RunOpen,
    StorageUnavailable,
)
from runstore_storage.contract.feed import REMOVALS
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.ids import new_id
from runstore_storage.in_turn import first_done
from runstore_storage.payloads.objects import ObjectMissing, Objects
from runstore_storage.run_write import lock_run
from runstore_storage.sql import archive_states, duties, heads, removals
from runstore_storage.sql.archive_states import Found, Place

# How many archives are looked at in one step: some may fail.
LOOKED_AT = 100

# A backup of the database from before a run was restored, or archived anew, names the files.
KEPT = timedelta(days=7)

_log = logging.getLogger(__name__)


class Archiving:
    """Does this part of the duty `removals` for one process."""

    def __init__(
        self,
        engine: Database,
        files: Callable[[RunKey, Scope], AsyncGenerator[ArchiveFile]],
        objects: Objects,
        announce: Callable[[Collection[RunKey]], None],
        *,
        idle: timedelta,
    ) -> None:
        """`files` exports a run; a consumer that was not heard of for `idle` is not waited for."""
        self._engine = engine
        self._files = files
        self._objects = objects
        self._announce = announce
        self._idle = idle

    async def step(self, holder: str) -> int | None:
        """As `ArchiveStore.archive`. An archive that fails lets the next one go on."""
        async with reading(self._engine) as conn:
            await archive_states.note_positions(conn, limit=LOOKED_AT)
            found = await archive_states.ready(conn, idle=self._idle, limit=LOOKED_AT)
            done_with = await archive_states.uncleared(conn, kept=KEPT, limit=LOOKED_AT)
        return await first_done(
            (f"an archive of run {each.place.run}", partial(self._next, each, holder))
            for each in (*done_with, *found)
        )

    async def _next(self, found: Found, holder: str) -> int | None:
        if found.state is ArchiveState.PLANNED:
            return await self._write(found.place, holder)
        if found.state is ArchiveState.ARCHIVED:
            return await self._switch(found, holder)
        return await self._clear(found.place, holder)

    async def _write(self, planned: Place, holder: str) -> int | None:
        """Write all files, and read them back."""
        async with writing(self._engine) as conn:
            if await duties.fence(conn, REMOVALS, holder) is None:
                return None
            place = await archive_states.begin_attempt(conn, planned)
        if place is None:
            return 1
        await self._objects.delete_folder(_all_attempts(place))
        key, scope = RunKey(place.project, place.run_id), Scope(place.project)
        size, manifest_hash = 0, b""
        try:
            async with aclosing(self._files(key, scope)) as files:
                async for file in files:
                    digest = await self._put(place, file)
                    size += file.size
                    if file.name == MANIFEST:
                        manifest_hash = digest
        except (ArchiveInvalid, StorageUnavailable):
            raise  # the object store may do better the next time
        except Exception as error:
            _log.warning("an archive of run %d is given up", place.run, exc_info=error)
            return await self._noted(holder, place, archive_states.cancel)
        note = partial(archive_states.note_archived, manifest_hash=manifest_hash, size=size)
        return await self._noted(holder, place, note)

    async def _put(self, place: Place, file: ArchiveFile) -> bytes:
        """Put a file, and read it back; its hash."""
        location, digest = f"{folder_of(place)}/{file.name}", sha256()

        async def hashed() -> AsyncIterator[bytes]:
            async for chunk in file.chunks:
                digest.update(chunk)
                yield chunk

        await self._objects.put(location, hashed(), size=file.size)
        back = sha256()
        try:
            async for piece in self._objects.read_all(location):
                back.update(piece)
        except ObjectMissing as error:
            raise ArchiveInvalid(place.run_id, file.name, "is missing") from error
        if back.digest() != digest.digest():
            raise ArchiveInvalid(place.run_id, file.name, "is not what was put there")
        return digest.digest()

    async def _switch(self, found: Found, holder: str) -> int | None:
        """Have the events read from the files, unless something came that keeps the run."""
        place = found.place
        key = RunKey(place.project, place.run_id)
        try:
            async with writing(self._engine) as conn:
                if await duties.fence(conn, REMOVALS, holder) is None:
                    return None
                with bound(Scope(place.project)):
                    if not await self._switched(conn, key, found):
                        return 0
        except (RunHeld, RunInUse, RunNotFound, RunOpen) as refusal:
            _log.warning("an archive of run %d is given up: %s", place.run, refusal)
            return await self._noted(holder, place, archive_states.cancel)
        self._announce([key])
        return 1

    async def _switched(self, conn: Connection, key: RunKey, found: Found) -> bool:
        place = found.place
        head = (await lock_run(conn, key)).head
        await refuse_unless_removable(conn, key, head)
        if not await archive_states.has_passed(conn, place, idle=self._idle):
            return False
        if await removals.counted_position(conn) < found.last_position:
            return False
        act = await archive_states.newest(conn, key.project, head.run)
        if act is None or (act.number, act.state) != (place.n, ArchiveState.ARCHIVED):
            return False
        removal = await removals.begin(
            conn,
            key.project,
            head.run,
            kind=RemovalKind.EVENTS,
            removal_id=new_id(),
            birth=place.birth,
            seqs=(max(found.first_seq, head.archived_through + 1), place.last_seq),
            record=act.record,
        )
        await archive_states.switch(conn, found, removal=removal)
        await heads.archive(conn, head.run, place.last_seq)
        return True

    async def _clear(self, place: Place, holder: str) -> int | None:
        """Remove the files of an archive from which nothing is read, those of all attempts."""
        await self._objects.delete_folder(_all_attempts(place))
        return await self._noted(holder, place, archive_states.note_cleared)

    async def _noted(
        self, holder: str, place: Place, note: Callable[[Connection, Place], Awaitable[None]]
    ) -> int | None:
        """Note how far an archive is; None without the duty."""
        async with writing(self._engine) as conn:
            if await duties.fence(conn, REMOVALS, holder) is None:
                return None
            await note(conn, place)
        return 1


def _all_attempts(place: Place) -> str:
    """The folder of all attempts at an archive."""
    return folder_of(place).rpartition("/")[0]
