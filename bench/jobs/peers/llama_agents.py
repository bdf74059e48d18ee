"""llama-agents' PostgresWorkflowStore: append_event with what a tool answered."""

from __future__ import annotations

import json
from functools import cache, partial
from random import choice
from typing import Any
from uuid import uuid4

from llama_agents.client.protocol.serializable_events import EventEnvelopeWithMetadata
from llama_agents.server._store.postgres_workflow_store import PostgresWorkflowStore
from workflows.events import Event

from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS


class ToolReturned(Event):
    role: str
    content: str


@cache
def _store(url: str) -> PostgresWorkflowStore:
    return PostgresWorkflowStore(url)


@cache
def _runs(writers: int) -> list[str]:
    return [str(uuid4()) for _ in range(writers)]


async def appends(url: str, writers: int, seconds: float) -> dict[str, Any]:
    store = _store(url)

    async def append(run_id: str) -> int:
        event = ToolReturned(**json.loads(choice(PAYLOADS)))
        await store.append_event(run_id, EventEnvelopeWithMetadata.from_event(event))
        return 1

    await store.start()
    return await repeated([partial(append, run_id) for run_id in _runs(writers)], seconds)
