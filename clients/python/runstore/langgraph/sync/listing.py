# Generated from langgraph/aio/listing.py; see generate_sync.py.
"""Listing checkpoints."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.errors import RunNotFound
from runstore.langgraph.addresses import Place
from runstore.langgraph.checkpoints import is_checkpoint
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.tuples import Listing, Stored, load
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.payloads import Payload
from runstore.values.runs import RunRef
from runstore.values.snapshots import Snapshot

PAGE = 100


class Listings:
    def __init__(self, connection: Connection, project: str, threads: Threads) -> None:
        self._connection = connection
        self._project = project
        self._threads = threads

    def tuples(
        self, asked: Listing, limit: int | None, serde: SerializerProtocol
    ) -> Generator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        left = limit
        with closing(self._places(asked)) as places:
            for place in places:
                if left is not None and left <= 0:
                    return
                # Where a run is replayed, its subgraphs go on from what this finds.
                find = self._threads.choose if asked.before else self._threads.find
                snapshot = find(place)
                if snapshot is None:
                    continue
                found = transport.run_blocking(load, Stored(serde, place, snapshot))
                if asked.where.takes(found.metadata):
                    left = None if left is None else left - 1
                    yield found

    def _places(self, asked: Listing) -> Generator[Place]:
        where = asked.where.metadata
        with closing(self.snapshots(asked.thread_id, asked.namespace, where)) as found:
            for snapshot in found:
                if asked.takes(snapshot):
                    thread_id = asked.thread_id or snapshot.run_id
                    yield Place(thread_id, snapshot.namespace, snapshot.snapshot_id)

    def snapshots(
        self, thread_id: str, namespace: str | None = None, metadata: Payload | None = None
    ) -> Generator[Snapshot]:
        """Yield checkpoints' snapshots without their parts, newest first."""
        ref = RunRef(self._project, thread_id)
        token = ""
        while True:
            call = client_calls.snapshots.list_snapshots(
                ref, namespace, metadata, with_parts=False, page_token=token, limit=PAGE
            )
            try:
                page, token = self._connection.send(call)
            except RunNotFound:
                return
            for snapshot in filter(is_checkpoint, page):
                yield snapshot
            if not token:
                return
