"""How a reader learns that there may be something new to read."""

from __future__ import annotations

from typing import Protocol


class Watchable(Protocol):
    """Something that changes, and that readers wait for.

    A reader takes `mark`, reads, and then waits with that mark: a change between reading and
    waiting ends the wait at once.
    """

    @property
    def mark(self) -> int:
        """A number that is another one after each change that may have happened."""

    async def wait(self, mark: int, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on silence
        """Return True once there may have been a change since `mark`, False after `timeout` s."""
