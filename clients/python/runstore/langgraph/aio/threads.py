"""A saver's threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore import calls as client_calls
from runstore.aio import transport
from runstore.aio.connection import AsyncConnection
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
from runstore.langgraph.addresses import CheckpointAddress
from runstore.langgraph.checkpoints import Drafting, draft, is_checkpoint
from runstore.langgraph.memory import Memory
from runstore.langgraph.pending import Writing, batches, missing, revision_of, writes_of
from runstore.langgraph.sessions import Session, taken_over
from runstore.langgraph.tuples import Stored, load_and_hash
from runstore.values.events import FilterFields
from runstore.values.runs import RunInfo, RunRef
from runstore.values.snapshots import Snapshot, TaskWrite

T = TypeVar("T")
DataT = TypeVar("DataT")


class AsyncThreads:
    """Reads and writes the checkpoints of threads; the writes of one thread take turns."""

    def __init__(self, connection: AsyncConnection, project: str, memory: Memory) -> None:
        self._connection = connection
        self._project = project
        self._memory = memory

    def ref(self, thread_id: str, epoch: int | None = None) -> RunRef:
        """The thread's run."""
        return RunRef(self._project, thread_id, epoch)

    async def get(
        self, address: CheckpointAddress, serde: SerializerProtocol
    ) -> CheckpointTuple | None:
        """The checkpoint at an address; reading it allows writes after it."""
        find = self.choose if address.checkpoint_id else self.latest
        snapshot = await find(address)
        if snapshot is None:
            return None
        stored = Stored(serde, address.at(snapshot.snapshot_id), snapshot)
        found, parts = await transport.run_blocking(load_and_hash, stored)
        self._memory.parts.learn(address.thread_id, address.namespace, parts)
        return found

    async def latest(self, address: CheckpointAddress) -> Snapshot | None:
        """The latest checkpoint of a namespace, which may be followed."""
        run, latest = await self._view(address)
        if latest is not None and not is_checkpoint(latest):
            latest = await self._latest_checkpoint(address)
        async with self._memory.turns.of(address.thread_id):
            session, counts = self._memory.sessions.read(address.thread_id, run)
            if counts:
                id_, parent = (
                    (latest.snapshot_id, latest.parent_snapshot_id) if latest else ("", "")
                )
                seq = run.last_seq if run else 0
                session.read_latest(address.namespace, id_, parent, seq)
        return latest

    async def _view(self, address: CheckpointAddress) -> tuple[RunInfo | None, Snapshot | None]:
        ref = self.ref(address.thread_id)
        try:
            return await self._connection.send(calls.view(ref, address.namespace))
        except RunNotFound:
            return None, None

    async def _latest_checkpoint(self, address: CheckpointAddress) -> Snapshot | None:
        """The latest checkpoint that a saver put, if another client put a snapshot after it."""
        ref = self.ref(address.thread_id)
        try:
            return await self._connection.send(calls.latest(ref, address.namespace))
        except SnapshotNotFound:
            return None

    async def choose(self, address: CheckpointAddress) -> Snapshot | None:
        """As `find`; a new branch may start at the checkpoint that is found."""
        # The run is read first, so that a write in between makes the later claim fail.
        run = await self.find_run(address.thread_id)
        found = await self.find(address) if run else None
        await self.chose(run, address, found)
        return found

    async def chose(
        self, run: RunInfo | None, address: CheckpointAddress, found: Snapshot | None
    ) -> None:
        """A checkpoint was found by its id after its run was read: a new branch may start there."""
        async with self._memory.turns.of(address.thread_id):
            session, counts = self._memory.sessions.read(address.thread_id, run)
            if found and counts:
                session.read_chosen(address.key, found.parent_snapshot_id)

    async def choose_none(self, run: RunInfo | None, thread_id: str, namespace: str) -> None:
        """A replay found no checkpoint in a namespace after its run was read: it begins anew."""
        async with self._memory.turns.of(thread_id):
            session, counts = self._memory.sessions.read(thread_id, run)
            if counts:
                session.chose_none(namespace)

    async def find_run(self, thread_id: str) -> RunInfo | None:
        """The current state of the thread's run; None if there is none."""
        try:
            return await self._connection.send(client_calls.runs.get_run(self.ref(thread_id)))
        except RunNotFound:
            return None

    async def find(self, address: CheckpointAddress) -> Snapshot | None:
        """The snapshot of a checkpoint; None if there is none."""
        ref, namespace = self.ref(address.thread_id), address.namespace
        call = client_calls.snapshots.get_snapshot(ref, namespace, address.checkpoint_id)
        try:
            found = await self._connection.send(call)
        except (RunNotFound, SnapshotNotFound):
            return None
        return found if is_checkpoint(found) else None

    async def put(self, address: CheckpointAddress, parent: str, drafting: Drafting) -> None:
        """Store a checkpoint; raise `ThreadTakenOver` if another writer wrote in between."""
        metadata = drafting.metadata
        async with self._memory.turns.of(address.thread_id):
            session = await self.session(address.thread_id)
            if address.key not in session.refused:  # else the same checkpoint is put again
                session.check_outage()
            session.check_put(address.key, parent, str(metadata.get("source", "")))
            try:
                with session.noting_outage():
                    last_seq = await self._put(session, address, parent, drafting)
            except BaseException as error:
                session.refuse(address.key, f"putting it failed: {error!r}")
                raise
            session.put_done(address.key, parent, last_seq)

    async def _put(
        self, session: Session, address: CheckpointAddress, parent: str, drafting: Drafting
    ) -> int:
        run = await self.claim(session)
        parts, versions = self._memory.parts, drafting.checkpoint["channel_versions"]
        known = parts.of(address.thread_id, address.namespace, versions)
        drafted = await self.serialized(address, draft, drafting._replace(known=known))
        waiting = list(session.held.get(address.key, {}).values())
        try:
            try:
                last_seq = await self.store(run, calls.put_of(address, parent, drafted, waiting))
            except UnknownRef:
                drafted = await self.serialized(address, draft, drafting)
                last_seq = await self.store(run, calls.put_of(address, parent, drafted, waiting))
        except IdempotencyMismatch:
            await self._revise(run, address, drafting, waiting)
            return session.seen_seq
        parts.learn(
            address.thread_id,
            address.namespace,
            {
                (channel, versions[channel]): part
                for channel, part in drafted.channels.items()
                if channel in versions
            },
        )
        return last_seq

    async def serialized(
        self, address: CheckpointAddress, work: Callable[[DataT], T], data: DataT
    ) -> T:
        """The result of the work: done at once where the thread's last one was short."""
        effort = self._memory.efforts.of(address.thread_id)
        if effort.is_short:
            return effort.of(work, data)
        return await transport.run_blocking(partial(effort.of, work), data)

    async def store(self, run: RunRef, put: calls.Put) -> int:
        """Store a checkpoint and its writes; return the run's last seq after it."""
        first, *more = [*batches(put.writes)] or [[]]
        try:
            stored = await self._connection.send(calls.put(run, put.with_writes(first)))
        except (WriterFenced, WriterEpochUnknown) as error:
            raise self.fenced(run, error) from error
        for batch in more:
            await self.put_batch(run, put.address, batch)
        return stored.last_seq

    async def _revise(
        self,
        run: RunRef,
        address: CheckpointAddress,
        drafting: Drafting,
        waiting: Sequence[TaskWrite],
    ) -> None:
        """Put a stored checkpoint again: other content is stored beside the first."""
        stored = await self.find(address)
        drafted = await self.serialized(address, draft, drafting)
        is_same = stored is not None and drafted.is_stored_as(stored)
        revisions = [] if is_same else [*revision_of(drafting).values()]
        for batch in batches([*waiting, *revisions]):
            await self.put_batch(run, address, batch)

    async def put_writes(self, address: CheckpointAddress, writing: Writing) -> None:
        """Store results of a task, now or, if their checkpoint is still to be put, with it."""
        known = self._memory.sessions.find(address.thread_id)
        puts = known.puts if known else 0
        writes = await self.serialized(address, writes_of, writing)
        async with self._memory.turns.of(address.thread_id):
            session = await self.session(address.thread_id)
            session.check_outage()
            with session.noting_outage():
                if not session.knows(address.key) and (
                    session.awaits(address.key, puts) or await self.find(address) is None
                ):
                    session.hold(address.key, writes)
                    return
                run = await self.claim(session)
        with session.noting_outage():
            for batch in batches(writes.values()):
                await self.put_batch(run, address, batch)

    async def put_batch(
        self, run: RunRef, address: CheckpointAddress, batch: Sequence[TaskWrite]
    ) -> None:
        """Put writes of a stored checkpoint; from index 0 up, stored writes stay."""
        wanted = [replace(write, snapshot_id=address.checkpoint_id) for write in batch]
        while wanted:
            try:
                call = client_calls.snapshots.put_task_writes(run, wanted, address.namespace)
                await self._connection.send(call)
            except IdempotencyMismatch:
                stored = await self.find(address)
                left = missing(wanted, stored.task_writes if stored else ())
                if len(left) == len(wanted):
                    raise
                wanted = left
            except (WriterFenced, WriterEpochUnknown) as error:
                raise self.fenced(run, error) from error
            else:
                return

    async def session(self, thread_id: str) -> Session:
        """The session of a thread that was read, or that does not exist yet."""
        session = self._memory.sessions.find(thread_id)
        if session is None:
            if await self.find_run(thread_id):
                raise taken_over(thread_id, "it exists, and this saver has not read it lately")
            session, _ = self._memory.sessions.read(thread_id, None)
        return session

    async def claim(self, session: Session) -> RunRef:
        """The run with the epoch this saver holds; claimed if no saver wrote since it was read."""
        thread_id = session.thread_id
        if not session.exists:
            # A mismatch means that another client saved the run meanwhile, with more fields.
            with suppress(IdempotencyMismatch):
                await self._connection.send(calls.save_run(self._project, thread_id))
            session.exists = True
        while session.epoch is None:
            try:
                claimed = await self._connection.send(
                    calls.claim(self.ref(thread_id), session.seen_seq)
                )
            except SeqConflict as error:
                session.seen_seq = await self._seq_without_writers(session, error)
            else:
                session.claimed(claimed.epoch, claimed.last_seq)
        return self.ref(thread_id, session.epoch)

    async def _seq_without_writers(self, session: Session, error: SeqConflict) -> int:
        """The run's last seq; refuse if a saver wrote since the run was read."""
        ref, from_seq = self.ref(session.thread_id), session.seen_seq + 1
        where: FilterFields = {"types": calls.WRITERS_EVENTS}
        while True:
            call = client_calls.events.list_events(ref, from_seq, 1, False, where)
            page = await self._connection.send(call)
            if page.events:
                found = page.events[0]
                why = f"{found.type} was written at seq {found.seq}, after it was read"
                raise taken_over(session.thread_id, why) from error
            if not page.next_from_seq:
                return page.last_seq
            from_seq = page.next_from_seq

    def fenced(self, run: RunRef, error: RunstoreError) -> RunstoreError:
        """The exception that the caller of a refused write gets."""
        if isinstance(error, WriterEpochUnknown):  # the name belongs to another run now
            self._memory.sessions.drop(run.run_id)
            return error
        return taken_over(run.run_id, str(error))
