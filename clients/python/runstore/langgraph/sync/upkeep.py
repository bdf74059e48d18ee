# Generated from langgraph/aio/upkeep.py; see generate_sync.py.
"""Deleting, pruning and copying threads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing

from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.errors import IdempotencyMismatch, RunCompleted, WriterFenced
from runstore.langgraph import calls
from runstore.langgraph.addresses import CheckpointAddress
from runstore.langgraph.checkpoints import CHANNEL_PREFIX, is_same
from runstore.langgraph.memory import Memory
from runstore.langgraph.pending import batches
from runstore.langgraph.sessions import Session, taken_over
from runstore.langgraph.sync.listing import Listings
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.tuples import Stored, delta_channels, load
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.payloads import Payload, Ref
from runstore.values.runs import RunRef
from runstore.values.snapshots import Snapshot, SnapshotListing

MAX_DELETED = 1000
NO_CHECKPOINT = "no checkpoint"
"""An id that no checkpoint has."""
RUN_ID = "run_id"

ByNamespace = dict[str, list[str]]


class Upkeep:
    def __init__(
        self,
        connection: Connection,
        project: str,
        memory: Memory,
        threads: Threads,
        listings: Listings,
    ) -> None:
        self._connection = connection
        self._project = project
        self._memory = memory
        self._threads = threads
        self._listings = listings

    def delete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread and fence its writers. The run stays."""
        with self._memory.turns.of(thread_id):
            run = self._threads.find_run(thread_id)
            if run is None:
                self._memory.sessions.drop(thread_id)
                return
            # What is held is not deleted: that is to be known before its writer is fenced.
            self._delete(self._threads.ref(thread_id), "", [NO_CHECKPOINT])
            session, _ = self._memory.sessions.read(thread_id, run)
            ref = self._take_over(session)
            for namespace, ids in (self._all(thread_id)).items():
                self._delete(ref, namespace, ids)

    def _take_over(self, session: Session) -> RunRef:
        """Claim the run from any other writer; a completed run is returned without an epoch."""
        ref = RunRef(self._project, session.thread_id)
        try:
            claimed = self._connection.send(calls.claim(ref, None))
        except RunCompleted:
            return ref
        session.start_again(claimed.epoch, claimed.last_seq, "the thread was deleted")
        session.claimed(claimed.epoch, claimed.last_seq)
        return self._threads.ref(session.thread_id, claimed.epoch)

    def _all(self, thread_id: str) -> ByNamespace:
        found: ByNamespace = defaultdict(list)
        with closing(self._listings.snapshots(thread_id, {})) as snapshots:
            for snapshot in snapshots:
                found[snapshot.namespace].append(snapshot.snapshot_id)
        return found

    def _delete(self, ref: RunRef, namespace: str, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), MAX_DELETED):
            some = ids[start : start + MAX_DELETED]
            try:
                self._connection.send(client_calls.snapshots.delete_snapshots(ref, some, namespace))
            except WriterFenced as error:
                raise taken_over(ref.run_id, str(error)) from error

    def delete_for_runs(self, run_ids: Iterable[str]) -> None:
        """Delete the checkpoints of all threads whose metadata names one of the runs."""
        for run_id in run_ids:
            found: dict[tuple[str, str], list[str]] = defaultdict(list)
            where: SnapshotListing = {"metadata": {RUN_ID: str(run_id)}}
            with closing(self._listings.snapshots("", where)) as snapshots:
                for snapshot in snapshots:
                    found[snapshot.run_id, snapshot.namespace].append(snapshot.snapshot_id)
            for (thread_id, namespace), ids in found.items():
                self._delete(self._threads.ref(thread_id), namespace, ids)

    def keep_latest(self, thread_id: str, serde: SerializerProtocol) -> None:
        """Delete all checkpoints but the latest of each namespace and those it is rebuilt from."""
        found = self._all(thread_id)
        for namespace, ids in found.items():
            kept = self._needed(CheckpointAddress(thread_id, namespace, ids[0]), serde)
            rest = [each for each in ids if each not in kept]
            self._delete(self._threads.ref(thread_id), namespace, rest)

    def _needed(self, latest: CheckpointAddress, serde: SerializerProtocol) -> set[str]:
        """The checkpoint, and the earlier ones that its delta channels are rebuilt from."""
        kept = {latest.checkpoint_id}
        snapshot = self._threads.find(latest)
        if snapshot is None:
            return kept
        found = transport.run_blocking(load, Stored(serde, latest, snapshot))
        wanted = delta_channels(found.metadata) - found.checkpoint["channel_values"].keys()
        if not wanted:
            return kept
        with closing(self._listings.ancestors(latest, snapshot)) as ancestors:
            for each in ancestors:
                kept.add(each.snapshot_id)
                stored = Stored(serde, latest.at(each.snapshot_id), each)
                found = transport.run_blocking(load, stored)
                wanted -= found.checkpoint["channel_values"].keys()
                if not wanted:
                    break
        return kept

    def copy_thread(self, source: str, target: str) -> None:
        """Put every checkpoint of a thread, with its writes, into another one, oldest first."""
        if source == target:
            return
        with (
            self._memory.turns.of(target),
            closing(self._listings.oldest_first(source)) as snapshots,
        ):
            begun: tuple[Session, RunRef] | None = None
            sent: set[bytes] = set()
            for stored in snapshots:
                begun = begun or self._begin(target)
                copy = CheckpointAddress(target, stored.namespace, stored.snapshot_id)
                self._copy(*begun, copy, stored, sent)

    def _begin(self, thread_id: str) -> tuple[Session, RunRef]:
        """Claim a thread to write to it, whatever it holds."""
        run = self._threads.find_run(thread_id)
        session, _ = self._memory.sessions.read(thread_id, run)
        return session, self._threads.claim(session)

    def _copy(
        self,
        session: Session,
        ref: RunRef,
        address: CheckpointAddress,
        stored: Snapshot,
        sent: set[bytes],
    ) -> None:
        state: dict[str, Payload | Ref] = {}
        for name, part in stored.state.items():
            sha256 = part.sha256
            is_there = sha256 in sent and name.startswith(CHANNEL_PREFIX)
            state[name] = Ref(sha256) if is_there else part
            sent.add(sha256)
        parent, writes = stored.parent_snapshot_id, stored.task_writes
        put = calls.Put(address, parent, state, stored.metadata, writes)
        try:
            last_seq = self._threads.store(ref, put)
        except IdempotencyMismatch:
            # An interrupted copy is continued by copying again.
            there = self._threads.find(address)
            if there is None or not is_same(there, stored):
                raise
            for batch in batches(writes):
                self._threads.put_batch(ref, address, batch)
            last_seq = session.seen_seq
        session.put_done(address.key, parent, last_seq)
