"""Tails: the newest events of runs, shared by the streams of this process.

A `RunTail` exists while streams have it open. It keeps a window of the newest events, so that all
live streams of a run cost one read together, and none for events that this process commits itself;
a stream that is further behind reads its own pages. Nothing is queued for a stream: each asks for
the page it needs next, so a slow stream holds one page and no more.

Wake-ups are hints. A slow poll compares every open tail with its run's head, so a lost wake-up
delays a stream by one interval and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b

from runstore_storage.contract.errors import EventsArchived, RunNotFound, StorageUnavailable
from runstore_storage.contract.events import EVERY_EVENT, EventFilter, EventPage, RecordedEvent
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.scope import Scope, ScopedKey, bound, own, scoped
from runstore_storage.contract.signals import Signal
from runstore_storage.reading.windows import Windows

WINDOW_EVENTS = 1024
WINDOW_BYTES = 1 << 20
# Of an event in memory, beside its payload.
EVENT_BYTES = 512
EMPTY_PAGE = EventPage((), 1, 0, is_completed=False, outcome=Outcome.UNSPECIFIED)

ReadEvents = Callable[[RunKey, int, int, EventFilter, bool], Awaitable[EventPage]]
LastSeqs = Callable[[Collection[ScopedKey]], Awaitable[Mapping[ScopedKey, tuple[int, bool]]]]

_log = logging.getLogger(__name__)


def digest(key: RunKey) -> str:
    """The run's short name in wake-ups between processes; runs that share one wake together."""
    return blake2b(f"{key.project}\0{key.run_id}".encode(), digest_size=8).hexdigest()


class RunTail:
    """One run's newest events, and its end as last read."""

    def __init__(
        self, key: RunKey, read_events: ReadEvents, grew: Callable[[RunTail], None] | None = None
    ) -> None:
        self.key = key
        self._grew = grew or (lambda _: None)
        self.users = 0
        """How many streams have the tail open."""
        self._grown = Signal()
        self._read_events = read_events
        self._is_stale = True
        self._refreshing: asyncio.Task[None] | None = None
        self._window: deque[RecordedEvent] = deque()
        self.window_bytes = 0
        self._window_end = 0
        self._end: EventPage | None = None

    def wake(self) -> None:
        """Note that the run may have changed."""
        self._is_stale = True
        self._grown.wake()

    def push(self, new: Sequence[RecordedEvent]) -> None:
        """Take events that this process has just committed; if they leave a gap, read again."""
        end = self._end
        if (
            end is None
            or self._is_stale
            or self._refreshing is not None
            or not new[0].seq - 1 == self._window_end == end.last_seq
        ):
            self.wake()
            return
        self._push(new)
        self._end = replace(end, last_seq=self._window_end)
        self._grown.wake()

    @property
    def mark(self) -> int:
        return self._grown.mark

    async def wait(self, mark: int, timeout: float) -> bool:  # noqa: ASYNC109 - see the contract
        return await self._grown.wait(mark, timeout)

    async def read(
        self, from_seq: int, *, limit: int, where: EventFilter, read_archive: bool = False
    ) -> EventPage:
        from_seq = max(from_seq, 1)
        end = await self._current(from_seq)
        if end is None:
            return replace(EMPTY_PAGE, next_from_seq=from_seq)
        if self.has(from_seq):
            return self._from_window(end, from_seq, limit, where)
        return await self._read_events(self.key, from_seq, limit, where, read_archive)

    def has(self, from_seq: int) -> bool:
        return from_seq >= self._window_start

    def differs_from(self, found: tuple[int, bool] | None) -> bool:
        """Whether the run's last seq and whether it is completed differ from what was read of it;
        None of a run that does not exist.
        """
        end = self._end
        return found != ((end.last_seq, end.is_completed) if end else None)

    async def _current(self, from_seq: int) -> EventPage | None:
        """The run's end, read again if it may have moved; None while the run does not exist."""
        while (
            self._is_stale
            # A read under way may return events whose wake-up came before the reader took its
            # mark. Without them the reader would wait for a wake-up that has already happened.
            or (self._refreshing is not None and not self._refreshing.done())
            or (self._end and self._window_end < from_seq <= self._end.last_seq)
        ):
            # A task that is done but whose callback has not run counts as none: awaiting it would
            # not let the event loop run the callback, and this loop would never end.
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
                self._refreshing.add_done_callback(self._refreshed)
            await asyncio.shield(self._refreshing)
        return self._end

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        if self._refreshing is task:
            self._refreshing = None
        if not task.cancelled() and task.exception():
            self._is_stale = True

    async def _refresh(self) -> None:
        self._is_stale = False  # before reading, so that a wake-up meanwhile makes it stale again
        try:
            if self._end is None:
                # The window begins at the end of the run; streams read earlier events themselves.
                end = await self._read_events(self.key, 1 << 62, 1, EVERY_EVENT, False)
                self._window_end = end.last_seq
                self._end = end
                return
            page = await self._read_events(
                self.key, self._window_end + 1, WINDOW_EVENTS, EVERY_EVENT, False
            )
        except RunNotFound as error:
            if error.was_deleted:
                raise
            self._end = None
            return
        except EventsArchived:
            # What the streams have not seen of it they ask for themselves, each as it wants to.
            self._end = None
            self.forget()
            self._is_stale = True
            return
        self._end = replace(page, events=())
        self._push(page.events)

    def forget(self) -> None:
        """Empty the window: its events are read again by the streams that have not seen them."""
        self._window.clear()
        self.window_bytes = 0

    def _push(self, new: Sequence[RecordedEvent]) -> None:
        for event in new:
            self._window.append(event)
            self._window_end = event.seq
            self.window_bytes += _size(event)
        while len(self._window) > WINDOW_EVENTS or (
            self.window_bytes > WINDOW_BYTES and len(self._window) > 1
        ):
            self.window_bytes -= _size(self._window.popleft())
        self._grew(self)

    @property
    def _window_start(self) -> int:
        return self._window[0].seq if self._window else self._window_end + 1

    def _from_window(
        self, end: EventPage, from_seq: int, limit: int, where: EventFilter
    ) -> EventPage:
        first = self._window[0].seq if self._window else from_seq
        chosen: list[RecordedEvent] = []
        next_from_seq = from_seq
        for index in range(from_seq - first, len(self._window)):
            recorded = self._window[index]
            if len(chosen) == limit:
                break
            if where.matches(recorded.event):
                chosen.append(recorded)
            next_from_seq = recorded.seq + 1
        return replace(end, events=tuple(chosen), next_from_seq=next_from_seq)


