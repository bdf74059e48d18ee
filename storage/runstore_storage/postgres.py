"""The store on Postgres. The contract is `Store`; each method here is its transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from runstore_storage.artifacts.postgres import PostgresArtifacts
from runstore_storage.configs.postgres import PostgresConfigs
from runstore_storage.contract.errors import (
    OutputNotFound,
    SnapshotNotFound,
    StorageUnavailable,
)
from runstore_storage.contract.events import EVERY_EVENT, Appended, Event, EventFilter, EventPage
from runstore_storage.contract.heads import NO_GUARD, Guard, RunKey
from runstore_storage.contract.outputs import CompletedRun, Completion, StoredOutput
from runstore_storage.contract.pages import SNAPSHOT_PAGE_BYTES, Page, within
from runstore_storage.contract.runs import (
    NewFork,
    NewRun,
    ReplayedRun,
    ResumedRun,
    Run,
    RunCursor,
    RunFilter,
    RunOrder,
    SavedRun,
    Verification,
)
from runstore_storage.contract.snapshots import (
    DeletedSnapshots,
    PutSnapshotAnswer,
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotSelector,
    SnapshotWithWrites,
    StoredSnapshot,
    TaskWrite,
)
from runstore_storage.database.engine import (
    Database,
    connect,
    consistent,
    look_up,
    looking_up,
    reading,
    writing,
)
from runstore_storage.database.statements import statement
from runstore_storage.feed.postgres import PostgresFeed
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import LargePayloads, Offloading
from runstore_storage.reading.paging import event_page
from runstore_storage.reading.replaying import Replay, replay
from runstore_storage.reading.tails import RunTail, Tails
from runstore_storage.reading.verifying import verify
from runstore_storage.reading.wakeups import Wakeups
from runstore_storage.run_write import lock_run, store
from runstore_storage.search.postgres import PostgresSearch
from runstore_storage.snapshots import loading
from runstore_storage.snapshots.deleting import SnapshotDeletion, delete_snapshots, read_references
from runstore_storage.snapshots.metadata import metadata_terms
from runstore_storage.snapshots.putting import SnapshotPut, put_snapshot
from runstore_storage.snapshots.storing import store_task_writes
from runstore_storage.sql import heads, outputs, run_filters, runs
from runstore_storage.sql import snapshots as snapshot_rows
from runstore_storage.sql.snapshots import StoredRow
from runstore_storage.statistics.postgres import PostgresStatistics
from runstore_storage.writing.appender import Appender
from runstore_storage.writing.completing import complete, prepare_completion
from runstore_storage.writing.resuming import Resume, resume
from runstore_storage.writing.saving import RunSaver

_TAKES_WRITES = statement("SELECT current_setting('transaction_read_only') = 'off'")

T = TypeVar("T")


class PostgresStore:
    """Runs in one schema of one Postgres. Make it inside a running event loop."""

    def __init__(
        self,
        url: str,
        *,
        schema: str,
        pool_size: int,
        append_lanes: int,
        poll_interval: float,
        objects_url: str,
        large_payloads: LargePayloads = LargePayloads(),  # noqa: B008 - frozen
    ) -> None:
        objects = Objects(objects_url)
        self._engine = Database(url, schema=schema, pool_size=pool_size)
        self._tails = Tails(self._read_for_tail, self._last_seqs, poll_interval=poll_interval)
        self._wakeups = Wakeups(
            partial(connect, url, schema=schema, name="runstore wake-ups"),
            self._tails,
            schema=schema,
        )
        self._offloading = Offloading(self._engine, objects, large_payloads)
        self.feed = PostgresFeed(
            self._engine, self._wakeups, self._offloading, poll_interval=poll_interval
        )
        self.search = PostgresSearch(self._engine, self.feed)
        self.statistics = PostgresStatistics(self._engine, self.feed.counted)
        self.configs = PostgresConfigs(self._engine)
        self._appender = Appender(
            self._engine,
            partial(connect, url, schema=schema, name="runstore appends"),
            self._offloading,
            self._wakeups.announce_appended,
            lanes=append_lanes,
        )
        self._saver = RunSaver(self._engine, self._offloading)
        self._in_flight: set[asyncio.Task[object]] = set()
        self.artifacts = PostgresArtifacts(self._engine, objects, self._finish_despite_cancellation)

    async def check(self) -> None:
        async with reading(self._engine) as conn:
            if not (await conn.execute(_TAKES_WRITES)).scalar_one():
                raise StorageUnavailable

    async def save_run(self, new: NewRun) -> SavedRun:
        return await self._finish_despite_cancellation(self._save_run(new))

    async def _save_run(self, new: NewRun) -> SavedRun:
        named, completion = await self._saver.prepare(new)
        async with writing(self._engine) as conn:
            saved = await self._saver.save(conn, named, completion)
        if not saved.deduplicated:
            self._wakeups.announce([saved.run.key])
        return saved

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

    async def append_events(
        self, key: RunKey, events: Sequence[Event], guard: Guard = NO_GUARD
    ) -> tuple[Appended, ...]:
        return await self._appender.append(key, events, guard)

    async def read_events(
        self, key: RunKey, from_seq: int, *, limit: int, where: EventFilter = EVERY_EVENT
    ) -> EventPage:
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            page = await event_page(conn, head, from_seq, limit=limit, where=where)
        return await self._filled(page)

    def wake_all(self) -> None:
        self._tails.wake_all()
        self.feed.published.wake()

    def open_tail(self, key: RunKey) -> AbstractAsyncContextManager[RunTail]:
        return self._tails.open(key)

    async def put_snapshot(
        self,
        key: RunKey,
        snapshot: Snapshot,
        *,
        events: Sequence[Event] = (),
        task_writes: Sequence[TaskWrite] = (),
        guard: Guard = NO_GUARD,
        request_id: str = "",
    ) -> PutSnapshotAnswer:
        put = SnapshotPut(snapshot, tuple(events), tuple(task_writes), guard, request_id)
        return await self._finish_despite_cancellation(self._put_snapshot(key, put))

    async def _put_snapshot(self, key: RunKey, put: SnapshotPut) -> PutSnapshotAnswer:
        prepared = await put.prepare(self._engine, self._offloading, key)
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            answer = await put_snapshot(conn, write, prepared)
        if write.new_events:
            self._wakeups.announce([key])
        return answer

    async def put_task_writes(
        self,
        key: RunKey,
        namespace: str,
        writes: Sequence[TaskWrite],
        *,
        writer_epoch: int | None = None,
    ) -> bool:
        guard = Guard(writer_epoch=writer_epoch)
        return await self._finish_despite_cancellation(
            self._put_task_writes(key, namespace, writes, guard)
        )

    async def _put_task_writes(
        self, key: RunKey, namespace: str, writes: Sequence[TaskWrite], guard: Guard
    ) -> bool:
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            if await store_task_writes(conn, write, namespace, writes):
                return True
            write.check(guard)  # what was put is undone with the transaction
            write.touch()
            await store(conn, [write])
            return False

    async def delete_snapshots(
        self,
        key: RunKey,
        namespace: str,
        snapshot_ids: Collection[str],
        *,
        writer_epoch: int | None = None,
    ) -> DeletedSnapshots:
        deletion = SnapshotDeletion(namespace, tuple(snapshot_ids), writer_epoch)
        return await self._finish_despite_cancellation(self._delete_snapshots(key, deletion))

    async def _delete_snapshots(self, key: RunKey, deletion: SnapshotDeletion) -> DeletedSnapshots:
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
        terms = metadata_terms(query.metadata)
        async with consistent(self._engine) as conn:
            await look_up(conn)
            head = None
            if query.run_id:
                head = await heads.get(conn, RunKey(query.project, query.run_id))
                if query.before and after is None:
                    after = await loading.cursor_before(conn, head, query)
            found = await snapshot_rows.page(
                conn, query, metadata_terms=terms, limit=limit + 1, after=after, head=head
            )
            kept: Sequence[StoredRow] = found[:limit]
            if query.with_parts:
                kept = within(kept, [row.parts_bytes for row in kept], SNAPSHOT_PAGE_BYTES)
            if query.with_parts:
                full = await loading.with_parts(conn, kept)
            elif query.with_node_counts:
                full = await asyncio.to_thread(loading.with_node_counts, kept)
            else:
                full = loading.without_parts(kept)
        more = len(found) > len(kept)
        return Page(tuple(full), loading.cursor_of(kept[-1], query) if more else None)

    async def resume_run(
        self,
        key: RunKey,
        *,
        namespace: str,
        request_id: str,
        actor: str,
        limit: int,
        expected_seq: int | None = None,
    ) -> ResumedRun:
        asked = Resume(namespace, request_id, actor, limit, expected_seq)
        return await self._finish_despite_cancellation(self._resume_run(key, asked))

    async def _resume_run(self, key: RunKey, asked: Resume) -> ResumedRun:
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            resumed = await resume(conn, write, asked)
        if write.new_events:
            self._wakeups.announce([key])
        return replace(resumed, events=await self._filled(resumed.events))

    async def replay_run(
        self, key: RunKey, at_seq: int | None, *, namespace: str, limit: int
    ) -> ReplayedRun:
        async with consistent(self._engine) as conn:
            head = await heads.get(conn, key)
            run = await runs.get(conn, key)
            asked = Replay(at_seq, namespace, limit)
            replayed = await replay(conn, run, head, asked)
        return replace(replayed, events=await self._filled(replayed.events))

    async def fork_run(self, fork: NewFork) -> SavedRun:
        named = fork if fork.fork_run_id else replace(fork, fork_run_id=new_id())
        return await self._finish_despite_cancellation(self._fork_run(named))

    async def _fork_run(self, fork: NewFork) -> SavedRun:
        async with writing(self._engine) as conn:
            saved = await self._saver.fork(conn, fork)
        if not saved.deduplicated:
            self._wakeups.announce([saved.run.key])
        return saved

    async def complete_run(
        self, key: RunKey, completion: Completion, guard: Guard = NO_GUARD
    ) -> CompletedRun:
        return await self._finish_despite_cancellation(self._complete_run(key, completion, guard))

    async def _complete_run(
        self, key: RunKey, completion: Completion, guard: Guard
    ) -> CompletedRun:
        prepared = await prepare_completion(self._engine, self._offloading, key, completion)
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            completed = await complete(conn, write, prepared, guard)
            if not completed.deduplicated:
                await store(conn, [write])
        if write.new_events:
            self._wakeups.announce([key])
        return completed

    async def get_output(self, key: RunKey, revision: int) -> StoredOutput:
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            found = await outputs.get(conn, head.run, revision)
        if found is None:
            raise OutputNotFound(key.run_id, revision)
        payload = await self._offloading.load(found.output.payload)
        return replace(found, output=replace(found.output, payload=payload))

    async def verify_run(self, key: RunKey, *, from_seq: int, max_events: int) -> Verification:
        async with reading(self._engine) as conn:
            head = await heads.get(conn, key)
            return await verify(
                conn,
                await runs.get(conn, key),
                head,
                from_seq=from_seq,
                max_events=max_events,
                offloading=self._offloading,
            )

    async def close(self) -> None:
        await self._appender.close()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        await self.feed.close()
        await self._wakeups.close()
        await self._tails.close()
        await self._engine.dispose()

    async def _finish_despite_cancellation(self, write: Coroutine[object, object, T]) -> T:
        """Run a write that its caller's cancellation does not cut in the middle."""
        task = asyncio.create_task(write)
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    def _landed(self, task: asyncio.Task[object]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller is gone

    async def _filled(self, page: EventPage) -> EventPage:
        """The page with the payloads that are kept elsewhere."""
        return replace(page, events=await self._offloading.load_events(page.events))

    async def _read_for_tail(
        self, key: RunKey, from_seq: int, limit: int, where: EventFilter
    ) -> EventPage:
        return await self.read_events(key, from_seq, limit=limit, where=where)

    async def _last_seqs(self, keys: Collection[RunKey]) -> Mapping[RunKey, tuple[int, bool]]:
        async with reading(self._engine) as conn:
            return await heads.last_seqs(conn, keys)


def _cursor(number: int, run: Run, order: RunOrder, as_of: datetime | None) -> RunCursor:
    """The cursor of a page that ends with a run."""
    if order in {RunOrder.UPDATED_DESC, RunOrder.UPDATED_ASC}:
        return RunCursor(run.updated_at, number, as_of)
    if order in {RunOrder.COMPLETED_DESC, RunOrder.COMPLETED_ASC}:
        assert run.completed_at
        return RunCursor(run.completed_at, number)
    return RunCursor(run.created_at, number)
