"""LangGraph's AsyncPostgresSaver: the writes of a task, then the checkpoint after it."""

from __future__ import annotations

import json
from random import choice
from typing import Any
from uuid import uuid4

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS

CHANNEL = "message"


class _Thread:
    def __init__(self, saver: AsyncPostgresSaver) -> None:
        self._saver, self._versions = saver, {}
        self._config: Any = {"configurable": {"thread_id": str(uuid4()), "checkpoint_ns": ""}}

    async def begin(self) -> None:
        await self._put({})

    async def step(self) -> int:
        message = json.loads(choice(PAYLOADS))
        await self._saver.aput_writes(self._config, [(CHANNEL, message)], str(uuid4()))
        await self._put({CHANNEL: message})
        return 1

    async def _put(self, values: dict[str, Any]) -> None:
        new = {
            name: self._saver.get_next_version(self._versions.get(name), None) for name in values
        }
        self._versions |= new
        checkpoint = empty_checkpoint() | {
            "channel_values": values,
            "channel_versions": dict(self._versions),
            "updated_channels": list(values),
        }
        metadata = {"source": "loop", "step": 0, "parents": {}}
        self._config = await self._saver.aput(self._config, checkpoint, metadata, new)


_opened: list[Any] = []
_threads: dict[int, list[_Thread]] = {}


async def steps(url: str, writers: int, seconds: float) -> dict[str, Any]:
    if not _opened:
        opening = AsyncPostgresSaver.from_conn_string(url)
        _opened.extend((opening, await opening.__aenter__()))
        await _opened[1].setup()
    if writers not in _threads:
        _threads[writers] = [_Thread(_opened[1]) for _ in range(writers)]
        for thread in _threads[writers]:
            await thread.begin()
    return await repeated([thread.step for thread in _threads[writers]], seconds)
