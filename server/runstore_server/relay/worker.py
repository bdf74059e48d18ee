"""Work on the feed that one server process at a time does.

Every process runs a `Worker` for each duty; the store lends the duty to one of them for a few
seconds at a time. A holder that dies or freezes is replaced when its time is over, and what it
still writes under the duty is refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import structlog
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import FeedStore
from runstore_storage.contract.signals import Watchable

RENEW_SECONDS = 1.0
RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)

Step = Callable[[str], Awaitable[int | None]]
"""Does some of the work under a holder's name: how much, 0 when there is none for now, None when
the duty was lost."""


def new_holder() -> str:
    """A name under which nobody else holds a duty; it tells the machine and the process."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"


class Worker:
    """Does one duty whenever this process has it."""

    def __init__(
        self,
        feed: FeedStore,
        name: str,
        step: Step,
        wakes: Watchable,
        *,
        poll_seconds: float,
        pause_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.is_leading = False
        self.done = 0
        """How much this process has done, for its metrics."""
        self._feed = feed
        self._step = step
        self._wakes = wakes
        self._poll_seconds = poll_seconds
        self._pause_seconds = pause_seconds
        self._holder = new_holder()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask for the duty from now on."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, also in the middle of a step, and let the next process have the duty."""
        if self._running:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await self._release()

    async def _release(self) -> None:
        with suppress(StorageUnavailable):  # its time will be over soon
            await self._feed.release_duty(self.name, self._holder)

    async def _run(self) -> None:
        while True:
            try:
                if await self._feed.hold_duty(self.name, self._holder) is not None:
                    await self._lead()
            except StorageUnavailable:
                _log.warning("waiting for the database", duty=self.name)
            except Exception:
                _log.exception("a duty failed and is tried again", duty=self.name)
                with suppress(Exception):  # what is wrong has just been told
                    await self._release()  # another process may do better
            await asyncio.sleep(RETRY_SECONDS)

    async def _lead(self) -> None:
        self.is_leading = True
        _log.info("duty taken", duty=self.name)
        parts = [asyncio.create_task(self._renew()), asyncio.create_task(self._work())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
            _log.warning("duty lost", duty=self.name)
        finally:
            self.is_leading = False
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if await self._feed.hold_duty(self.name, self._holder) is None:
                return

    async def _work(self) -> None:
        while True:
            mark, began = self._wakes.mark, time.monotonic()
            done = await self._step(self._holder)
            if done is None:
                return
            self.done += done
            if not done:
                await self._wakes.wait(mark, self._poll_seconds)
            elif (early := began + self._pause_seconds - time.monotonic()) > 0:
                # What comes meanwhile is done at once: fewer, larger steps under load.
                await asyncio.sleep(early)
