"""Work that is done again and again until the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def repeated(works: list[Callable[[], Awaitable[int]]], seconds: float) -> dict[str, Any]:
    """Each work again and again, all at once; the sum of what they return, and how long each took.

    What is under way when the time is over is finished and counted, and the time until then too.
    """
    stop_at, times = time.perf_counter() + seconds, []

    async def repeat(work: Callable[[], Awaitable[int]]) -> int:
        count = 0
        while (began := time.perf_counter()) < stop_at:
            count += await work()
            times.append((time.perf_counter() - began) * 1000)
        return count

    return {"count": sum(await asyncio.gather(*map(repeat, works))), "times": times}
