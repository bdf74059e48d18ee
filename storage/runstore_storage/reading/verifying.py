"""Verifying a run: its hash chain recomputed from its stored fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from runstore_storage import chain
from runstore_storage.contract.events import RUN_COMPLETED, Event, EventFilter, RecordedEvent
from runstore_storage.contract.runs import Run, Verification
from runstore_storage.database.connection import Connection
from runstore_storage.payloads.offloading import Offloading, PayloadLost
from runstore_storage.reading import completions
from runstore_storage.reading.history import ReadPage
from runstore_storage.reading.paging import event_page
from runstore_storage.sql import events, runs
from runstore_storage.sql.heads import Head

PAGE_EVENTS = 1000


class ChainBroken(Exception):
    def __init__(self, seq: int, problem: str) -> None:
        self.seq = seq
        self.problem = problem


async def verify(
    conn: Connection,
    run: Run,
    head: Head,
    *,
    from_seq: int,
    max_events: int,
    offloading: Offloading,
    archived: ReadPage | None = None,
) -> Verification:
    """Check events from `from_seq` on, at most `max_events` of them, against `head`.

    They are read by `archived` if it is given; else those that are archived raise `EventsArchived`.
    """
    first = max(from_seq, 1)
    last = min(head.last_seq, first + max_events - 1) if max_events else head.last_seq
    check = _Check(head, archived)
    try:
        await check.begin(conn, run, first)
        while first + check.checked <= last:
            await check.next_page(conn, offloading, first + check.checked, last)
        if last == head.last_seq:
            check.end()
    except ChainBroken as broken:
        problem, seq = broken.problem, broken.seq
        next_seq = 0
    else:
        problem, seq = "", 0
        next_seq = last + 1 if last < head.last_seq else 0
    return Verification(
        check.checked, head.last_seq, check.link, problem, seq, next_seq, check.erased
    )


@dataclass(slots=True)
class _Check:
    """How far the chain has been followed; each step raises `ChainBroken` if it does not hold."""

    head: Head
    archived: ReadPage | None
    births: dict[int, bytes] = field(default_factory=dict)
    """The birth hash of each run that the history consists of."""
    link: bytes = b""
    """The hash that the chain has reached."""
    checked: int = 0
    """The number of events on the pages that were checked."""
    erased: int = 0
    """How many of the events were erased."""

    async def begin(self, conn: Connection, run: Run, first: int) -> None:
        """Take up the chain before event `first`; forks that begin there are not entered yet."""
        ancestors = [each.run for each in self.head.lineage]
        found = await runs.get_many(conn, ancestors) if ancestors else {}
        self.births = {number: chain.birth_hash(each.born) for number, each in found.items()}
        self.births[self.head.run] = chain.birth_hash(run.born)
        if first == 1:
            self.link = self.births[next(self.head.segments).run]
            return
        before = await _hash_of(conn, self.head, first - 1)
        if before is None:
            raise ChainBroken(first - 1, "the event before the first one to check is missing")
        self.link = before

    async def next_page(
        self, conn: Connection, offloading: Offloading, from_seq: int, last: int
    ) -> None:
        """Follow the chain through the events of a page that ends at `last` at the latest."""
        until = self.head._replace(last_seq=last)
        if self.archived:
            page = await self.archived(until, from_seq, PAGE_EVENTS)
        else:
            page = await event_page(conn, until, from_seq, limit=PAGE_EVENTS, where=EventFilter())
        for seq, event in enumerate(page.events or [None], from_seq):
            self._enter_forks(seq)
            followed = self._follow(seq, await _loaded(conn, event, offloading))
            if followed.type == RUN_COMPLETED:
                await self._check_completion(conn, offloading, seq, followed)
        self.checked += len(page.events)

    def end(self) -> None:
        """Check that the chain ends where the head says."""
        last = self.head.last_seq
        self._enter_forks(last + 1)
        if self.link != self.head.last_hash:
            raise ChainBroken(last, "the last event is not the one that the run's head records")

    def _enter_forks(self, seq: int) -> None:
        """Bind the chain to the forks that begin with event `seq`."""
        if not self.head.lineage:
            return
        _, *forks = self.head.segments
        for segment in forks:
            if segment.first_seq == seq:
                self.link = chain.fork_hash(self.link, self.births[segment.run])

    async def _check_completion(
        self, conn: Connection, offloading: Offloading, seq: int, event: Event
    ) -> None:
        if problem := await completions.problem_of(conn, self.head, event, offloading):
            raise ChainBroken(seq, problem)

    def _follow(self, seq: int, found: RecordedEvent | None) -> Event:
        """Check one event, and go on from its hash."""
        if found is None or found.seq != seq:
            raise ChainBroken(seq, "the event is missing")
        body = chain.recorded_hash(found)
        if chain.link_hash(self.link, seq, found.recorded_at, body) != found.hash:
            raise ChainBroken(
                seq, "the event's fields, its seq or the events before it do not match its hash"
            )
        self.link = found.hash
        self.erased += found.erased is not None
        return found.event


async def _hash_of(conn: Connection, head: Head, seq: int) -> bytes | None:
    """The hash of an event of the history; None if it is missing."""
    for segment in head.segments:
        if segment.first_seq <= seq <= segment.last_seq:
            return await events.hash_at(conn, segment.run, seq)
    return None


async def _loaded(
    conn: Connection, event: RecordedEvent | None, offloading: Offloading
) -> RecordedEvent | None:
    """The event with its payload."""
    try:
        return next(iter(await offloading.load_events([event], conn))) if event else None
    except PayloadLost:
        return event  # its hash does not match without the payload
