"""DBOS: steps of asynchronous workflows, whose results it records."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from random import choice
from typing import Any

from dbos import DBOS

from bench.payloads import PAYLOADS


@DBOS.step()
async def searched() -> str:
    return choice(PAYLOADS)


@DBOS.workflow()
async def agent(until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await searched()
        count += 1
    return count


@cache
def _launch(url: str) -> None:
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "WARNING"})
    DBOS.launch()


async def steps(url: str, writers: int, seconds: float) -> dict[str, Any]:
    """Each writer is a workflow."""
    await asyncio.to_thread(_launch, url)
    until = time.perf_counter() + seconds
    return {"count": sum(await asyncio.gather(*(agent(until) for _ in range(writers))))}
