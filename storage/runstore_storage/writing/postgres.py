"""Runs written on Postgres: saved, resumed, forked, completed. Each method is its transaction.

The contracts are `RunStore` and `OutputStore`. Appends, which share transactions, have their own
module, `appender`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from runstore_storage.contract.heads import NO_GUARD, Guard, RunKey
from runstore_storage.contract.outputs import CompletedRun, Completion
from runstore_storage.contract.runs import NewFork, NewRun, ResumedRun, SavedRun
from runstore_storage.database.engine import Database, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.ids import new_id
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_write import lock_run, store
from runstore_storage.salts import Salts
from runstore_storage.writing.completing import complete, prepare_completion
from runstore_storage.writing.resuming import Resume, resume
from runstore_storage.writing.room import Room
from runstore_storage.writing.saving import RunSaver


class PostgresWriting:
    """Shares the connections of the store that makes it.

    `grew` is called after the commit of a write that saved a run or added events to it.
    """

    def __init__(
        self,
        engine: Database,
        offloading: Offloading,
        in_flight: WritesInFlight,
        salts: Salts,
        grew: Callable[[Collection[RunKey]], None],
        room: Room,
    ) -> None:
        self._engine = engine
        self._offloading = offloading
        self._in_flight = in_flight
        self._grew = grew
        self._salts = salts
        self._saver = RunSaver(engine, offloading, salts, room)

    @finish_despite_cancellation
    async def save_run(self, new: NewRun) -> SavedRun:
        named, completion = await self._saver.prepare(new)
        async with writing(self._engine) as conn:
            saved = await self._saver.save(conn, named, completion)
        if not saved.deduplicated:
            self._grew([saved.run.key])
        return saved

    @finish_despite_cancellation
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
        request = Resume(namespace, request_id, actor, limit, expected_seq)
        write, resumed = await resume(self._engine, self._salts, key, request)
        if write.new_events:
            self._grew([key])
        return replace(resumed, events=await self._offloading.load_page(resumed.events))

    @finish_despite_cancellation
    async def fork_run(self, fork: NewFork) -> SavedRun:
        named = fork if fork.fork_run_id else replace(fork, fork_run_id=new_id())
        salt = self._salts.one()
        async with writing(self._engine) as conn:
            saved = await self._saver.fork(conn, named, salt)
        if not saved.deduplicated:
            self._grew([saved.run.key])
        return saved

    @finish_despite_cancellation
    async def complete_run(
        self, key: RunKey, completion: Completion, guard: Guard = NO_GUARD
    ) -> CompletedRun:
        prepared = await prepare_completion(
            self._engine, self._offloading, self._salts, key, completion
        )
        async with writing(self._engine) as conn:
            write = await lock_run(conn, key)
            completed = await complete(conn, write, prepared, guard)
            if not completed.deduplicated:
                await store(conn, [write])
        if write.new_events:
            self._grew([key])
        return completed
