"""The duty `removals`: removing what is stored of deleted runs, a step at a time.

A step is one transaction, which notes what it removes. Bytes in the object store go before the rows
that name them: a step that is broken off is done again, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from runstore_storage.contract.feed import REMOVALS
from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.payloads.objects import Objects, run_folder
from runstore_storage.sql import duties, feed, objects, removals
from runstore_storage.sql.removals import Open

MOST_ROWS = 5000
MOST_ARTIFACTS = 100
# How many removals are looked at in one step: the first ones may have to wait.
LOOKED_AT = 100
_OBJECTS_AT_ONCE = 8


class Removing:
    """Does the duty for one process."""

    def __init__(self, engine: Database, store: Objects) -> None:
        self._engine = engine
        self._objects = store
        self._published: dict[int, int] = {}
        """By removal, a position by which all events of its run were in the feed."""

    async def step(self, holder: str) -> int | None:
        """As `RemovalStore.remove`."""
        async with reading(self._engine) as conn:
            found = await removals.open_ones(conn, limit=LOOKED_AT)
            last_position = await feed.last_position(conn)
        open_ones = {each.removal for each in found}
        self._published = {key: at for key, at in self._published.items() if key in open_ones}
        for each in found:
            if each.is_unpublished:
                continue
            self._published.setdefault(each.removal, last_position)
            removed = await self._remove(each, holder)
            if removed != 0:
                return removed
        return 0

    async def _remove(self, each: Open, holder: str) -> int | None:
        """Remove the next of one run."""
        async with reading(self._engine) as conn:
            table = await removals.next_table(conn, each.run)
            located = await removals.locations(conn, each.run) if table == removals.BLOBS else []
        if table == removals.BLOBS:
            await self._delete_objects(located)
        if not table:
            await self._objects.delete_folder(run_folder(RunKey(each.project, each.run_id)))
        async with writing(self._engine) as conn:
            if await duties.fence(conn, REMOVALS, holder) is None:
                return None
            if await removals.counted_position(conn) < self._published[each.removal]:
                return 0
            if not table:
                return await self._end(conn, each)
            events = await removals.count_events(conn, each.run, most=MOST_ROWS)
            await removals.note_step(
                conn,
                each.removal,
                each.run,
                removed_events=each.removed_events + (events if table == removals.EVENTS else 0),
                is_last=False,
            )
            if table == removals.ARTIFACTS:
                return await self._remove_artifacts(conn, each)
            return await removals.remove(conn, each.run, table, most=MOST_ROWS)

    async def _end(self, conn: Connection, each: Open) -> int:
        """Note that all of a run is gone, unless something has come since it was looked for."""
        if not await removals.next_table(conn, each.run):
            await removals.note_step(
                conn, each.removal, each.run, removed_events=each.removed_events, is_last=True
            )
        return 1

    async def _remove_artifacts(self, conn: Connection, each: Open) -> int:
        """Remove some of a run's artifacts, and the contents that no other artifact has.

        Nobody records a content again meanwhile whose bytes are being removed.
        """
        removed = await removals.remove_artifacts(conn, each.run, most=MOST_ARTIFACTS)
        unused = await objects.lock_unused(conn, removed)
        await self._delete_objects(location for _, location in unused)
        await objects.delete(conn, [number for number, _ in unused])
        return len(removed)

    async def _delete_objects(self, locations: Iterable[str]) -> None:
        room = asyncio.Semaphore(_OBJECTS_AT_ONCE)

        async def delete(location: str) -> None:
            async with room:
                await self._objects.delete(location)

        async with asyncio.TaskGroup() as deleting:
            for each in locations:
                deleting.create_task(delete(each))
