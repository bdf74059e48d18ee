"""Waiting for something new to read."""

from __future__ import annotations

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
