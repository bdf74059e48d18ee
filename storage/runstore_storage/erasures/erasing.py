"""What the duty `removals` does of erasures: a step is one transaction of one run, which notes what
it removes; nothing but Postgres is waited for in it. So what an event said is read, and hashed,
before it: it does not change.

An object goes once no row names its key, and after that Postgres cleans up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial

from runstore_storage import chain
from runstore_storage.admin import records
from runstore_storage.admin.removable import birth_of
from runstore_storage.contract.errors import RunHeld, RunNotFound
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.feed import REMOVALS
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.erasures.acts import act_of
from runstore_storage.erasures.archives import ArchivedRuns
from runstore_storage.erasures.cleaning import Cleaning
from runstore_storage.ids import new_id
from runstore_storage.in_turn import first_done
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_write import lock_run
from runstore_storage.sql import (
    admin_records,
    duties,
    erasing,
    erasures,
    feed,
    holds,
    removals,
    unnamed_objects,
)
from runstore_storage.sql.erasing import Ready

MOST_EVENTS = 1000
MOST_OBJECTS = 1000
# How many runs are looked at in one step: the first ones may have to wait.
LOOKED_AT = 100

Sealed = Sequence[tuple[int, bytes | None]]


class Erasing:
    """Does the duty for one process; `announce` wakes a run's readers."""

    def __init__(
        self,
        engine: Database,
        store: Objects,
        offloading: Offloading,
        archived: ArchivedRuns,
        cleaning: Cleaning,
        announce: Callable[[Collection[RunKey]], None],
    ) -> None:
        self._engine = engine
        self._objects = store
        self._offloading = offloading
        self._archived = archived
        self._cleaning = cleaning
        self._announce = announce
        self._seen: dict[tuple[int, int], tuple[Ready, int]] = {}
        """By erasure and run, the run as it was first seen, but for how far it is erased, and a
        position by which all events that it had then were in the feed."""

    async def step(self, holder: str) -> int | None:
        """As `ErasureStore.erase`. A run that fails lets the next one go on."""
        return await first_done(
            [
                *(
                    (f"erasing of run {each.run}", partial(self._erase, each, position, holder))
                    for each, position in await self._look()
                ),
                ("moving an archived run", self._archived.step),
                ("removing erased objects", self._remove_objects),
                ("cleaning up", self._cleaning.clean_up_in_turn),
            ]
        )

    async def _look(self) -> list[tuple[Ready, int]]:
        async with reading(self._engine) as conn:
            found = await erasing.ready(conn, limit=LOOKED_AT)
            last_position = await feed.last_position(conn)
        self._seen = {
            key: self._seen.get(key, (each, last_position))
            for each in found
            if (key := (each.erasure, each.run))
        }
        return list(self._seen.values())

    async def _erase(self, each: Ready, position: int, holder: str) -> int | None:
        """Erase the next events of a run, and forget the run with the last of them."""
        key = RunKey(each.project, each.run_id)
        with bound(Scope(each.project)):
            async with reading(self._engine) as conn:
                found = await erasing.chosen(conn, each, limit=MOST_EVENTS)
            sealed = await self._sealed(found)
            async with writing(self._engine) as conn:
                if await duties.fence(conn, REMOVALS, holder) is None:
                    return None
                # The records are locked before the run, as where a run is deleted.
                await admin_records.lock(conn, each.project)
                if not await _may_erase(conn, key, each):
                    return 0
                await erasing.lock_search(conn)
                if await removals.counted_position(conn) < position:
                    return 0
                if sealed:
                    await _erase(conn, key, each, sealed)
                    each = each._replace(from_seq=sealed[-1][0] + 1)
                if not await erasing.chosen(conn, each, limit=1):
                    await erasing.finish(conn, each)
        if sealed:
            self._seen[each.erasure, each.run] = each, position
            self._announce([key])
        return len(sealed) or 1

    async def _sealed(self, found: Sequence[RecordedEvent]) -> Sealed:
        """What stays of each of the events: the hash of what is erased."""
        loaded = await self._offloading.load_events(found)
        return await asyncio.to_thread(
            lambda: [
                (each.seq, chain.sealed_hash(each.event, each.salt) if each.salt else None)
                for each in loaded
            ]
        )

    async def _remove_objects(self) -> int:
        async with reading(self._engine) as conn:
            found = await erasing.unnamed(conn, limit=MOST_OBJECTS)
        for each in found:
            if not each.is_named:
                await self._objects.delete(each.location)
        if found:
            async with writing(self._engine) as conn:
                await erasing.forget_unnamed(conn, [each.location for each in found])
        return len(found)


async def _may_erase(conn: Connection, key: RunKey, each: Ready) -> bool:
    """Lock the run; whether nothing keeps it from being erased. A deleted one is forgotten."""
    try:
        await lock_run(conn, key)
        await holds.refuse_if_held(conn, key, each.run)
    except RunNotFound:
        await erasing.finish(conn, each)
        return False
    except RunHeld:
        return False
    return not await erasures.blockers(conn, each.erasure, each.run)


async def _erase(conn: Connection, key: RunKey, each: Ready, sealed: Sealed) -> None:
    removal = await erasing.removal_of(conn, each) or await _begin(conn, key, each)
    gone = await removals.removed_events(conn, removal) + len(sealed)
    await removals.note_step(conn, removal, removed_events=gone)
    locations = await erasing.erase(conn, each.run, removal, sealed)
    await unnamed_objects.note(conn, removal, locations)


async def _begin(conn: Connection, key: RunKey, each: Ready) -> int:
    """Note that events of the run go, and record it as an act of who asked for it."""
    act = await act_of(conn, each.project, each.record, each.run_id)
    added = await records.record(conn, act, is_allowed=True, status=records.OK)
    return await removals.begin(
        conn,
        each.project,
        each.run,
        kind=RemovalKind.EVENTS_ERASED,
        removal_id=new_id(),
        birth=await birth_of(conn, key),
        seqs=await erasing.seqs_chosen(conn, each),
        record=added.number,
        erasure=each.erasure,
    )
