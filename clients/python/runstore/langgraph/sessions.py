"""What a saver knows of the threads it works on, and what that allows it to write.

A session is opened by reading a thread. It holds what was read: the run's last seq and writer
epoch, the latest checkpoint of each namespace, and checkpoints read by their ids. The first write
claims the run; the claim fails if another saver wrote meanwhile. Sessions that are not used are
forgotten: such a thread has to be read again before it is written, as every graph does anyway.

A session is used only while its thread's turn is held. Nothing here waits or sends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc

from runstore.errors import MAY_PASS, DeadlineExceeded, RunstoreError, WriterFenced
from runstore.failures import Failure
from runstore.langgraph.bounded import Bounded
from runstore.values.runs import FIRST_EPOCH, RunInfo
from runstore.values.snapshots import TaskWrite

MAX_SESSIONS = 10_000
MAX_REMEMBERED = 4_096
MAX_HELD_WRITES = 10_000
FORK = "fork"
# Calls that fail so were retried until their timeout, and the next one would be.
OUTAGE = (*MAY_PASS, DeadlineExceeded)


class ThreadTakenOver(WriterFenced):
    """Another writer continued the thread after it was read, so the write is refused.

    Once the thread's latest checkpoint is read again, as every `invoke` does, this saver may
    continue from there.
    """


def taken_over(thread_id: str, why: str) -> ThreadTakenOver:
    """The refusal of a write to a thread, and its cause."""
    message = f"thread {thread_id!r} was taken over by another writer, or was not read: {why}"
    metadata = {"run_id": thread_id}
    failure = Failure(grpc.StatusCode.FAILED_PRECONDITION, message, "WRITER_FENCED", metadata)
    return ThreadTakenOver(failure)


class CheckpointKey(NamedTuple):
    """Identifies a checkpoint within its thread."""

    namespace: str
    checkpoint_id: str


class Latest(NamedTuple):
    """The latest checkpoint of a namespace; an empty id if there is none.

    `seq` was the run's last seq when this was learnt. `is_read` if the namespace was read, not only
    written to: a caller that read it knows which checkpoint to follow.
    """

    checkpoint_id: str
    parent: str
    seq: int
    is_read: bool


def _remembered() -> Bounded[CheckpointKey, str]:
    return Bounded(MAX_REMEMBERED)


@dataclass(slots=True)
class Session:
    """A saver's view of one thread; `epoch` is None until the saver claims the run.

    Until then everything was read at one seq, `seen_seq`, which the claim expects. Afterwards no
    other saver can write, so reads from `base_seq` on are consistent with each other.
    """

    thread_id: str
    exists: bool
    seen_seq: int
    seen_epoch: int
    base_seq: int
    epoch: int | None = None
    latest: Bounded[str, Latest] = field(default_factory=lambda: Bounded(MAX_REMEMBERED))
    own: Bounded[CheckpointKey, str] = field(default_factory=_remembered)
    chosen: Bounded[CheckpointKey, str] = field(default_factory=_remembered)
    begun_anew: Bounded[str, bool] = field(default_factory=lambda: Bounded(MAX_REMEMBERED))
    refused: Bounded[CheckpointKey, str] = field(default_factory=_remembered)
    held: dict[CheckpointKey, dict[tuple[str, int], TaskWrite]] = field(default_factory=dict)
    outage: RunstoreError | None = None
    reads: int = 0
    puts: int = 0

    def claimed(self, epoch: int, last_seq: int) -> None:
        """The saver has claimed the run."""
        self.epoch = self.seen_epoch = epoch
        self.base_seq, self.seen_seq = self.seen_seq, last_seq
        self.exists = True

    def check_put(self, key: CheckpointKey, parent: str, source: str) -> None:
        """Refuse a checkpoint unless its parent is the latest one, or one read by its id.

        One without a parent must be the first of its namespace, or of a replay that found none.
        """
        if self._may_follow(key.namespace, parent, source):
            return
        parent_key = CheckpointKey(key.namespace, parent)
        if why := self.refused.get(parent_key):
            self.refuse(key, f"it follows checkpoint {parent}: {why}")
            raise taken_over(
                self.thread_id, f"checkpoint {key.checkpoint_id} follows {parent}: {why}"
            )
        known = self.latest.get(key.namespace)
        latest = known.checkpoint_id if known else ""
        self.refuse(key, "its checkpoint was refused")
        raise taken_over(
            self.thread_id,
            f"checkpoint {key.checkpoint_id} follows {parent or 'nothing'},"
            f" the latest is {latest or 'none'} in namespace {key.namespace!r}",
        )

    def _may_follow(self, namespace: str, parent: str, source: str) -> bool:
        known = self.latest.get(namespace)
        # A copy made by update_state(as_node="__copy__") has the parent of its original.
        if source == FORK and parent in self._parents_read(namespace):
            return True
        if not parent:
            is_empty = known is None or not known.checkpoint_id or not known.is_read
            return is_empty or namespace in self.begun_anew
        is_latest = known is not None and parent == known.checkpoint_id
        return is_latest or CheckpointKey(namespace, parent) in self.chosen

    def _parents_read(self, namespace: str) -> set[str]:
        known = self.latest.get(namespace)
        parents = {known.parent} if known and known.checkpoint_id else set()
        return parents | {
            parent for key, parent in self.chosen.items() if key.namespace == namespace
        }

    def knows(self, key: CheckpointKey) -> bool:
        """Whether the checkpoint is stored; False if it has not been put yet.

        Raise `ThreadTakenOver` if it must not be written to.
        """
        if why := self.refused.get(key):
            raise taken_over(self.thread_id, f"checkpoint {key.checkpoint_id}: {why}")
        known = self.latest.get(key.namespace)
        is_latest = known is not None and known.checkpoint_id == key.checkpoint_id
        return is_latest or key in self.own or key in self.chosen

    def awaits(self, key: CheckpointKey, puts: int) -> bool:
        """Whether a checkpoint that it does not know is still to be put, by this saver.

        `puts` is what it was when the caller named the checkpoint. If this saver has put one since,
        it held the run all along: no other put a checkpoint meanwhile, and ids ascend.
        """
        known = self.latest.get(key.namespace)
        is_next = known is not None and known.checkpoint_id < key.checkpoint_id
        return key in self.held or (is_next and self.puts > puts)

    def check_outage(self) -> None:
        """Refuse to write after a write that failed in an outage, until the thread is read again.

        What follows a write that is lost cannot be stored, and each would wait for its timeout.
        """
        if self.outage is not None:
            raise type(self.outage)(
                Failure(
                    self.outage.code,
                    f"thread {self.thread_id!r} was not written since an earlier write failed;"
                    f" read it again to go on: {self.outage}",
                    self.outage.reason,
                    self.outage.metadata,
                )
            )

    @contextmanager
    def noting_outage(self) -> Iterator[None]:
        """Note a write that fails in an outage, unless the thread was read meanwhile."""
        reads = self.reads
        try:
            yield
        except OUTAGE as error:
            if self.reads == reads:
                self.outage = error
            raise

    def hold(self, key: CheckpointKey, writes: dict[tuple[str, int], TaskWrite]) -> None:
        """Keep writes until their checkpoint is put; from index 0 up, the first one counts."""
        if sum(map(len, self.held.values())) + len(writes) > MAX_HELD_WRITES:
            raise ValueError(
                f"more than {MAX_HELD_WRITES} writes wait for checkpoints of thread"
                f" {self.thread_id!r} that are never put"
            )
        held = self.held.setdefault(key, {})
        for write_key, write in writes.items():
            if write.index < 0 or write_key not in held:
                held[write_key] = write

    def put_done(self, key: CheckpointKey, parent: str, last_seq: int) -> None:
        """The checkpoint is stored, together with the writes that waited for it."""
        self.outage = None
        self.puts += 1
        self.own.put(key, parent)
        self.refused.discard(key)
        known = self.latest.get(key.namespace)
        is_read = known is not None and known.is_read
        self.latest.put(key.namespace, Latest(key.checkpoint_id, parent, last_seq, is_read))
        self.seen_seq = max(self.seen_seq, last_seq)
        # Ids ascend, so writes held for an earlier checkpoint wait for one that is never put. A
        # Command that begins a thread leaves such writes.
        for other in [other for other in self.held if other.namespace == key.namespace]:
            if other.checkpoint_id <= key.checkpoint_id:
                del self.held[other]

    def refuse(self, key: CheckpointKey, why: str) -> None:
        """From now on refuse writes to this checkpoint."""
        self.refused.put(key, why)
        self.held.pop(key, None)

    def start_again(self, epoch: int, last_seq: int, why: str) -> None:
        """Forget what was known, which is out of date, and begin with what is read now.

        Writes held for a checkpoint stay: its put will decide whether they are stored.
        """
        latest = (CheckpointKey(name, each.checkpoint_id) for name, each in self.latest.items())
        for key in (*latest, *dict(self.own.items()), *dict(self.chosen.items())):
            self.refused.put(key, why)
        self.latest, self.own, self.chosen = Bounded(MAX_REMEMBERED), _remembered(), _remembered()
        self.begun_anew = Bounded(MAX_REMEMBERED)
        self.epoch, self.seen_epoch = None, epoch
        self.base_seq = self.seen_seq = last_seq

    def lost(self, epoch: int, last_seq: int) -> None:
        """Another writer has claimed the run: what waits for a checkpoint is never stored."""
        why = "another writer has claimed the thread"
        for key in list(self.held):
            self.refuse(key, why)
        self.start_again(epoch, last_seq, why)

    def was_read(self) -> None:
        """The server responds again, and the reader sees which writes are stored."""
        self.outage = None
        self.reads += 1

    def read_latest(self, namespace: str, checkpoint_id: str, parent: str, seq: int) -> None:
        """The namespace's latest checkpoint at a seq was read; with an empty id there was none."""
        known = self.latest.get(namespace)
        if known is None or known.seq <= seq:
            self.latest.put(namespace, Latest(checkpoint_id, parent, seq, is_read=True))
            self.refused.discard(CheckpointKey(namespace, checkpoint_id))

    def read_chosen(self, key: CheckpointKey, parent: str) -> None:
        """A checkpoint was read by its id: a new branch may start there."""
        self.chosen.put(key, parent)
        self.refused.discard(key)

    def chose_none(self, namespace: str) -> None:
        """A replay from before the namespace's first checkpoint: a branch may start with a root."""
        self.begun_anew.put(namespace, True)


