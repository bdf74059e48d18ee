"""Lanes: the queues in which appends wait for their commit, and the tasks that commit them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from runstore_storage.contract.errors import StorageError, StorageUnavailable
from runstore_storage.contract.events import AppendResult
from runstore_storage.contract.heads import Guard
from runstore_storage.contract.scope import ScopedKey
from runstore_storage.prepared_events import PreparedEvent
from runstore_storage.writing.backlog import Backlog
from runstore_storage.writing.fair_queue import FairQueue

MAX_BATCH_EVENTS = 1000
MAX_BATCH_BYTES = 8 << 20
# A commit costs as much as several appends, so a lane with more than `FEW_APPENDS` waits for others
# to join: for this many at most, and no longer than this.
FEW_APPENDS = 3
LINGER_APPENDS = 32
LINGER_SECONDS = 0.002


@dataclass(slots=True, eq=False)
class Append:
    """The events that one call appends to a run, and the call's answer once there is one."""

    run: ScopedKey
    events: Sequence[PreparedEvent]
    guard: Guard
    bytes: int
    answered: asyncio.Future[AppendResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def cost(self) -> int:
        """How much of a batch it fills, in events."""
        return max(len(self.events), self.bytes * MAX_BATCH_EVENTS // MAX_BATCH_BYTES, 1)

    def settle(self, answer: AppendResult | Exception) -> None:
        """Answer the call, or fail it."""
        if isinstance(answer, Exception):
            self.answered.set_exception(answer)
            self.answered.exception()  # retrieved, even if the caller is gone
        else:
            self.answered.set_result(answer)


class Lane:
    """A queue of appends, and the task that commits them batch by batch.

    Those of a project are committed in their order, those of several projects in turns.

    `commit` answers every append of a batch and does not raise.
    """

    def __init__(self, commit: Callable[[Sequence[Append]], Awaitable[None]]) -> None:
        self._commit = commit
        self._queue: FairQueue[Append] = FairQueue()
        self._backlog = Backlog()
        self._changed = asyncio.Event()
        self._wanted = 1
        """How many appends wake the lane."""
        self._is_closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, waiting: Append) -> None:
        """Queue an append; fail it as `Overloaded`, or `StorageUnavailable` while closing."""
        try:
            if self._is_closing:
                raise StorageUnavailable
            self._backlog.add(waiting.run.scope, waiting.bytes)
        except StorageError as refusal:
            waiting.settle(refusal)
            return
        self._queue.put(waiting.run.scope, waiting, waiting.cost)
        if len(self._queue) >= self._wanted:
            self._changed.set()

    async def close(self) -> None:
        """Commit the appends that wait, then stop."""
        self._is_closing = True
        self._changed.set()
        await self._task

    async def _run(self) -> None:
        while self._queue or not self._is_closing:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            batch = self._take()
            await self._commit(batch)
            await self._linger(len(batch))

    async def _linger(self, answered: int) -> None:
        """While many append at a time, let those just answered share the next commit."""
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
            waiting = self._queue.take()
            self._backlog.remove(waiting.run.scope, waiting.bytes)
            batch.append(waiting)
            events += len(waiting.events)
            size += waiting.bytes
        return batch
