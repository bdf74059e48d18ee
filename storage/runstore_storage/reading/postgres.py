"""Runs read on Postgres: their state, events and output. What must be consistent is read in one
transaction.

The contracts are `RunStore`, `EventStore` and `OutputStore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

from runstore_storage.contract.errors import OutputNotFound, RunNotFound
from runstore_storage.contract.events import EVERY_EVENT, EventFilter, EventPage
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.pages import Page
from runstore_storage.contract.runs import (
    ReplayedRun,
    Run,
    RunCursor,
    RunFilter,
    RunOrder,
    Verification,
)
from runstore_storage.contract.scope import ScopedKey
from runstore_storage.database.engine import Database, consistent, looking_up, reading
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.history import History
from runstore_storage.reading.paging import event_page
from runstore_storage.reading.replaying import Replay, replay
from runstore_storage.reading.verifying import verify
from runstore_storage.sql import heads, outputs, run_filters, runs

# How many verifications of a process read archives at a time: each has a connection, and takes
# another for a moment, so they are fewer than the least pool has.
VERIFICATIONS = 2


class PostgresReading:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, offloading: Offloading, history: History) -> None:
        self._engine = engine
        self._offloading = offloading
        self._history = history
        self._verifying_archives = asyncio.Semaphore(VERIFICATIONS)

    async def get_run(self, key: RunKey) -> Run:
        async with reading(self._engine) as conn:
            return await runs.get(conn, key)

    async def list_runs(
        self,
        project: str,
        where: RunFilter,
        order: RunOrder,
        *,
        limit: int,
        after: RunCursor | None,
        offset: int = 0,
    ) -> Page[Run, RunCursor]:
        async with looking_up(self._engine) as conn:
            as_of = after.as_of if after else None
            if after is None and order is RunOrder.UPDATED_ASC:
                as_of = await runs.clock(conn)
            fresh = await run_filters.uncounted(conn, project, where)
            found = await runs.page(
                conn,
                project,
                where,
                order,
                limit=limit + 1,
                after=after,
                offset=offset,
                fresh=fresh,
            )
        page = Page.of(found, limit, lambda numbered: _cursor(*numbered, order, as_of))
        return Page(tuple(run for _, run in page.items), page.next_after)

    async def read_events(
        self,
        key: RunKey,
        from_seq: int,
        *,
        limit: int,
        where: EventFilter = EVERY_EVENT,
        read_archive: bool = False,
    ) -> EventPage:
        if read_archive:
            return await self._history.page(key, from_seq, limit=limit, where=where)
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            page = await event_page(conn, head, from_seq, limit=limit, where=where)
        return await self._offloading.load_page(page)

    async def read_for_tail(
        self, key: RunKey, from_seq: int, limit: int, where: EventFilter, read_archive: bool
    ) -> EventPage:
        """As `read_events`; `RunNotFound` says whether the run was deleted."""
        try:
            return await self.read_events(
                key, from_seq, limit=limit, where=where, read_archive=read_archive
            )
        except RunNotFound:
            async with reading(self._engine) as conn:
                await runs.number(conn, key)
            raise

    async def last_seqs(self, runs: Collection[ScopedKey]) -> Mapping[ScopedKey, tuple[int, bool]]:
        """The last seq of each run that its scope has, and whether the run is completed."""
        async with reading(self._engine) as conn:
            return await heads.last_seqs(conn, runs)

    async def get_output(self, key: RunKey, revision: int) -> StoredOutput:
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            found = await outputs.get(conn, head.run, revision)
        if found is None:
            raise OutputNotFound(key.run_id, revision)
        payload = await self._offloading.load(found.output.payload)
        return replace(found, output=replace(found.output, payload=payload))

    async def replay_run(
        self,
        key: RunKey,
        at_seq: int | None,
        *,
        namespace: str,
        limit: int,
        read_archive: bool = False,
    ) -> ReplayedRun:
        async with consistent(self._engine) as conn:
            request = Replay(at_seq, namespace, limit, read_archive)
            replayed, until = await replay(conn, key, request)
        if until:
            first = replayed.snapshot.snapshot.seq + 1 if replayed.snapshot else 1
            page = await self._history.page(key, first, limit=limit, end=until)
            return replace(replayed, events=page)
        return replace(replayed, events=await self._offloading.load_page(replayed.events))

    async def verify_run(
        self, key: RunKey, *, from_seq: int, max_events: int, read_archive: bool = False
    ) -> Verification:
        async with (
            self._verifying_archives if read_archive else nullcontext(),
            reading(self._engine) as conn,
        ):
            head = await heads.get(conn, key)
            return await verify(
                conn,
                await runs.get(conn, key),
                head,
                from_seq=from_seq,
                max_events=max_events,
                offloading=self._offloading,
                archived=self._history.reader(key) if read_archive else None,
            )


def _cursor(number: int, run: Run, order: RunOrder, as_of: datetime | None) -> RunCursor:
    """The cursor of a page that ends with a run."""
    if order in {RunOrder.UPDATED_DESC, RunOrder.UPDATED_ASC}:
        return RunCursor(run.updated_at, number, as_of)
    if order in {RunOrder.COMPLETED_DESC, RunOrder.COMPLETED_ASC}:
        assert run.completed_at
        return RunCursor(run.completed_at, number)
    return RunCursor(run.created_at, number)
