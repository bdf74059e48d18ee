"""Waiting for what has no event to wait for: states of servers, of tasks, of databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object]) -> None:
    """Return when it holds; fail after a minute."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
