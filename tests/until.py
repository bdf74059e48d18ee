"""Waiting for what has no event to wait for: states of servers, of tasks, of databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable


async def until(holds: Callable[[], object]) -> None:
    """Return when it holds, or what it awaits to; fail after a minute."""
    async with asyncio.timeout(60):
        while not (await held if isawaitable(held := holds()) else held):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
