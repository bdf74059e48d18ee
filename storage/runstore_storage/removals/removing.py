"""The duty `removals`: removing what was decided to go, a step at a time.

A step is one transaction, which notes what it removes; nothing but Postgres is waited for in it.
An object's bytes go when no row can ever name its key: those in the run's folder at the end, and
payloads' elsewhere before their rows, as the run takes no write; an artifact's after its row was
removed, since keys of contents are never used again. So whoever is late, or does a step again,
removes nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from runstore_storage.contract.feed import REMOVALS
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.in_turn import first_done
from runstore_storage.payloads.objects import Objects, archives_folder, run_folder
from runstore_storage.removals.archived import remove_archived
from runstore_storage.removals.parts import MOST_ROWS, remove_artifacts, remove_part
from runstore_storage.sql import duties, feed, removals, unnamed_objects
from runstore_storage.sql.removals import Open

MOST_OBJECTS = 1000
# How many removals are looked at in one step: the first ones may have to wait.
LOOKED_AT = 100
_OBJECTS_AT_ONCE = 8


class Removing:
    """Does the duty for one process."""

    def __init__(self, engine: Database, store: Objects, archives: Objects) -> None:
        self._engine = engine
        self._objects = store
        self._archives = archives
        self._published: dict[int, int] = {}
        """By removal, a position by which all events of its run were in the feed."""

    async def step(self, holder: str) -> int | None:
        """As `RemovalStore.remove`. A removal that fails lets the next one go on."""
        async with reading(self._engine) as conn:
            found = await removals.open_ones(conn, limit=LOOKED_AT)
            last_position = await feed.last_position(conn)
        self._published = {
            each.removal: self._published.get(each.removal, last_position) for each in found
        }
        return await first_done(
            (f"removal {each.removal}", partial(self._remove, each, holder)) for each in found
        )

    async def _remove(self, each: Open, holder: str) -> int | None:
        """Remove the next of one removal: rows, and objects where those come first."""
        if each.has_unnamed:
            return await self._remove_unnamed(each)
        if each.kind is RemovalKind.RUN:
            return await self._remove_run(each, holder)
        remove = remove_archived if each.kind is RemovalKind.EVENTS else remove_part
        async with writing(self._engine) as conn:
            if await duties.fence(conn, REMOVALS, holder) is None:
                return None
            return await remove(conn, each, published=self._published[each.removal])

    async def _remove_run(self, each: Open, holder: str) -> int | None:
        folder, elsewhere = run_folder(RunKey(each.project, each.run_id)), []
        async with reading(self._engine) as conn:
            table = await removals.next_table(conn, each.run)
            if table == removals.BLOBS:
                elsewhere = await removals.locations_outside(conn, each.run, folder)
        await self._delete_objects(elsewhere)
        if not table:
            await self._objects.delete_folder(folder)
            await self._archives.delete_folder(archives_folder(each.project, each.birth))
        async with writing(self._engine) as conn:
            if await duties.fence(conn, REMOVALS, holder) is None:
                return None
            # Tables are locked before the duties that count, as rebuilds do.
            if await removals.next_table(conn, each.run) != table:
                return 1
            if await removals.counted_position(conn) < self._published[each.removal]:
                return 0
            return await _remove_rows(conn, each, table)

    async def _remove_unnamed(self, each: Open) -> int:
        async with reading(self._engine) as conn:
            locations = await unnamed_objects.page(conn, each.removal, most=MOST_OBJECTS)
        await self._delete_objects(locations)
        async with writing(self._engine) as conn:
            await unnamed_objects.forget(conn, each.removal, locations)
        return len(locations)

    async def _delete_objects(self, locations: Iterable[str]) -> None:
        room = asyncio.Semaphore(_OBJECTS_AT_ONCE)

        async def delete(location: str) -> None:
            async with room:
                await self._objects.delete(location)

        async with asyncio.TaskGroup() as deleting:
            for each in locations:
                deleting.create_task(delete(each))


async def _remove_rows(conn: Connection, each: Open, table: str) -> int:
    """Remove some rows of a run, or note that all of it is gone where no table has any."""
    gone = await removals.removed_events(conn, each.removal)
    gone += await removals.count_events(conn, each.run, table, most=MOST_ROWS)
    if not table:
        await removals.close(conn, each.removal, removed_events=gone)
        return 1
    await removals.note_step(conn, each.removal, removed_events=gone)
    if table == removals.ARTIFACTS:
        return await remove_artifacts(conn, each)
    return await removals.remove(conn, each.run, table, most=MOST_ROWS)
