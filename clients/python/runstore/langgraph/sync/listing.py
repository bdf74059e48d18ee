# Generated from langgraph/aio/listing.py; see generate_sync.py.
"""Listing checkpoints."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.errors import RunNotFound
from runstore.langgraph.addresses import CheckpointAddress
from runstore.langgraph.checkpoints import is_checkpoint
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.tuples import Listing, Stored, load
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.payloads import Payload
from runstore.values.runs import RunRef
from runstore.values.snapshots import Snapshot

PAGE_SIZE = 100


class Listings:
    def __init__(self, connection: Connection, project: str, threads: Threads) -> None:
        self._connection = connection
        self._project = project
        self._threads = threads

    def tuples(
        self, listing: Listing, limit: int | None, serde: SerializerProtocol
    ) -> Generator[CheckpointTuple]:
        """Yield checkpoints, newest first; a subgraph of which none is replayed begins anew."""
        # The run is read first, so that a write in between makes the later claim fail.
        is_replay = listing.is_replay and limit != 0
        run = self._threads.find_run(listing.thread_id) if is_replay else None
        is_empty = True
        with closing(self._tuples(listing, limit, serde)) as tuples:
            for found in tuples:
                is_empty = False
                yield found
        if is_replay and is_empty:
            self._threads.choose_none(run, listing.thread_id, listing.namespace or "")

    def _tuples(
        self, listing: Listing, limit: int | None, serde: SerializerProtocol
    ) -> Generator[CheckpointTuple]:
        left = limit
        with closing(self._addresses(listing)) as addresses:
            for address in addresses:
                if left is not None and left <= 0:
                    return
                # When a run is replayed, its subgraphs continue from what this finds.
                find = self._threads.choose if listing.before else self._threads.find
                snapshot = find(address)
                if snapshot is None:
                    continue
                stored = Stored(serde, address, snapshot)
                found = transport.run_blocking(load, stored)
                if listing.where.accepts(found.metadata):
                    left = None if left is None else left - 1
                    yield found

    def _addresses(self, listing: Listing) -> Generator[CheckpointAddress]:
        where = listing.where.metadata
        with closing(self.snapshots(listing.thread_id, listing.namespace, where)) as found:
            for snapshot in found:
                if listing.accepts(snapshot):
                    thread_id = listing.thread_id or snapshot.run_id
                    yield CheckpointAddress(thread_id, snapshot.namespace, snapshot.snapshot_id)

    def snapshots(
        self, thread_id: str, namespace: str | None = None, metadata: Payload | None = None
    ) -> Generator[Snapshot]:
        """Yield the snapshots of checkpoints without their parts, newest first."""
        ref = RunRef(self._project, thread_id)
        token = ""
        while True:
            call = client_calls.snapshots.list_snapshots(
                ref, namespace, metadata, with_parts=False, page_token=token, limit=PAGE_SIZE
            )
            try:
                page, token = self._connection.send(call)
            except RunNotFound:
                return
            for snapshot in filter(is_checkpoint, page):
                yield snapshot
            if not token:
                return
