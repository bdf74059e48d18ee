"""Removals on Postgres. The contract is `RemovalStore`."""

from __future__ import annotations

from collections.abc import Callable, Collection

from runstore_storage.admin import records
from runstore_storage.admin.removable import refuse_unless_removable
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.removals import Removal, RemovalKind
from runstore_storage.contract.signals import Signal
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.payloads.objects import Objects
from runstore_storage.removals.deciding import decide
from runstore_storage.removals.removing import Removing
from runstore_storage.run_write import lock_run
from runstore_storage.sql import removals, runs


class PostgresRemovals:
    """Shares the connections of the store that makes it; `announce` wakes a run's readers."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        archived: Objects,
        in_flight: WritesInFlight,
        announce: Callable[[Collection[RunKey]], None],
    ) -> None:
        self._engine = engine
        self._in_flight = in_flight
        self._announce = announce
        self.decided = Signal()
        self.remove = Removing(engine, objects, archived).step

    @finish_despite_cancellation
    async def delete_run(
        self, key: RunKey, *, expected_last_seq: int | None, act: Act
    ) -> tuple[Removal, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await removals.of_record(conn, key.project, before.number), True
            head = (await lock_run(conn, key)).head
            await refuse_unless_removable(conn, key, head, expected_last_seq)
            (record,) = await decide(conn, key, head, {RemovalKind.RUN: act})
            removal = await removals.of_record(conn, key.project, record)
        self.note_decided(key, of_run=True)
        return removal, False

    def note_decided(self, key: RunKey, *, of_run: bool) -> None:
        """Wake who removes, and the readers of a run that goes."""
        if of_run:
            self._announce([key])
        self.decided.wake()

    async def list_removals(
        self, project: str, *, run_id: str, limit: int, after: int | None
    ) -> Page[Removal, int]:
        async with reading(self._engine) as conn:
            key = RunKey(project, run_id)
            if run_id and await runs.identity(conn, key) is None:
                raise RunNotFound(key)
            found = await removals.page(conn, project, run_id=run_id, limit=limit + 1, before=after)
        return Page.of(found, limit, lambda removal: removal.record)
