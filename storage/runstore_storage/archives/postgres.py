"""Archives out of Postgres and an object store. The contract is `ArchiveStore`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from datetime import timedelta

from runstore_storage.admin import records
from runstore_storage.admin.removable import refuse_unless_removable
from runstore_storage.archives.archiving import Archiving
from runstore_storage.archives.deciding import decide_archive
from runstore_storage.archives.exporting import Export
from runstore_storage.archives.restoring import Restoring
from runstore_storage.contract.admin import Act
from runstore_storage.contract.archives import Archive, ArchiveFile
from runstore_storage.contract.errors import ArchiveNotFound, Overloaded
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import Scope, current_scope
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.history import History
from runstore_storage.run_write import lock_run
from runstore_storage.sql import archive_states
from runstore_storage.sql.heads import Head

# How many exports of a process read from the database at a time: it serves other calls, too.
TURNS = 2
# How many exports a process makes at a time: each has files in the folder of temporary files.
OPEN = 8
RETRY_AFTER_SECONDS = 5.0


class PostgresArchives:
    """Shares the connections of the store that makes it; wakes `decided`."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        archived: Objects,
        offloading: Offloading,
        history: History,
        in_flight: WritesInFlight,
        announce: Callable[[Collection[RunKey]], None],
        decided: Signal,
        *,
        idle: timedelta,
    ) -> None:
        """A consumer that was not heard of for `idle` is not waited for."""
        self._engine = engine
        self._objects = objects
        self._offloading = offloading
        self._history = history
        self._in_flight = in_flight
        self._decided = decided
        self.restoring = Restoring(engine, history.archived, offloading, announce)
        self._archiving = Archiving(engine, self._files, archived, announce, idle=idle)
        self.archive = self._archiving.step
        self._turns = asyncio.Semaphore(TURNS)
        self._open = 0

    def export_run(self, key: RunKey) -> AsyncGenerator[ArchiveFile]:
        return self._exported(key, current_scope())

    def _files(self, key: RunKey, scope: Scope) -> AsyncGenerator[ArchiveFile]:
        """The files of an archive, as `export_run` has them, however many exports there are."""
        return Export(
            *(self._engine, self._objects, self._offloading, self._history),
            *(self._turns, scope, key),
        ).files()

    @finish_despite_cancellation
    async def archive_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Archive, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                head = (await lock_run(conn, key)).head
                return await _decided(conn, key, head, before.number), True
            head = (await lock_run(conn, key)).head
            await refuse_unless_removable(conn, key, head, expected_last_seq)
            record = await decide_archive(conn, key, head, act)
            archive = await _decided(conn, key, head, record)
        self._decided.wake()
        return archive, False

    @finish_despite_cancellation
    async def restore_run(self, key: RunKey, act: Act) -> tuple[Archive, bool]:
        restored = await self.restoring.restore(key, act)
        self._decided.wake()
        return restored

    async def _exported(self, key: RunKey, scope: Scope) -> AsyncGenerator[ArchiveFile]:
        with self._room():
            async with aclosing(self._files(key, scope)) as files:
                async for each in files:
                    yield each

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Count an export; raise `Overloaded` if it is one too many."""
        if self._open >= OPEN:
            raise Overloaded(
                RETRY_AFTER_SECONDS, f"this server makes {OPEN} exports, which is the most"
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


async def _decided(conn: Connection, key: RunKey, head: Head, record: int) -> Archive:
    """The archive that an act decided, or that it found decided."""
    found = await archive_states.of_record(conn, key.project, record)
    found = found or await archive_states.newest(conn, key.project, head.run)
    if found is None:
        raise ArchiveNotFound(key.run_id)
    return found
