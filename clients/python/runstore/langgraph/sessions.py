"""What a saver knows of the threads it works on, and what it may write for that reason.

A session is opened by reading a thread and holds what was seen: the run's last seq and writer
epoch, the latest checkpoint of each namespace, checkpoints read by their ids. The first write
claims the run; it fails where another saver wrote since. Sessions that are not used are forgotten:
the thread has to be read again before it is written, which is what every graph does anyway.

A session is looked at and changed only by who has the thread's turn. Nothing here waits or sends.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc

from runstore.errors import WriterFenced
from runstore.failures import Failure
from runstore.langgraph.bounded import Bounded
from runstore.values.runs import FIRST_EPOCH, RunInfo
from runstore.values.snapshots import TaskWrite

MAX_SESSIONS = 10_000
MAX_REMEMBERED = 4_096
MAX_HELD_WRITES = 10_000
FORK = "fork"


class ThreadTakenOver(WriterFenced):
    """Another writer continued the thread since it was read: what was to be written is refused.

    Reading the thread's latest checkpoint again, as every `invoke` does, lets this saver go on
    from there.
    """


def taken_over(thread_id: str, why: str) -> ThreadTakenOver:
    """The refusal of a write to a thread, with what makes it one."""
    message = f"thread {thread_id!r} was taken over by another writer, or was not read: {why}"
    metadata = {"run_id": thread_id}
    failure = Failure(grpc.StatusCode.FAILED_PRECONDITION, message, "WRITER_FENCED", metadata)
    return ThreadTakenOver(failure)


class Mark(NamedTuple):
    """A checkpoint by namespace and id."""

    namespace: str
    checkpoint_id: str


class Latest(NamedTuple):
    """The latest checkpoint of a namespace; an empty id where there is none.

    `seq` is the run's last one when this was learnt. `is_read` where the namespace was read and not
    only written to: who reads knows what to follow.
    """

    checkpoint_id: str
    parent: str
    seq: int
    is_read: bool


def _remembered() -> Bounded[Mark, str]:
    return Bounded(MAX_REMEMBERED)


@dataclass(slots=True)
class Session:
    """A saver's view of one thread; `epoch` is None until it claims the run.

    Until then all of it was read at one seq, `seen_seq`, which the claim expects. Afterwards nobody
    else can write, so what is read from `base_seq` on adds up.
    """

    thread_id: str
    exists: bool
    seen_seq: int
    seen_epoch: int
    base_seq: int
    epoch: int | None = None
    latest: Bounded[str, Latest] = field(default_factory=lambda: Bounded(MAX_REMEMBERED))
    own: Bounded[Mark, str] = field(default_factory=_remembered)
    chosen: Bounded[Mark, str] = field(default_factory=_remembered)
    refused: Bounded[Mark, str] = field(default_factory=_remembered)
    held: dict[Mark, dict[tuple[str, int], TaskWrite]] = field(default_factory=dict)

    def claimed(self, epoch: int, last_seq: int) -> None:
        """The run is this saver's."""
        self.epoch = self.seen_epoch = epoch
        self.base_seq, self.seen_seq = self.seen_seq, last_seq
        self.exists = True

    def check_put(self, at: Mark, parent: str, source: str) -> None:
        """Refuse a checkpoint that does not follow what this saver has seen last or chose."""
        if self._may_follow(at.namespace, parent, source):
            return
        known = self.latest.get(at.namespace)
        latest = known.checkpoint_id if known else ""
        self.refuse(at, "its checkpoint was refused")
        raise taken_over(
            self.thread_id,
            f"checkpoint {at.checkpoint_id} follows {parent or 'nothing'},"
            f" the latest is {latest or 'none'} in namespace {at.namespace!r}",
        )

    def _may_follow(self, namespace: str, parent: str, source: str) -> bool:
        known = self.latest.get(namespace)
        # A copy made by update_state(as_node="__copy__") follows what its original follows.
        if source == FORK and parent in self._parents_read(namespace):
            return True
        if not parent:
            return known is None or not known.checkpoint_id or not known.is_read
        is_latest = known is not None and parent == known.checkpoint_id
        return is_latest or Mark(namespace, parent) in self.chosen

    def _parents_read(self, namespace: str) -> set[str]:
        known = self.latest.get(namespace)
        parents = {known.parent} if known and known.checkpoint_id else set()
        return parents | {
            parent for mark, parent in self.chosen.items() if mark.namespace == namespace
        }

    def knows(self, at: Mark) -> bool:
        """Whether the checkpoint is stored; False where its put is still to come.

        Raise `ThreadTakenOver` where it cannot be written to.
        """
        if why := self.refused.get(at):
            raise taken_over(self.thread_id, f"checkpoint {at.checkpoint_id}: {why}")
        known = self.latest.get(at.namespace)
        is_latest = known is not None and known.checkpoint_id == at.checkpoint_id
        return is_latest or at in self.own or at in self.chosen

    def hold(self, at: Mark, writes: dict[tuple[str, int], TaskWrite]) -> None:
        """Keep writes until their checkpoint is put; from index 0 upward the first one counts."""
        if sum(map(len, self.held.values())) + len(writes) > MAX_HELD_WRITES:
            raise ValueError(
                f"more than {MAX_HELD_WRITES} writes wait for checkpoints of thread"
                f" {self.thread_id!r} that nobody puts"
            )
        held = self.held.setdefault(at, {})
        for key, write in writes.items():
            if write.index < 0 or key not in held:
                held[key] = write

    def put_done(self, at: Mark, parent: str, last_seq: int) -> None:
        """The checkpoint is stored, and with it the writes that waited for it."""
        self.own.put(at, parent)
        self.refused.discard(at)
        known = self.latest.get(at.namespace)
        is_read = known is not None and known.is_read
        self.latest.put(at.namespace, Latest(at.checkpoint_id, parent, last_seq, is_read))
        self.seen_seq = max(self.seen_seq, last_seq)
        # Ids ascend: what waits for an earlier checkpoint waits for one that is never put, as a
        # Command does that begins a thread.
        for mark in [mark for mark in self.held if mark.namespace == at.namespace]:
            if mark.checkpoint_id <= at.checkpoint_id:
                del self.held[mark]

    def refuse(self, at: Mark, why: str) -> None:
        """Writes to this checkpoint are refused from now on."""
        self.refused.put(at, why)
        self.held.pop(at, None)

    def start_again(self, epoch: int, last_seq: int, why: str) -> None:
        """What was known is out of date; begin with what is read now.

        Writes that wait for their checkpoint go on waiting: whether it comes is decided by its put.
        """
        latest = (Mark(name, each.checkpoint_id) for name, each in self.latest.items())
        for mark in (*latest, *dict(self.own.items()), *dict(self.chosen.items())):
            self.refused.put(mark, why)
        self.latest, self.own, self.chosen = Bounded(MAX_REMEMBERED), _remembered(), _remembered()
        self.epoch, self.seen_epoch = None, epoch
        self.base_seq = self.seen_seq = last_seq

    def read_latest(self, namespace: str, checkpoint_id: str, parent: str, seq: int) -> None:
        """The namespace's latest checkpoint at a seq was read; an empty id: there was none."""
        known = self.latest.get(namespace)
        if known is None or known.seq <= seq:
            self.latest.put(namespace, Latest(checkpoint_id, parent, seq, is_read=True))
            self.refused.discard(Mark(namespace, checkpoint_id))

    def read_chosen(self, at: Mark, parent: str) -> None:
        """A checkpoint was read by its id: a new branch may start there."""
        self.chosen.put(at, parent)
        self.refused.discard(at)


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
        """The session after the run was read, None where there is none; whether the read counts.

        It starts again where another writer claimed the run since, or may have written to it.
        """
        last_seq, epoch = (run.last_seq, run.writer_epoch) if run else (0, FIRST_EPOCH)
        with self._guard:
            session = self._sessions.get(thread_id)
            if session is None:
                session = Session(thread_id, run is not None, last_seq, epoch, last_seq)
                self._sessions.put(thread_id, session)
                return session, True
        if epoch > session.seen_epoch:
            session.start_again(epoch, last_seq, "another writer claimed the thread since")
        elif session.epoch is None and last_seq > session.seen_seq:
            session.start_again(epoch, last_seq, "the thread was written to since it was read")
        elif last_seq < session.base_seq:
            return session, False
        session.exists = session.exists or run is not None
        session.seen_seq = max(session.seen_seq, last_seq)
        return session, True
