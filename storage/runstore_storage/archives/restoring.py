"""Putting archived events back: read and verified first, then their rows in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack

from runstore_storage.admin import records
from runstore_storage.archived.archive import OpenedArchive
from runstore_storage.archived.events import ArchivedEvents
from runstore_storage.archived.pairs import Pair
from runstore_storage.contract.admin import Act
from runstore_storage.contract.archives import Archive
from runstore_storage.contract.errors import ArchiveInvalid, ArchiveNotFound, Overloaded
from runstore_storage.contract.events import EventPage
from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.history import ReadPage
from runstore_storage.reading.verifying import verify
from runstore_storage.run_write import lock_run
from runstore_storage.sql import archive_states, archived_events, heads, removals, runs
from runstore_storage.sql.archive_states import Place
from runstore_storage.sql.heads import Head

ROWS = 500
RETRY_AFTER_SECONDS = 5.0


class Restoring:
    """Restores runs for one process."""

    def __init__(
        self,
        engine: Database,
        archived: ArchivedEvents,
        offloading: Offloading,
        announce: Callable[[Collection[RunKey]], None],
    ) -> None:
        self._engine = engine
        self._archived = archived
        self._offloading = offloading
        self._announce = announce

    async def restore(
        self, key: RunKey, act: Act, *, erasure: int | None = None
    ) -> tuple[Archive, bool]:
        """As `ArchiveStore.restore_run`; what is restored for an erasure is archived again."""
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await _restored(conn, key, before.number), True
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            place = await archive_states.current(conn, head.run)
        if place is None:
            raise ArchiveNotFound(key.run_id)
        archive = await self._archived.open(place)
        async with AsyncExitStack() as opened:
            pairs = await self._fetched(archive, opened)
            await self._verify(key, archive, pairs)
            restored = await self._put_back(key, place, pairs, act, erasure)
        self._announce([key])
        return restored

    async def _fetched(self, archive: OpenedArchive, opened: AsyncExitStack) -> list[Pair]:
        """All files of events, on disk until they are closed: nothing is fetched under a lock."""
        pairs = []
        for part in archive.parts:
            pair = await archive.fetch(self._archived.objects, part)
            opened.callback(pair.close)
            pairs.append(pair)
        return pairs

    async def _verify(self, key: RunKey, archive: OpenedArchive, pairs: Sequence[Pair]) -> None:
        """Follow the chain through the events of the archive, from the first to the last."""
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            run = await runs.get(conn, key)
            found = await verify(
                conn,
                run,
                head,
                from_seq=1,
                max_events=archive.place.last_seq,
                offloading=self._offloading,
                archived=_reader(archive, pairs),
            )
        if found.problem:
            file = archive.part_of(found.problem_seq).chain.name
            problem = f"has event {found.problem_seq}, of which {found.problem}"
            raise ArchiveInvalid(key.run_id, file, problem)

    async def _put_back(
        self, key: RunKey, place: Place, pairs: list[Pair], act: Act, erasure: int | None
    ) -> tuple[Archive, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await _restored(conn, key, before.number), True
            head = (await lock_run(conn, key)).head
            if await archive_states.current(conn, head.run) != place:
                raise Overloaded(RETRY_AFTER_SECONDS, "the run was archived anew meanwhile")
            for pair in pairs:
                await _insert(conn, head, pair, place.last_seq)
            await _account(conn, head)
            await archived_events.forget(conn, head.run)
            await heads.archive(conn, head.run, 0)
            added = await records.record(conn, act, is_allowed=True, status=records.OK)
            await archive_states.restore(conn, place, added.number, erasure=erasure)
            return await _restored(conn, key, added.number), False


def _reader(archive: OpenedArchive, pairs: Sequence[Pair]) -> ReadPage:
    """Reads events out of the files that were fetched."""

    async def read(end: Head, from_seq: int, limit: int) -> EventPage:
        pair = pairs[archive.part_of(from_seq).number - 1]
        last = min(from_seq + limit - 1, pair.last_seq, end.last_seq)
        found = [each async for some in pair.events(from_seq, last, limit) for each in some]
        return EventPage(found, last + 1, end.last_seq, end.is_completed, end.outcome)

    return read


async def _insert(conn: Connection, head: Head, pair: Pair, last_seq: int) -> None:
    """Insert the rows of a pair's events that are gone."""
    async for some in pair.events(pair.first_seq, min(pair.last_seq, last_seq), ROWS):
        kept = await archived_events.kept(conn, head.run, some[0].seq, some[-1].seq)
        gone = [(each, kept[each.seq]) for each in some if each.seq in kept]
        if gone:
            await archived_events.put_back(conn, head.run, gone)


async def _account(conn: Connection, head: Head) -> None:
    """End the removal of rows, and count those that are back; duties have passed them."""
    for removal, last_position in await archive_states.removals_of(conn, head.run):
        # What counts anew would find them in the feed, too.
        if await removals.counted_position(conn) < last_position:
            raise Overloaded(RETRY_AFTER_SECONDS, "events are being counted anew")
        if await removals.is_open(conn, removal):
            gone = await removals.removed_events(conn, removal)
            await removals.close(conn, removal, removed_events=gone)
    await archived_events.note_stored(conn, head.run)


async def _restored(conn: Connection, key: RunKey, record: int) -> Archive:
    found = await archive_states.of_restore(conn, key.project, record)
    if found is None:
        raise ArchiveNotFound(key.run_id)
    return found
