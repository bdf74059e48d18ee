"""Writes that are finished even when their callers are gone.

A cancelled call must not stop a write halfway: its caller could not tell what was stored, and what
follows the commit, such as waking readers, would be skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WritesInFlight:
    """The writes of this process that have begun and not ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def finish(self, write: Coroutine[object, object, T]) -> T:
        """Run a write to its end; cancelling the caller ends only its wait."""
        task = asyncio.create_task(write)
        self._tasks.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def landed(self) -> None:
        """Return when every write that has begun has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _landed(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller is gone


class _Writer(Protocol):
    _in_flight: WritesInFlight


W = TypeVar("W", bound=_Writer)


def finish_despite_cancellation(
    method: Callable[Concatenate[W, P], Coroutine[object, object, T]],
) -> Callable[Concatenate[W, P], Coroutine[object, object, T]]:
    """Let a method of a class that has `_in_flight` run to its end once it has begun."""

    @wraps(method)
    async def finished(self: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_flight.finish(method(self, *args, **kwargs))

    return finished