class Sessions:
    """The sessions of one saver, at most `MAX_SESSIONS`."""

    def __init__(self, most: int = MAX_SESSIONS) -> None:
        self._guard = threading.Lock()
        self._sessions: Bounded[str, Session] = Bounded(most)

    def find(self, thread_id: str) -> Session | None:
        with self._guard:
            return self._sessions.get(thread_id)

    def drop(self, thread_id: str) -> None:
        with self._guard:
            self._sessions.discard(thread_id)

    def read(self, thread_id: str, run: RunInfo | None) -> tuple[Session, bool]:
        """The session after the run was read (None: there is no run), and whether the read counts.

        It starts again if another writer claimed the run meanwhile, or may have written to it.
        """
        last_seq, epoch = (run.last_seq, run.writer_epoch) if run else (0, FIRST_EPOCH)
        with self._guard:
            session = self._sessions.get(thread_id)
            if session is None:
                session = Session(thread_id, run is not None, last_seq, epoch, last_seq)
                self._sessions.put(thread_id, session)
                return session, True
        session.was_read()
        if epoch > session.seen_epoch:
            session.lost(epoch, last_seq)
        elif session.epoch is None and last_seq > session.seen_seq:
            session.start_again(epoch, last_seq, "the thread was written to after it was read")
        elif last_seq < session.base_seq:
            return session, False
        session.exists = session.exists or run is not None
        session.seen_seq = max(session.seen_seq, last_seq)
        return session, True
