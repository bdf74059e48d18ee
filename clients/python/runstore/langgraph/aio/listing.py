"""Listing checkpoints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.aio import transport
from runstore.aio.connection import AsyncConnection
from runstore.errors import RunNotFound
from runstore.langgraph.addresses import Place
from runstore.langgraph.aio.threads import AsyncThreads
from runstore.langgraph.checkpoints import is_checkpoint
from runstore.langgraph.tuples import Listing, Stored, load
from runstore.values.payloads import Payload
from runstore.values.runs import RunRef
from runstore.values.snapshots import Snapshot

PAGE = 100


class AsyncListings:
    def __init__(self, connection: AsyncConnection, project: str, threads: AsyncThreads) -> None:
        self._connection = connection
        self._project = project
        self._threads = threads

    async def tuples(
        self, asked: Listing, limit: int | None, serde: SerializerProtocol
    ) -> AsyncGenerator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        left = limit
        async with aclosing(self._places(asked)) as places:
            async for place in places:
                if left is not None and left <= 0:
                    return
                # Where a run is replayed, its subgraphs go on from what this finds.
                find = self._threads.choose if asked.before else self._threads.find
                snapshot = await find(place)
                if snapshot is None:
                    continue
                found = await transport.run_blocking(load, Stored(serde, place, snapshot))
                if asked.where.takes(found.metadata):
                    left = None if left is None else left - 1
                    yield found

    async def _places(self, asked: Listing) -> AsyncGenerator[Place]:
        where = asked.where.metadata
        async with aclosing(self.snapshots(asked.thread_id, asked.namespace, where)) as found:
            async for snapshot in found:
                if asked.takes(snapshot):
                    thread_id = asked.thread_id or snapshot.run_id
                    yield Place(thread_id, snapshot.namespace, snapshot.snapshot_id)

    async def snapshots(
        self, thread_id: str, namespace: str | None = None, metadata: Payload | None = None
    ) -> AsyncGenerator[Snapshot]:
        """Yield checkpoints' snapshots without their parts, newest first."""
        ref = RunRef(self._project, thread_id)
        token = ""
        while True:
            call = client_calls.snapshots.list_snapshots(
                ref, namespace, metadata, with_parts=False, page_token=token, limit=PAGE
            )
            try:
                page, token = await self._connection.send(call)
            except RunNotFound:
                return
            for snapshot in filter(is_checkpoint, page):
                yield snapshot
            if not token:
                return
