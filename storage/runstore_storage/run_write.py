"""One run inside a write: decided in memory, then stored at once.

It is decided under the run's lock, in a transaction; or on the run as it was read, and then stored
only if the run has not changed since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import asyncpg

from runstore_storage import chain
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    RunNotFound,
    SeqConflict,
    WriterEpochUnknown,
    WriterFenced,
)
from runstore_storage.contract.events import Appended, RecordedEvent
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.scope import Scope, ScopedKey, bound, scoped
from runstore_storage.contract.times import MICROSECOND
from runstore_storage.database.connection import Connection
from runstore_storage.prepared_events import PreparedEvent
from runstore_storage.sql import events, heads, inserts, known, outbox
from runstore_storage.sql.blobs import BlobRef, NewBlob, store_blobs
from runstore_storage.sql.events import KnownEvent, NewEvent
from runstore_storage.sql.heads import Changed, Head
from runstore_storage.sql.inserts import Insert, Version
from runstore_storage.sql.known import Asked, Known

FIRST_EPOCH = 1

KnownEvents = Mapping[tuple[int, str], KnownEvent]


class NeedsLock(Exception):
    """The write has to be decided under the run's lock. Nothing of it is stored."""


class RunWrite:
    """A run and what one transaction adds to it. `before` is the head that the transaction found,
    `head` how it leaves the run; `scope` is that of the call that writes.

    `clock` is the database's time, `now` that of what is written. `seen` is the version of a head
    that was read without a lock, `stored` that of the head that was stored. `parts` and `snapshots`
    (namespace, id) are what was added.
    """

    __slots__ = (
        "_inserts",
        "_known",
        "_new",
        "before",
        "clock",
        "head",
        "key",
        "now",
        "parts",
        "scope",
        "seen",
        "snapshots",
        "stored",
    )

    def __init__(self, run: ScopedKey, head: Head, now: datetime, seen: int | None = None) -> None:
        self.scope, self.key = run
        self.head = self.before = head
        self.seen = seen
        self.stored: Version | None = None
        self.parts: dict[bytes, BlobRef] = {}
        self.snapshots: list[tuple[str, str]] = []
        self.clock = now
        # The database's clock may step back; the times of a run never do.
        self.now = max(now, head.updated_at)
        self._new: list[NewEvent] = []
        self._inserts: list[Insert] = []
        self._known: dict[str, KnownEvent] = {}

    def require_lock(self) -> None:
        """Raise `NeedsLock` unless the run is locked; call it before rows are written."""
        if self.seen is not None:
            raise NeedsLock

    def append(
        self, given: Sequence[PreparedEvent], guard: Guard, known: KnownEvents
    ) -> tuple[Appended, ...]:
        """Decide an append: return its first results again, refuse it, or give the events seqs."""
        repeated = self.repeated(given, known)
        if repeated:
            return repeated
        self.check(guard)
        return tuple(self.record(each) for each in given)

    def repeated(self, given: Sequence[PreparedEvent], known: KnownEvents) -> tuple[Appended, ...]:
        """The first results, if the events were recorded before; empty if none of them was."""
        before = [self._find(each.event.event_id, known) for each in given]
        if not any(before):
            return ()
        for each, old in zip(given, before, strict=True):
            if old is None or not old.states(each.event):
                raise IdempotencyMismatch("event", each.event.event_id)
        return tuple(
            Appended(each.event.event_id, old.seq, old.recorded_at, old.hash, deduplicated=True)
            for each, old in zip(given, before, strict=True)
            if old
        )

    def check(self, guard: Guard) -> None:
        """Refuse a write that is fenced, comes after completion, or lost a race."""
        self.check_epoch(guard.writer_epoch)
        self.check_open()
        self.check_seq(guard.expected_seq)

    def check_epoch(self, writer_epoch: int | None) -> None:
        current = self.head.writer_epoch
        if writer_epoch is not None and writer_epoch < current:
            raise WriterFenced(self.key.run_id, writer_epoch, current)
        if writer_epoch is not None and writer_epoch > current:
            raise WriterEpochUnknown(self.key.run_id, writer_epoch, current)

    def check_open(self) -> None:
        if self.head.is_completed:
            raise RunCompleted(self.key.run_id, self.head.last_seq)

    def check_seq(self, expected_seq: int | None) -> None:
        if expected_seq is not None and expected_seq != self.head.last_seq:
            raise SeqConflict(self.key.run_id, expected_seq, self.head.last_seq)

    def record(self, prepared: PreparedEvent, *, is_terminal: bool = False) -> Appended:
        """Give an event the next seq and the next link of the chain."""
        event, head = prepared.event, self.head
        seq = head.last_seq + 1
        link = chain.link_hash(head.last_hash, seq, self.now, prepared.body_hash)
        recorded = RecordedEvent(seq, self.now, link, event, prepared.salt)
        self._new.append(
            NewEvent(head.run, recorded, prepared.body_hash, is_terminal, prepared.blob)
        )
        self._known[event.event_id] = KnownEvent(
            seq, self.now, link, prepared.salt, prepared.body_hash
        )
        self.head = head.grown(seq, link, self.now, event.usage)
        return Appended(event.event_id, seq, self.now, link, deduplicated=False)

    def touch(self) -> None:
        """Note that something other than events was written."""
        self.head = self.head._replace(updated_at=self.now)

    def add(self, insert: Insert) -> None:
        """Have rows of other tables stored together with the events and the head."""
        self._inserts.append(insert)
        self.touch()

    def advance_clock(self) -> None:
        """Make everything written to the run from now on later than this write."""
        self.head = self.head._replace(updated_at=self.now + MICROSECOND)

    def claim(self) -> int:
        """Give the run its next epoch, which fences every earlier writer."""
        self.head = self.head._replace(writer_epoch=self.head.writer_epoch + 1)
        return self.head.writer_epoch

    def set_status(self, status: RunStatus) -> None:
        """Change the run's status, unless an external engine owns it."""
        if self.head.status is not RunStatus.EXTERNAL:
            self.head = self.head._replace(status=status)

    def end(self, outcome: Outcome) -> None:
        """Complete the run, now, with this outcome."""
        self.head = self.head._replace(outcome=outcome, completed_at=self.now)

    @property
    def changed(self) -> Changed:
        """The head as it is to be stored."""
        return Changed(self.scope, self.head)

    @property
    def new_events(self) -> Sequence[NewEvent]:
        return self._new

    def recorded(self) -> Iterator[RecordedEvent]:
        """The new events with their places in the run."""
        return (each.recorded for each in self._new)

    @property
    def inserts(self) -> Sequence[Insert]:
        return self._inserts

    def _find(self, event_id: str, known: KnownEvents) -> KnownEvent | None:
        return self._known.get(event_id) or known.get((self.head.run, event_id))


