"""Work on the feed that one server process at a time does.

Every process runs a `DutyWorker` for each duty; the store leases the duty to one of them for a few
seconds at a time. A holder that dies or freezes is replaced when its lease expires, and anything it
still writes under the duty is refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import structlog
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import FeedStore
from runstore_storage.contract.signals import Watchable

from runstore_server.relay.pacing import Pace

RENEW_SECONDS = 1.0
RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)

DutyStep = Callable[[str], Awaitable[int | None]]
"""Does some of the work in a holder's name. Returns how much it did, 0 when there is nothing to do
for now, None when the duty was lost."""


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
        pace: Pace | None = None,
    ) -> None:
        self.name = name
        self.is_leading = False
        self.done = 0
        """How much this process has done in total, for its metrics."""
        self._feed = feed
        self._step = step
        self._wakes = wakes
        self._poll_seconds = poll_seconds
        self._pace = pace
        self._lag_seconds = 0.0
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
            if self._pace:
                self._lag_seconds = (await self._feed.lag(self.name)).seconds

    async def _work(self) -> None:
        pace = self._pace
        while True:
            mark = self._wakes.mark
            begun = pace.begin() if pace else None
            done = await self._step(self._holder)
            if done is None:
                return
            self.done += done
            if not done:
                await self._wakes.wait(mark, self._poll_seconds)
            elif pace and begun:
                await pace.rest(begun, done, self._lag_seconds)
