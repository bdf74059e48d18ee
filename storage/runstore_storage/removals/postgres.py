"""Removals on Postgres. The contract is `RemovalStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from runstore_storage import chain
from runstore_storage.admin import records
from runstore_storage.admin.removable import own_seqs, refuse_unless_removable
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.removals import Removal, RemovalKind
from runstore_storage.contract.signals import Signal
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import Objects
from runstore_storage.removals.removing import Removing
from runstore_storage.run_write import lock_run
from runstore_storage.sql import removals, runs


class PostgresRemovals:
    """Shares the connections of the store that makes it; `announce` wakes a run's readers."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        archive_objects: Objects,
        in_flight: WritesInFlight,
        announce: Callable[[Collection[RunKey]], None],
        *,
        decided: Signal,
        archive: Callable[[str], Awaitable[int | None]],
    ) -> None:
        """`archive` does the next step of an archive; it and this store wake `decided`."""
        self._engine = engine
        self._in_flight = in_flight
        self._announce = announce
        self.decided = decided
        self._removing = Removing(engine, objects, archive_objects)
        self._archive = archive

    @finish_despite_cancellation
    async def delete_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Removal, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await removals.of_record(conn, key.project, before.number), True
            head = (await lock_run(conn, key)).head
            await refuse_unless_removable(conn, key, head, expected_last_seq)
            born = (await runs.get(conn, key)).born
            birth = await asyncio.to_thread(chain.birth_hash, born)
            record = await records.record(conn, act, is_allowed=True, status=records.OK)
            await removals.begin(
                conn,
                key.project,
                head.run,
                kind=RemovalKind.RUN,
                removal_id=new_id(),
                birth=birth,
                seqs=own_seqs(head),
                record=record,
            )
            await removals.clear(conn, head.run)
            removal = await removals.of_record(conn, key.project, record)
        self._announce([key])
        self.decided.wake()
        return removal, False

    async def list_removals(
        self, project: str, *, run_id: str, limit: int, after: int | None
    ) -> Page[Removal, int]:
        async with reading(self._engine) as conn:
            key = RunKey(project, run_id)
            if run_id and await runs.identity(conn, key) is None:
                raise RunNotFound(key)
            found = await removals.page(conn, project, run_id=run_id, limit=limit + 1, before=after)
        return Page.of(found, limit, lambda removal: removal.record)

    async def remove(self, holder: str) -> int | None:
        failure: Exception | None = None
        for step in (self._removing.step, self._archive):
            try:
                done = await step(holder)
            except Exception as error:
                failure = failure or error
                continue
            if done != 0:
                return done
        if failure:
            raise failure
        return 0