async def lock_runs(conn: Connection, runs: Iterable[ScopedKey]) -> dict[ScopedKey, RunWrite]:
    """Lock those runs that their scopes have until the transaction ends."""
    locked, now = await heads.lock(conn, set(runs))
    return {run: RunWrite(run, head, now) for run, head in locked.items() if now}


async def lock_run(conn: Connection, key: RunKey) -> RunWrite:
    """Lock one run until the transaction ends."""
    run = scoped(key)
    found = await lock_runs(conn, [run])
    if run not in found:
        raise RunNotFound(key)
    return found[run]


async def lock_and_ask(conn: Connection, key: RunKey, asked: Asked) -> tuple[RunWrite, Known]:
    """Lock one run as `lock_run` does, and find what it knows of a write."""
    seen = await known.lock(conn, key, asked)
    if seen is None:
        raise RunNotFound(key)
    return RunWrite(scoped(key), seen.head, seen.now), seen.known


async def ask(conn: Connection, key: RunKey, asked: Asked) -> tuple[RunWrite, Known]:
    """As `lock_and_ask`, without a lock."""
    seen = await known.read(conn, key, asked)
    if seen is None:
        raise RunNotFound(key)
    return RunWrite(scoped(key), seen.head, seen.now, seen.version), seen.known


async def find_known(
    conn: Connection, given: Iterable[tuple[RunWrite, Sequence[PreparedEvent]]]
) -> KnownEvents:
    """The events that were recorded before. Call it under the locks of the runs."""
    asked = [(write.changed, each.event.event_id) for write, many in given for each in many]
    ids = {
        (scope, segment.run, event_id)
        for (scope, head), event_id in asked
        for segment in head.segments
    }
    archived = any(head.archived_through for (_, head), _ in asked)
    found = await events.find(conn, ids, archived=archived) if ids else {}
    return {
        (head.run, event_id): known
        for (_, head), event_id in asked
        for segment in head.segments
        if (known := found.get((segment.run, event_id))) and known.seq <= segment.last_seq
    }


async def store(conn: Connection, writes: Iterable[RunWrite]) -> None:
    """Store the recorded events of the writes, what was added to them, and their heads.

    The runs are locked.
    """
    changed = list(writes)
    await inserts.store(conn, await _added(conn, changed), [write.changed for write in changed])


async def store_one(conn: Connection, write: RunWrite) -> None:
    """As `store`; raise `NeedsLock` for a run that is not locked and has changed since it was read.

    Without a lock this is one statement, which is its own transaction.
    """
    if any(each.blob for each in write.new_events):
        write.require_lock()
    added = await _added(conn, [write])
    if write.seen is None:
        write.stored = await inserts.store(conn, added, [write.changed])
        return
    try:
        write.stored = await inserts.store_if(conn, added, write.changed, write.seen, write.before)
    except asyncpg.IntegrityConstraintViolationError as error:
        raise NeedsLock from error
    if write.stored is None:
        raise NeedsLock


async def _added(conn: Connection, writes: Sequence[RunWrite]) -> list[Insert]:
    """What stores all of the writes but the heads; the blobs of their events are stored now."""
    added = [each for write in writes for each in write.inserts]
    appended = [write for write in writes if write.new_events]
    if appended:
        new = [each for write in appended for each in write.new_events]
        numbers = await _store_blobs(conn, appended)
        added += [events.insert(new, numbers), outbox.insert([_range(each) for each in appended])]
    return added


async def _store_blobs(
    conn: Connection, writes: Iterable[RunWrite]
) -> Mapping[tuple[int, bytes], int]:
    """Store the blobs of new events, those of each scope together; their numbers."""
    blobs: defaultdict[Scope, list[tuple[int, NewBlob]]] = defaultdict(list)
    for write in writes:
        blobs[write.scope] += [(each.run, each.blob) for each in write.new_events if each.blob]
    numbers: dict[tuple[int, bytes], int] = {}
    for scope, new in blobs.items():
        with bound(scope):
            numbers |= await store_blobs(conn, new)
    return numbers


def _range(write: RunWrite) -> tuple[int, int, int]:
    first, last = write.new_events[0], write.new_events[-1]
    return write.head.run, first.recorded.seq, last.recorded.seq
