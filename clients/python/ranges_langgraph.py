"""Uses the checkpoint saver with the installed versions, against the server at sys.argv[1].

Run by ranges.py in environments that have the client's wheel with its extra langgraph, but not
LangGraph itself.
"""

import asyncio
import sys
from typing import Any
from uuid import uuid4

from langgraph.checkpoint.base import empty_checkpoint
from runstore.langgraph import RunstoreSaver

THREAD = str(uuid4())
CONFIG: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}


def checkpoint(saver: RunstoreSaver) -> tuple[Any, dict[str, str | int | float]]:
    """A checkpoint with one channel, and its channel versions."""
    versions: dict[str, str | int | float] = {"said": saver.get_next_version(None, None)}
    made: Any = empty_checkpoint()
    return made | {"channel_values": {"said": ["hi"]}, "channel_versions": versions}, versions


async def asynchronously(address: str) -> None:
    """Put, read, list, prune and delete."""
    async with RunstoreSaver(address, project="ranges/langgraph-async", timeout=30) as saver:
        made, versions = checkpoint(saver)
        config = await saver.aput(CONFIG, made, {"source": "loop", "step": 1}, versions)
        await saver.aput_writes(config, [("said", "there")], "task", "path")
        found = await saver.aget_tuple(CONFIG)
        assert found
        assert found.checkpoint["channel_values"] == {"said": ["hi"]}
        assert found.pending_writes == [("task", "said", "there")]
        listed = [each.config async for each in saver.alist(CONFIG, filter={"step": 1})]
        assert listed == [config]
        await saver.aprune([THREAD])
        await saver.adelete_thread(THREAD)
        assert await saver.aget_tuple(CONFIG) is None


def synchronously(address: str) -> None:
    """The same of the synchronous methods, in short."""
    with RunstoreSaver(address, project="ranges/langgraph-sync", timeout=30) as saver:
        made, versions = checkpoint(saver)
        config = saver.put(CONFIG, made, {"source": "loop", "step": 1}, versions)
        saver.put_writes(config, [("said", "there")], "task")
        assert [each.config for each in saver.list(CONFIG)] == [config]


if __name__ == "__main__":
    asyncio.run(asynchronously(sys.argv[1]))
    synchronously(sys.argv[1])
