"""Holds on Postgres. The contract is `HoldStore`; each method here is its transaction."""

from __future__ import annotations

from dataclasses import replace

from runstore_storage.admin import records
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import HoldNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import Hold, HoldCursor, NewHold
from runstore_storage.contract.pages import Page
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.ids import new_id
from runstore_storage.sql import heads, holds, runs


class PostgresHolds:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, in_flight: WritesInFlight) -> None:
        self._engine = engine
        self._in_flight = in_flight

    @finish_despite_cancellation
    async def place_hold(self, new: NewHold, act: Act) -> tuple[Hold, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                placed = before.act.resource.rpartition("/")[2]
                return await _get(conn, act.project, placed), True
            await holds.lock(conn, new.project)
            if new.run_id:
                await runs.number(conn, RunKey(new.project, new.run_id))
            hold_id = new_id()
            await holds.insert(conn, hold_id, new, act.principal)
            done = replace(act, resource=f"holds/{hold_id}")
            await records.record(conn, done, is_allowed=True, status=records.OK)
            return await _get(conn, act.project, hold_id), False

    @finish_despite_cancellation
    async def release_hold(self, hold_id: str, act: Act) -> tuple[Hold, bool]:
        async with writing(self._engine) as conn:
            before = await records.repeated(conn, act)
            ended = await holds.release(conn, act.project, hold_id, act.principal)
            found = await _get(conn, act.project, hold_id)
            if not before:
                await records.record(conn, act, is_allowed=True, status=records.OK)
            return found, not ended

    async def list_holds(
        self,
        project: str,
        *,
        run_id: str,
        released: bool,
        limit: int,
        after: HoldCursor | None,
    ) -> Page[Hold, HoldCursor]:
        async with reading(self._engine) as conn:
            if run_id:
                await heads.get(conn, RunKey(project, run_id))
            found = await holds.page(
                conn, project, run_id=run_id, released=released, limit=limit + 1, after=after
            )
        return Page.of(found, limit, lambda hold: HoldCursor(hold.placed_at, hold.hold_id))


async def _get(conn: Connection, project: str, hold_id: str) -> Hold:
    found = await holds.get(conn, project, hold_id)
    if found is None:
        raise HoldNotFound(hold_id)
    return found
