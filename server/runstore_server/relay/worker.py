"""Work on the feed that one server process at a time does.

Every process runs a `DutyWorker` for each duty; the store leases the duty to one of them for a few
seconds at a time. A holder that dies or freezes is replaced when its lease expires, and anything it
still writes under the duty is refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import structlog
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import FeedStore
from runstore_storage.contract.signals import Watchable

RENEW_SECONDS = 1.0
RETRY_SECONDS = 1.0
# Where a step did no more than this, the next one would do as little.
LITTLE = 4

_log = structlog.get_logger(__name__)

DutyStep = Callable[[str], Awaitable[int | None]]
"""Does some of the work in a holder's name. Returns how much it did, 0 when there is nothing to do
for now, None when the duty was lost."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """How many seconds after it began a step is followed by the next one.

    Work that arrives meanwhile is done in one step: fewer, larger steps. `ended_by` wakes when
    someone waits for the work.
    """

    usual: float
    after_little: float
    ended_by: Watchable

    async def rest(self, began: float, done: int, mark: int) -> None:
        """Wait for the next step, unless someone has waited since `mark`."""
        seconds = self.usual if done > LITTLE else self.after_little
        if (early := began + seconds - time.monotonic()) > 0:
            await self.ended_by.wait(mark, early)


def new_holder() -> str:
    """A name that no other holder has; it shows the host and the process."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"


class DutyWorker:
    """Does one duty whenever this process holds it."""

    def __init__(
        self,
        feed: FeedStore,
        name: str,
        step: DutyStep,
        wakes: Watchable,
        *,
        poll_seconds: float,
        pauses: Pauses | None = None,
    ) -> None:
        self.name = name
        self.is_leading = False
        self.done = 0
        """How much this process has done in total, for its metrics."""
        self._feed = feed
        self._step = step
        self._wakes = wakes
        self._poll_seconds = poll_seconds
        self._pauses = pauses
        self._holder = new_holder()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Try to get the duty from now on."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, even in the middle of a step, and release the duty."""
        if self._running:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await self._release()

    async def _release(self) -> None:
        with suppress(StorageUnavailable):  # the lease will expire soon
            await self._feed.release_duty(self.name, self._holder)

    async def _run(self) -> None:
        while True:
            try:
                if await self._feed.hold_duty(self.name, self._holder) is not None:
                    await self._lead()
            except StorageUnavailable:
                _log.warning("waiting for the database", duty=self.name)
            except Exception:
                _log.exception("duty failed, trying again", duty=self.name)
                with suppress(Exception):  # the failure has just been logged
                    await self._release()  # another process may succeed
            await asyncio.sleep(RETRY_SECONDS)

    async def _lead(self) -> None:
        self.is_leading = True
        _log.info("duty taken", duty=self.name)
        tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._work())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            _log.warning("duty lost", duty=self.name)
        finally:
            self.is_leading = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if await self._feed.hold_duty(self.name, self._holder) is None:
                return

    async def _work(self) -> None:
        pauses = self._pauses
        while True:
            mark, began = self._wakes.mark, time.monotonic()
            wanted = pauses.ended_by.mark if pauses else 0
            done = await self._step(self._holder)
            if done is None:
                return
            self.done += done
            if not done:
                await self._wakes.wait(mark, self._poll_seconds)
            elif pauses:
                await pauses.rest(began, done, wanted)
