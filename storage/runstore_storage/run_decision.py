"""Writes to one run, decided by what the run knows of them.

A process remembers how its last write left a run. It decides the next one on that and stores it by
a statement that takes effect only if the run is still the same: one round trip. A run that it does
not remember it reads first, without a lock: two. Where the run has changed meanwhile, a write is
not plainly accepted, or writes more than rows of its own, it is decided again in a transaction
under the run's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeVar
from weakref import WeakValueDictionary

from runstore_storage.contract.errors import StorageError
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import ScopedKey, scoped
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.remembered_runs import RememberedRuns
from runstore_storage.run_write import NeedsLock, RunWrite, ask, lock_and_ask
from runstore_storage.sql.known import Asked, Known

# Writes of one run take turns in this process. One that has waited for so long queues at the lock.
TURN_SECONDS = 0.1

T = TypeVar("T")
Connected = Callable[[Database], AbstractAsyncContextManager[Connection]]
Find = Callable[[Connection, RunKey, Asked], Awaitable[tuple[RunWrite, Known]]]
Decision = Callable[[Connection, RunWrite, Known], Awaitable[T]]
"""Answers, refuses or stores a write. It may be called twice, without a lock and with one.

Without one it reads, calls `RunWrite.require_lock` before it writes anything, and stores last, by
`store_one`.
"""


class RunDecisions:
    """Has writes decided and stored."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._remembered = RememberedRuns()
        self._turns: WeakValueDictionary[ScopedKey, asyncio.Lock] = WeakValueDictionary()

    async def decide(self, key: RunKey, asked: Asked, decision: Decision[T]) -> tuple[RunWrite, T]:
        """What was written to the run, and the decision's answer."""
        # A write that another one of this process overtakes would have to be decided again.
        turn = self._turns.setdefault(scoped(key), asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await turn.acquire()
        except TimeoutError:
            return await self._under_lock(key, asked, decision)
        try:
            return await self._in_turn(key, asked, decision)
        finally:
            turn.release()

    async def _in_turn(
        self, key: RunKey, asked: Asked, decision: Decision[T]
    ) -> tuple[RunWrite, T]:
        if remembered := self._remembered.take(scoped(key), asked):
            with suppress(NeedsLock):
                return await self._as_remembered(*remembered, decision)
        with suppress(NeedsLock):
            return await self._as_found(reading, ask, key, asked, decision)
        return await self._under_lock(key, asked, decision)

    async def _under_lock(
        self, key: RunKey, asked: Asked, decision: Decision[T]
    ) -> tuple[RunWrite, T]:
        return await self._as_found(writing, lock_and_ask, key, asked, decision)

    async def _as_remembered(
        self, write: RunWrite, known: Known, decision: Decision[T]
    ) -> tuple[RunWrite, T]:
        async with reading(self._engine) as conn:
            try:
                answer = await decision(conn, write, known)
            except StorageError as error:  # where it is known, it was answered before
                raise NeedsLock from error
        return self._stored(write, known, answer)

    async def _as_found(
        self, connected: Connected, find: Find, key: RunKey, asked: Asked, decision: Decision[T]
    ) -> tuple[RunWrite, T]:
        async with connected(self._engine) as conn:
            write, known = await find(conn, key, asked)
            answer = await decision(conn, write, known)
        return self._stored(write, known, answer)

    def _stored(self, write: RunWrite, known: Known, answer: T) -> tuple[RunWrite, T]:
        self._remembered.add(write, known)
        return write, answer