class Tails:
    """The open tails of this process."""

    def __init__(
        self, read_events: ReadEvents, last_seqs: LastSeqs, *, poll_interval: float
    ) -> None:
        self._read_events = read_events
        self._last_seqs = last_seqs
        self._poll_interval = poll_interval
        self._open: dict[ScopedKey, RunTail] = {}
        self._windows = Windows()
        self._by_digest: dict[str, RunKey] = {}
        self._polling = asyncio.create_task(self._poll())

    def open(self, key: RunKey) -> AbstractAsyncContextManager[RunTail]:
        """Share the run's tail among the calls of one scope while the context lasts."""
        return self._shared(scoped(key))

    @asynccontextmanager
    async def _shared(self, run: ScopedKey) -> AsyncIterator[RunTail]:
        tail = self._open.get(run)
        if tail is None:
            read = partial(self._read_within, run.scope)
            tail = self._open[run] = RunTail(run.key, read, self._windows.grew)
            if run == own(run.key):
                self._by_digest[digest(run.key)] = run.key
        tail.users += 1
        try:
            yield tail
        finally:
            tail.users -= 1
            if not tail.users:
                del self._open[run]
                self._windows.left(tail)
                if run == own(run.key):
                    self._by_digest.pop(digest(run.key), None)

    async def _read_within(
        self,
        scope: Scope,
        key: RunKey,
        from_seq: int,
        limit: int,
        where: EventFilter,
        read_archive: bool,
    ) -> EventPage:
        """Read for all who share a tail: whoever asks first, what they may touch is the same."""
        with bound(scope):
            return await self._read_events(key, from_seq, limit, where, read_archive)

    def wake(self, keys: Collection[RunKey]) -> None:
        """Wake the tails of runs that grew."""
        for key in keys:
            if tail := self._open.get(own(key)):
                tail.wake()

    def push(self, key: RunKey, new: Iterable[RecordedEvent]) -> None:
        """Give the tail of a run, if it is open, the events that this process appended to it."""
        if self._open and (tail := self._open.get(own(key))):
            tail.push(list(new))

    def wake_digests(self, digests: Collection[str]) -> None:
        """Wake the tails of runs that grew in another process."""
        self.wake([self._by_digest[each] for each in digests if each in self._by_digest])

    def wake_all(self) -> None:
        """Wake every tail, as wake-ups may have been missed."""
        for tail in list(self._open.values()):
            tail.wake()

    async def close(self) -> None:
        self._polling.cancel()
        with suppress(asyncio.CancelledError):
            await self._polling

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_interval)
            try:
                await self._compare()
            except StorageUnavailable:
                _log.warning("tails cannot be compared while the database is unavailable")
            except Exception:
                _log.exception("tails cannot be compared")

    async def _compare(self) -> None:
        if not self._open:
            return
        found = await self._last_seqs(list(self._open))
        for run, tail in self._open.items():
            if tail.differs_from(found.get(run)):
                tail.wake()


def _size(event: RecordedEvent) -> int:
    return EVENT_BYTES + (len(event.event.payload.content) if event.event.payload else 0)
