"""Snapshots on Postgres. The contract is `SnapshotStore`; each method here is its transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from runstore_storage.contract.errors import SnapshotNotFound
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import NO_GUARD, Guard, RunKey
from runstore_storage.contract.pages import SNAPSHOT_PAGE_BYTES, Page, within
from runstore_storage.contract.snapshots import (
    DeletedSnapshots,
    PutSnapshotResult,
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotSelector,
    SnapshotWithWrites,
    StoredSnapshot,
    TaskWrite,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, consistent, look_up, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_decision import RunDecisions
from runstore_storage.run_write import RunWrite, lock_run, store_one
from runstore_storage.salts import Salts
from runstore_storage.snapshots import loading
from runstore_storage.snapshots.deleting import SnapshotDeletion, delete_snapshots, read_references
from runstore_storage.snapshots.metadata import terms_of
from runstore_storage.snapshots.numbers import BlobNumbers
from runstore_storage.snapshots.putting import SnapshotPut, put_snapshot
from runstore_storage.snapshots.storing import add_task_writes
from runstore_storage.sql import heads, snapshots, task_writes
from runstore_storage.sql.heads import Head
from runstore_storage.sql.known import Asked, Known
from runstore_storage.sql.snapshots import StoredRow


class PostgresSnapshots:
    """Shares the connections of the store that makes it.

    `grew` is called after the commit of a write that added events to a run.
    """

    def __init__(
        self,
        engine: Database,
        offloading: Offloading,
        in_flight: WritesInFlight,
        salts: Salts,
        grew: Callable[[Collection[RunKey]], None],
    ) -> None:
        self._engine = engine
        self._offloading = offloading
        self._in_flight = in_flight
        self._salts = salts
        self._grew = grew
        self._decisions = RunDecisions(engine)
        self._numbers = BlobNumbers()

    @finish_despite_cancellation
    async def put_snapshot(
        self,
        key: RunKey,
        snapshot: Snapshot,
        *,
        events: Sequence[Event] = (),
        task_writes: Sequence[TaskWrite] = (),
        guard: Guard = NO_GUARD,
        request_id: str = "",
    ) -> PutSnapshotResult:
        put = SnapshotPut(snapshot, tuple(events), tuple(task_writes), guard, request_id)
        prepared = await put.prepare(self._engine, self._offloading, self._salts, key)
        write, answer = await self._decisions.decide(
            key, prepared.asked, partial(put_snapshot, prepared, self._numbers)
        )
        if write.new_events:
            self._grew([key])
        return answer

    @finish_despite_cancellation
    async def put_task_writes(
        self,
        key: RunKey,
        namespace: str,
        writes: Sequence[TaskWrite],
        *,
        writer_epoch: int | None = None,
    ) -> bool:
        salts = self._salts.draw(len(writes))

        async def put(conn: Connection, write: RunWrite, known: Known) -> bool:
            if not await add_task_writes(conn, write, namespace, writes, salts, known):
                return True
            write.check(Guard(writer_epoch=writer_epoch))
            await store_one(conn, write)
            return False

        asked = Asked(namespace=namespace, task_writes=writes)
        _, is_known = await self._decisions.decide(key, asked, put)
        return is_known

    @finish_despite_cancellation
    async def delete_snapshots(
        self,
        key: RunKey,
        namespace: str,
        snapshot_ids: Collection[str],
        *,
        writer_epoch: int | None = None,
    ) -> DeletedSnapshots:
        deletion = SnapshotDeletion(namespace, tuple(snapshot_ids), writer_epoch)
        references = await read_references(self._engine, key, deletion)
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            return await delete_snapshots(conn, write, deletion, references)

    async def get_snapshot(
        self, key: RunKey, namespace: str, selector: SnapshotSelector
    ) -> SnapshotWithWrites:
        async with consistent(self._engine) as conn:
            head = await heads.get(conn, key)
            found, writes = await loading.load_snapshot(conn, head, namespace, selector)
        if found is None:
            raise SnapshotNotFound(key.run_id, str(selector))
        return SnapshotWithWrites(found, writes)

    async def list_snapshots(
        self, query: SnapshotQuery, *, limit: int, after: SnapshotCursor | None
    ) -> Page[StoredSnapshot, SnapshotCursor]:
        terms = await terms_of(query.metadata)
        async with consistent(self._engine) as conn:
            await look_up(conn)
            head = None
            if query.run_id:
                head = await heads.get(conn, RunKey(query.project, query.run_id))
                if query.before and after is None:
                    after = await loading.cursor_before(conn, head, query)
            found = await snapshots.page(
                conn, query, metadata_terms=terms, limit=limit + 1, after=after, head=head
            )
            kept = await _within_page(conn, query, head, found[:limit])
            listed = await _listed(conn, query, head, kept)
        more = len(found) > len(kept)
        return Page(listed, loading.cursor_of(kept[-1], query) if more else None)


async def _within_page(
    conn: Connection, query: SnapshotQuery, head: Head | None, rows: Sequence[StoredRow]
) -> Sequence[StoredRow]:
    """The first rows whose parts and task writes fit on a page, as far as they are asked for."""
    bytes_of = [row.parts_bytes if query.with_parts else 0 for row in rows]
    if query.with_task_writes:
        written = await task_writes.sizes(conn, loading.since_rows(head, rows))
        bytes_of = list(map(int.__add__, bytes_of, written))
    return within(rows, bytes_of, SNAPSHOT_PAGE_BYTES)


async def _listed(
    conn: Connection, query: SnapshotQuery, head: Head | None, rows: Sequence[StoredRow]
) -> tuple[StoredSnapshot, ...]:
    """The snapshots of rows with as much of them as the query asks for."""
    if query.with_parts:
        found = await loading.with_parts(conn, rows)
    elif query.with_node_counts:
        found = await asyncio.to_thread(loading.with_node_counts, rows)
    else:
        found = loading.without_parts(rows)
    if query.with_task_writes:
        writes = await task_writes.since(conn, loading.since_rows(head, rows))
        pairs = zip(found, writes, strict=True)
        return tuple(replace(each, task_writes=since) for each, since in pairs)
    return tuple(found)
