"""Group commit: appends that arrive together are committed together.

Appends queue in lanes, a run always in the same one, so the appends of a run keep their order. Each
lane commits one batch at a time; what arrives meanwhile forms the next batch. A batch decides each
append on its own: a refusal fails that append and no other.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

import asyncpg

from runstore_storage.contract.errors import (
    Overloaded,
    RunNotFound,
    StorageError,
    StorageUnavailable,
)
from runstore_storage.contract.events import Appended, Event, RecordedEvent
from runstore_storage.contract.heads import Guard, RunKey
from runstore_storage.database.engine import Database, is_rolled_back, writing
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_write import (
    PreparedEvent,
    RunWrite,
    find_known,
    lock_runs,
    prepare,
    store,
)
from runstore_storage.writing.offload_queue import OffloadQueue
from runstore_storage.writing.optimistic import NOTHING_STORED, Append, Optimistic

MAX_BATCH_EVENTS = 1000
MAX_BATCH_BYTES = 8 << 20
MAX_WAITING_APPENDS = 20_000
MAX_WAITING_BYTES = 256 << 20
# A commit costs as much as several appends: up to so many that may come at once are waited for, and
# no longer than so.
LINGER_APPENDS = 32
LINGER_SECONDS = 0.002
FEW_APPENDS = 3
MAX_ATTEMPTS = 5
RETRY_AFTER_SECONDS = 0.2

_log = logging.getLogger(__name__)

Answer = tuple[Appended, ...] | StorageError


class Appender:
    """Commits appends in groups; `grew` hears by what events runs grew, after their commit."""

    def __init__(
        self,
        engine: Database,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        offloading: Offloading,
        grew: Callable[[Mapping[RunKey, Sequence[RecordedEvent]]], None],
        *,
        lanes: int,
    ) -> None:
        self._engine = engine
        self._offload_queue = OffloadQueue(
            offloading.pack_events, lambda each: offloading.is_large(each.event.payload)
        )
        self._grew = grew
        self._lanes = [_Lane(self._commit, Optimistic(connect)) for _ in range(lanes)]

    async def append(
        self, key: RunKey, events: Sequence[Event], guard: Guard
    ) -> tuple[Appended, ...]:
        """Append all or none; the caller's cancellation does not take the events back."""
        waiting = await self._offload_queue.pass_on(
            key, prepare(events), partial(self._queued, key, guard)
        )
        return await asyncio.shield(waiting.answered)

    def _queued(self, key: RunKey, guard: Guard, prepared: Sequence[PreparedEvent]) -> Append:
        size = sum(
            len(each.payload.data) for each in (one.event for one in prepared) if each.payload
        )
        waiting = Append(key, tuple(prepared), guard, size)
        lane = zlib.crc32(f"{key.project}\0{key.run_id}".encode()) % len(self._lanes)
        self._lanes[lane].put(waiting)
        return waiting

    async def close(self) -> None:
        """Commit what waits, then stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    async def _commit(self, batch: Sequence[Append], optimistic: Optimistic) -> None:
        try:
            stored = await optimistic.append(batch)
        except StorageUnavailable as error:
            for each in batch:
                each.settle(error)
            return
        except Exception:
            # Whatever it is, the lane goes on: what was stored is recognised by its ids.
            _log.exception("appends are decided under locks")
            stored = NOTHING_STORED
        for append, answer in stored.answers.items():
            append.settle(answer)
        self._announce(stored.grown)
        rest = [each for each in batch if each not in stored.answers]
        if rest:
            await self._commit_under_locks(rest, optimistic)

    async def _commit_under_locks(self, batch: Sequence[Append], optimistic: Optimistic) -> None:
        try:
            answers = await self._attempt(batch, optimistic)
        except StorageUnavailable as error:
            answers = [error] * len(batch)
        except Exception as error:
            if len(batch) > 1:
                # One append that Postgres cannot take must not fail its neighbours.
                for each in batch:
                    await self._commit_under_locks([each], optimistic)
            else:
                batch[0].settle(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.settle(answer)

    async def _attempt(self, batch: Sequence[Append], optimistic: Optimistic) -> Sequence[Answer]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                answers, runs = await self._transaction(batch)
            except Exception as error:
                if attempt == MAX_ATTEMPTS or not is_rolled_back(error):
                    raise
            else:
                self._announce([run for run in runs if run.new_events])
                if runs:
                    # The record of a run may be ahead of the database's clock; never behind.
                    optimistic.remember(runs, min(run.now for run in runs))
                return answers
        raise AssertionError("the last attempt returns or raises")

    def _announce(self, grown: Sequence[RunWrite]) -> None:
        if grown:
            self._grew({run.key: [each.recorded for each in run.new_events] for run in grown})

    async def _transaction(
        self, batch: Sequence[Append]
    ) -> tuple[Sequence[Answer], Collection[RunWrite]]:
        async with writing(self._engine) as conn:
            runs = await lock_runs(conn, (each.key for each in batch))
            known = await find_known(
                conn, ((runs[each.key], each.events) for each in batch if each.key in runs)
            )
            answers: list[Answer] = []
            for each in batch:
                try:
                    run = runs.get(each.key)
                    if run is None:
                        raise RunNotFound(each.key)
                    answers.append(run.append(each.events, each.guard, known))
                except StorageError as refusal:
                    answers.append(refusal)
            grown = [run for run in runs.values() if run.new_events]
            if grown:
                await store(conn, grown)
        return answers, runs.values()


class _Lane:
    """A queue and the task that commits it batch by batch."""

    def __init__(
        self,
        commit: Callable[[Sequence[Append], Optimistic], Awaitable[None]],
        optimistic: Optimistic,
    ) -> None:
        self._commit = commit
        self._optimistic = optimistic
        self._queue: deque[Append] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._wanted = 1
        """Appends that wake the lane."""
        self._is_closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, waiting: Append) -> None:
        if self._is_closing:
            raise StorageUnavailable
        is_full = len(self._queue) >= MAX_WAITING_APPENDS
        if is_full or self._bytes + waiting.bytes > MAX_WAITING_BYTES:
            raise Overloaded(RETRY_AFTER_SECONDS)
        self._queue.append(waiting)
        self._bytes += waiting.bytes
        if len(self._queue) >= self._wanted:
            self._changed.set()

    async def close(self) -> None:
        self._is_closing = True
        self._changed.set()
        await self._task
        await self._optimistic.close()

    async def _run(self) -> None:
        while self._queue or not self._is_closing:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            batch = self._take()
            await self._commit(batch, self._optimistic)
            await self._linger(len(batch))

    async def _linger(self, answered: int) -> None:
        """Where many append at a time, let those just answered share the next commit."""
        self._wanted = min(len(self._queue) + answered, LINGER_APPENDS)
        if FEW_APPENDS < self._wanted > len(self._queue) and not self._is_closing:
            self._changed.clear()
            timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._changed.set)
            await self._changed.wait()
            timer.cancel()
        self._wanted = 1

    def _take(self) -> Sequence[Append]:
        batch: list[Append] = []
        events = size = 0
        while self._queue and events < MAX_BATCH_EVENTS and size < MAX_BATCH_BYTES:
            waiting = self._queue.popleft()
            batch.append(waiting)
            events += len(waiting.events)
            size += waiting.bytes
        self._bytes -= size
        return batch
