"""Removals on Postgres. The contract is `RemovalStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from runstore_storage import chain
from runstore_storage.admin import records
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunInUse, RunNotFound, RunOpen, SeqConflict
from runstore_storage.contract.heads import RunKey, RunStatus
from runstore_storage.contract.pages import Page
from runstore_storage.contract.removals import Removal
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import Objects
from runstore_storage.removals.removing import Removing
from runstore_storage.run_write import lock_run
from runstore_storage.sql import holds, removals, runs
from runstore_storage.sql.heads import Head


class PostgresRemovals:
    """Shares the connections of the store that makes it; `announce` wakes a run's readers."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        in_flight: WritesInFlight,
        announce: Callable[[Collection[RunKey]], None],
    ) -> None:
        self._engine = engine
        self._in_flight = in_flight
        self._announce = announce
        self.decided = Signal()
        self.remove = Removing(engine, objects).step

    @finish_despite_cancellation
    async def delete_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Removal, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await removals.of_record(conn, key.project, before.number), True
            head = (await lock_run(conn, key)).head
            await _refuse_unless_removable(conn, key, head, expected_last_seq)
            born = (await runs.get(conn, key)).born
            birth = await asyncio.to_thread(chain.birth_hash, born)
            record = await records.record(conn, act, is_allowed=True, status=records.OK)
            await removals.begin(
                conn,
                key.project,
                head.run,
                removal_id=new_id(),
                birth=birth,
                seqs=_own_seqs(head),
                record=record,
            )
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


async def _refuse_unless_removable(
    conn: Connection, key: RunKey, head: Head, expected_last_seq: int | None
) -> None:
    if expected_last_seq not in {None, head.last_seq}:
        raise SeqConflict(key.run_id, expected_last_seq or 0, head.last_seq)
    if not head.is_completed and head.status is not RunStatus.EXTERNAL:
        raise RunOpen(key.run_id)
    await holds.refuse_if_held(conn, key, head.run)
    if fork := await removals.find_fork(conn, head.run):
        raise RunInUse(key.run_id, fork)


def _own_seqs(head: Head) -> tuple[int, int]:
    """The first and the last event that is the run's own; 0 and 0 if it has none."""
    *_, own = head.segments
    return (own.first_seq, own.last_seq) if own.last_seq >= own.first_seq else (0, 0)
