"""The OpenAI Agents SDK's SQLAlchemySession: add_items with what a tool answered."""

from __future__ import annotations

from functools import cache, partial
from random import choice
from typing import Any
from uuid import uuid4

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.jobs.peers.engines import POOL, asynchronous
from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS


@cache
def _engine(url: str) -> AsyncEngine:
    return create_async_engine(asynchronous(url), **POOL)


@cache
def _sessions(url: str, writers: int) -> list[SQLAlchemySession]:
    return [
        SQLAlchemySession(str(uuid4()), engine=_engine(url), create_tables=True)
        for _ in range(writers)
    ]


async def adds(url: str, writers: int, seconds: float) -> dict[str, Any]:
    async def add(session: SQLAlchemySession) -> int:
        answered = {
            "type": "function_call_output",
            "call_id": str(uuid4()),
            "output": choice(PAYLOADS),
        }
        await session.add_items([answered])
        return 1

    return await repeated([partial(add, session) for session in _sessions(url, writers)], seconds)
