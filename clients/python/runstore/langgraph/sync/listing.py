# Generated from langgraph/aio/listing.py; see generate_sync.py.
"""Listing checkpoints, whole and a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.errors import RunNotFound, SnapshotNotFound
from runstore.langgraph.addresses import CheckpointAddress
from runstore.langgraph.checkpoints import is_checkpoint
from runstore.langgraph.sessions import CheckpointKey
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.tuples import History, Listing, Stored, delta_steps, load
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.runs import RunInfo, RunRef
from runstore.values.snapshots import Snapshot, SnapshotListing

PAGE_SIZE = 100
# So many whole checkpoints of a namespace are held in memory while a thread is copied.
COPIED_AT_ONCE = 20


class Listings:
    def __init__(self, connection: Connection, project: str, threads: Threads) -> None:
        self._connection = connection
        self._project = project
        self._threads = threads

    def tuples(
        self, listing: Listing, limit: int | None, serde: SerializerProtocol
    ) -> Generator[CheckpointTuple]:
        """Yield checkpoints, newest first; a subgraph of which none is replayed begins anew."""
        if limit is not None and limit <= 0:
            return
        left, run = limit, None
        if listing.thread_id and listing.before:
            # The run is read first, so that a write in between makes the later claim fail.
            run = self._threads.find_run(listing.thread_id)
        is_empty = True
        with closing(self._stored(listing, limit, serde)) as found:
            for stored in found:
                each = transport.run_blocking(load, stored)
                if not listing.where.accepts(each.metadata):
                    continue
                if listing.before:
                    self._choose(run, stored)
                is_empty, left = False, None if left is None else left - 1
                yield each
                if left == 0:
                    return
        if listing.is_replay and is_empty:
            self._threads.choose_none(run, listing.thread_id, listing.namespace or "")

    def _choose(self, run: RunInfo | None, stored: Stored) -> None:
        """When a run is replayed, its subgraphs continue from what a listing finds."""
        if run is None:
            self._threads.choose(stored.address)
        else:
            self._threads.chose(run, stored.address, stored.snapshot)

    def _stored(
        self, listing: Listing, limit: int | None, serde: SerializerProtocol
    ) -> Generator[Stored]:
        """Yield what a listing asks for, as far as the server and the ids can tell."""
        if (address := listing.address) is not None:
            one = self._threads.find(address)
            if one is not None and listing.accepts(one):
                yield Stored(serde, address, one)
            return
        where: SnapshotListing = {
            "namespace": listing.namespace,
            "metadata": listing.where.metadata,
            "id_below": listing.before,
            "with_parts": True,
            "with_task_writes": True,
        }
        size = PAGE_SIZE if limit is None or listing.where.rest else min(limit, PAGE_SIZE)
        with closing(self.snapshots(listing.thread_id, where, size)) as found:
            for snapshot in found:
                if listing.accepts(snapshot):
                    thread_id = listing.thread_id or snapshot.run_id
                    address = CheckpointAddress(thread_id, snapshot.namespace, snapshot.snapshot_id)
                    yield Stored(serde, address, snapshot)

    def history(
        self, address: CheckpointAddress, channels: Sequence[str], serde: SerializerProtocol
    ) -> Mapping[str, Any]:
        """Writes of channels before a checkpoint, back to the last stored value of each."""
        history = History(channels)
        find = self._threads.find if address.checkpoint_id else self._threads.latest
        target = find(address)
        if target is None or history.is_complete:
            return history.result()
        with closing(self.ancestors(address, target)) as ancestors:
            for ancestor in ancestors:
                stored = Stored(serde, address.at(ancestor.snapshot_id), ancestor)
                history.add(transport.run_blocking(load, stored))
                if history.is_complete:
                    break
        return history.result()

    def ancestors(self, address: CheckpointAddress, descendant: Snapshot) -> Generator[Snapshot]:
        """Yield the checkpoints that one follows, nearest first, until one is not stored."""
        wanted = descendant.parent_snapshot_id
        if not wanted:
            return
        older: SnapshotListing = {
            "namespace": address.namespace,
            "before": descendant.snapshot_id,
            "with_parts": True,
            "with_task_writes": True,
        }
        size = min(delta_steps(descendant) + 1, PAGE_SIZE)
        with closing(self.snapshots(address.thread_id, older, size)) as found:
            for snapshot in found:
                if snapshot.snapshot_id == wanted:
                    yield snapshot
                    wanted = snapshot.parent_snapshot_id
                    if not wanted:
                        return

    def oldest_first(self, thread_id: str) -> Generator[Snapshot]:
        """Yield whole checkpoints of all namespaces in the order in which they were put."""
        ids: dict[str, list[str]] = defaultdict(list)
        order: list[CheckpointKey] = []
        with closing(self.snapshots(thread_id, {})) as found:
            for each in found:
                order.append(CheckpointKey(each.namespace, each.snapshot_id))
                ids[each.namespace].append(each.snapshot_id)
        loaded: dict[CheckpointKey, Snapshot] = {}
        for key in reversed(order):
            left = ids[key.namespace]
            if key not in loaded and key.checkpoint_id in left[-COPIED_AT_ONCE:]:
                some = self._oldest(thread_id, key.namespace, left)
                loaded |= {CheckpointKey(key.namespace, each.snapshot_id): each for each in some}
            # One that its neighbour was listed by may be gone; it is read by its own id.
            snapshot = loaded.pop(key, None) or self._threads.find(
                CheckpointAddress(thread_id, *key)
            )
            if snapshot is not None:
                yield snapshot

    def _oldest(self, thread_id: str, namespace: str, ids: list[str]) -> list[Snapshot]:
        """Take the oldest of a namespace's ids, newest first, and list their checkpoints."""
        wanted = set(ids[-COPIED_AT_ONCE:])
        del ids[-COPIED_AT_ONCE:]
        where: SnapshotListing = {
            "namespace": namespace,
            "before": ids[-1] if ids else "",
            "with_parts": True,
            "with_task_writes": True,
        }
        listed = []
        with closing(self.snapshots(thread_id, where, len(wanted))) as found:
            for each in found:
                if each.snapshot_id in wanted:
                    listed.append(each)
                if len(listed) == len(wanted):
                    break
        return listed

    def snapshots(
        self, thread_id: str, where: SnapshotListing, page_size: int = PAGE_SIZE
    ) -> Generator[Snapshot]:
        """Yield the snapshots of checkpoints, newest first; none if there is no such run."""
        ref = RunRef(self._project, thread_id)
        token = ""
        while True:
            call = client_calls.snapshots.list_snapshots(ref, where, token, page_size)
            try:
                page, token = self._connection.send(call)
            except (RunNotFound, SnapshotNotFound):
                return
            for snapshot in filter(is_checkpoint, page):
                yield snapshot
            if not token:
                return
