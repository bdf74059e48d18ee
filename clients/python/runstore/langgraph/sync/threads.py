# Generated from langgraph/aio/threads.py; see generate_sync.py.
"""A saver's threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.errors import (
    IdempotencyMismatch,
    RunNotFound,
    RunstoreError,
    SeqConflict,
    SnapshotNotFound,
    UnknownRef,
    WriterEpochUnknown,
    WriterFenced,
)
from runstore.langgraph import calls
from runstore.langgraph.addresses import Place
from runstore.langgraph.checkpoints import Drafting, draft, is_checkpoint
from runstore.langgraph.memory import Memory
from runstore.langgraph.pending import Writing, batches, missing, revision_of, writes_of
from runstore.langgraph.sessions import Session, taken_over
from runstore.langgraph.tuples import History, Stored, load, load_and_hash
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.runs import RunInfo, RunRef
from runstore.values.snapshots import Snapshot, TaskWrite


class Threads:
    """Reads and writes checkpoints of threads; one thread's writes take turns."""

    def __init__(self, connection: Connection, project: str, memory: Memory) -> None:
        self._connection = connection
        self._project = project
        self._memory = memory

    def ref(self, thread_id: str, epoch: int | None = None) -> RunRef:
        """The thread's run."""
        return RunRef(self._project, thread_id, epoch)

    def get(self, place: Place, serde: SerializerProtocol) -> CheckpointTuple | None:
        """The checkpoint at a place; what was seen there allows writes after it."""
        find = self.choose if place.checkpoint_id else self._latest
        snapshot = find(place)
        if snapshot is None:
            return None
        stored = Stored(serde, place.at(snapshot.snapshot_id), snapshot)
        found, parts = transport.run_blocking(load_and_hash, stored)
        self._memory.parts.learn(place.thread_id, place.namespace, parts)
        return found

    def _latest(self, place: Place) -> Snapshot | None:
        run, latest = self._view(place)
        if latest is not None and not is_checkpoint(latest):
            latest = self._latest_checkpoint(place)
        with self._memory.turns.of(place.thread_id):
            session, counts = self._memory.sessions.read(place.thread_id, run)
            if counts:
                id_, parent = (
                    (latest.snapshot_id, latest.parent_snapshot_id) if latest else ("", "")
                )
                seq = run.last_seq if run else 0
                session.read_latest(place.namespace, id_, parent, seq)
        return latest

    def _view(self, place: Place) -> tuple[RunInfo | None, Snapshot | None]:
        try:
            return self._connection.send(calls.view(self.ref(place.thread_id), place.namespace))
        except RunNotFound:
            return None, None

    def _latest_checkpoint(self, place: Place) -> Snapshot | None:
        """The latest that a saver put, where another client put a snapshot after it."""
        ref = self.ref(place.thread_id)
        try:
            return self._connection.send(calls.latest(ref, place.namespace))
        except SnapshotNotFound:
            return None

    def choose(self, place: Place) -> Snapshot | None:
        # The run first: what is written in between makes the claim that follows fail.
        run = self.find_run(place.thread_id)
        found = self.find(place) if run else None
        with self._memory.turns.of(place.thread_id):
            session, counts = self._memory.sessions.read(place.thread_id, run)
            if found and counts:
                session.read_chosen(place.mark, found.parent_snapshot_id)
        return found

    def find_run(self, thread_id: str) -> RunInfo | None:
        """The thread's run as it stands, None where there is none."""
        try:
            return self._connection.send(client_calls.runs.get_run(self.ref(thread_id)))
        except RunNotFound:
            return None

    def find(self, place: Place) -> Snapshot | None:
        """The snapshot of a checkpoint, None where there is none."""
        ref, namespace = self.ref(place.thread_id), place.namespace
        call = client_calls.snapshots.get_snapshot(ref, namespace, place.checkpoint_id)
        try:
            found = self._connection.send(call)
        except (RunNotFound, SnapshotNotFound):
            return None
        return found if is_checkpoint(found) else None

    def put(self, place: Place, parent: str, asked: Drafting) -> None:
        """Store a checkpoint; raise `ThreadTakenOver` where another writer came in between."""
        metadata = asked.metadata
        with self._memory.turns.of(place.thread_id):
            session = self.session(place.thread_id)
            session.check_put(place.mark, parent, str(metadata.get("source", "")))
            try:
                last_seq = self._put(session, place, parent, asked)
            except BaseException:
                session.refuse(place.mark, "putting its checkpoint failed")
                raise
            session.put_done(place.mark, parent, last_seq)

    def _put(self, session: Session, place: Place, parent: str, asked: Drafting) -> int:
        run = self.claim(session)
        parts, versions = self._memory.parts, asked.checkpoint["channel_versions"]
        known = parts.of(place.thread_id, place.namespace, versions)
        drafted = transport.run_blocking(draft, asked._replace(known=known))
        waiting = list(session.held.get(place.mark, {}).values())
        try:
            try:
                last_seq = self.store(run, calls.put_of(place, parent, drafted, waiting))
            except UnknownRef:
                drafted = transport.run_blocking(draft, asked)
                last_seq = self.store(run, calls.put_of(place, parent, drafted, waiting))
        except IdempotencyMismatch:
            self._revise(run, place, asked, waiting)
            return session.seen_seq
        parts.learn(
            place.thread_id,
            place.namespace,
            {
                (channel, versions[channel]): part
                for channel, part in drafted.channels.items()
                if channel in versions
            },
        )
        return last_seq

    def store(self, run: RunRef, put: calls.Put) -> int:
        """Store a checkpoint and its writes; the run's last seq after it."""
        first, *more = [*batches(put.writes)] or [[]]
        try:
            answer = self._connection.send(calls.put(run, put.with_writes(first)))
        except (WriterFenced, WriterEpochUnknown) as error:
            raise self.fenced(run, error) from error
        for batch in more:
            self.put_batch(run, put.place, batch)
        return answer.last_seq

    def _revise(
        self, run: RunRef, place: Place, asked: Drafting, waiting: Sequence[TaskWrite]
    ) -> None:
        """Put a checkpoint that is there: nothing where it is the same, else beside the first."""
        stored = self.find(place)
        drafted = transport.run_blocking(draft, asked)
        revisions = (
            [] if stored and drafted.is_stored_as(stored) else [*revision_of(asked).values()]
        )
        for batch in batches([*waiting, *revisions]):
            self.put_batch(run, place, batch)

    def put_writes(self, place: Place, asked: Writing) -> None:
        """Store results of a task, at once or with their checkpoint where that is on its way."""
        writes = transport.run_blocking(writes_of, asked)
        with self._memory.turns.of(place.thread_id):
            session = self.session(place.thread_id)
            if not session.knows(place.mark) and self.find(place) is None:
                session.hold(place.mark, writes)
                return
            run = self.claim(session)
        for batch in batches(writes.values()):
            self.put_batch(run, place, batch)

    def put_batch(self, run: RunRef, place: Place, batch: Sequence[TaskWrite]) -> None:
        """Put writes of a stored checkpoint; those from index 0 upward that are there stay."""
        wanted = [replace(write, snapshot_id=place.checkpoint_id) for write in batch]
        while wanted:
            try:
                call = client_calls.snapshots.put_task_writes(run, wanted, place.namespace)
                self._connection.send(call)
            except IdempotencyMismatch:
                stored = self.find(place)
                left = missing(wanted, stored.task_writes if stored else ())
                if len(left) == len(wanted):
                    raise
                wanted = left
            except (WriterFenced, WriterEpochUnknown) as error:
                raise self.fenced(run, error) from error
            else:
                return

    def session(self, thread_id: str) -> Session:
        """The session of a thread that was read, or that does not exist yet."""
        session = self._memory.sessions.find(thread_id)
        if session is None:
            if self.find_run(thread_id):
                raise taken_over(thread_id, "it exists, and this saver has not read it lately")
            session, _ = self._memory.sessions.read(thread_id, None)
        return session

    def claim(self, session: Session) -> RunRef:
        """The run with the epoch this saver holds; claimed where nobody wrote since it was read."""
        thread_id = session.thread_id
        if not session.exists:
            # A mismatch: somebody saved it meanwhile, as a run that has more to say of itself.
            with suppress(IdempotencyMismatch):
                self._connection.send(calls.save_run(self._project, thread_id))
            session.exists = True
        while session.epoch is None:
            try:
                claimed = self._connection.send(calls.claim(self.ref(thread_id), session.seen_seq))
            except SeqConflict as error:
                session.seen_seq = self._seq_without_writers(session, error)
            else:
                session.claimed(claimed.epoch, claimed.last_seq)
        return self.ref(thread_id, session.epoch)

    def _seq_without_writers(self, session: Session, error: SeqConflict) -> int:
        """The run's last seq where what came since it was read is no saver's; else refuse."""
        ref, from_seq = self.ref(session.thread_id), session.seen_seq + 1
        while True:
            call = client_calls.events.list_events(
                ref, from_seq, 1, {"types": calls.WRITERS_EVENTS}
            )
            page = self._connection.send(call)
            if page.events:
                found = page.events[0]
                why = f"{found.type} was written at seq {found.seq}, after it was read"
                raise taken_over(session.thread_id, why) from error
            if not page.next_from_seq:
                return page.last_seq
            from_seq = page.next_from_seq

    def fenced(self, run: RunRef, error: RunstoreError) -> RunstoreError:
        """What a refused write is to its caller."""
        if isinstance(error, WriterEpochUnknown):  # another run has the name now
            self._memory.sessions.drop(run.run_id)
            return error
        return taken_over(run.run_id, str(error))

    def history(
        self, place: Place, channels: Sequence[str], serde: SerializerProtocol
    ) -> Mapping[str, Any]:
        """Writes of channels before a checkpoint, back to where each has a stored value."""
        history = History(channels)
        target = self.find(place) if place.checkpoint_id else self._latest(place)
        parent = target.parent_snapshot_id if target else ""
        while parent and not history.is_complete:
            ancestor = place.at(parent)
            found = self.find(ancestor)
            if found is None:
                break
            history.add(transport.run_blocking(load, Stored(serde, ancestor, found)))
            parent = found.parent_snapshot_id
        return history.result()
