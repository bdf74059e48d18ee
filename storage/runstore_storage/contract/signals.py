"""Waiting for something new to read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol


class Watchable(Protocol):
    """Something that readers wait on for changes.

    A reader takes `mark` before it reads and waits with it afterwards, so that a change in between
    ends the wait at once.
    """

    @property
    def mark(self) -> int:
        """A number that is a new one whenever there may have been a change."""

    async def wait(self, mark: int, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on silence
        """Return True once there may have been a change since `mark`, False after `timeout` s."""


class Signal:
    """Says that something may have changed. Take `mark` before reading, and wait with it after."""

    def __init__(self) -> None:
        self.mark = 0
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """End every wait."""
        self.mark += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, mark: int, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on silence
        """Wait for a wake-up since `mark`; False if `timeout` seconds pass without one."""
        if self.mark == mark:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
        return self.mark != mark
