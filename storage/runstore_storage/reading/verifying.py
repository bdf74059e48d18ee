"""Recomputing a run's hash chain from its stored fields."""

from __future__ import annotations

from runstore_storage import chain
from runstore_storage.contract.events import EventFilter, RecordedEvent
from runstore_storage.contract.runs import Run, Verification
from runstore_storage.database.connection import Connection
from runstore_storage.payloads.offloading import Offloading, PayloadLost
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
) -> Verification:
    """Check events from `from_seq` on, at most `max_events` of them, against `head`."""
    first = max(from_seq, 1)
    last = min(head.last_seq, first + max_events - 1) if max_events else head.last_seq
    chain_end, checked = b"", 0
    try:
        births = await _births(conn, run, head)
        chain_end = await _start(conn, head, births, first)
        while first + checked <= last:
            page = await event_page(
                conn,
                head._replace(last_seq=last),
                first + checked,
                limit=PAGE_EVENTS,
                where=EventFilter(),
            )
            for place, event in enumerate(page.events or [None], first + checked):
                chain_end = _entered(head, births, chain_end, place)
                chain_end = _next(chain_end, place, await _whole(conn, event, offloading))
            checked += len(page.events)
        if last == head.last_seq:
            chain_end = _entered(head, births, chain_end, last + 1)
        if last == head.last_seq and chain_end != head.last_hash:
            raise ChainBroken(last, "the last event is not the one the run's head names")
    except ChainBroken as found:
        return Verification(checked, head.last_seq, chain_end, found.problem, found.seq, 0)
    return Verification(
        checked, head.last_seq, chain_end, "", 0, last + 1 if last < head.last_seq else 0
    )


async def _births(conn: Connection, run: Run, head: Head) -> dict[int, bytes]:
    """The hash of each run's birth that the history goes through."""
    ancestors = [each.run for each in head.lineage]
    found = await runs.get_many(conn, ancestors) if ancestors else {}
    births = {number: chain.birth_hash(each.born) for number, each in found.items()}
    return births | {head.run: chain.birth_hash(run.born)}


async def _start(conn: Connection, head: Head, births: dict[int, bytes], first: int) -> bytes:
    """The hash before the first event to check, forks at that place not yet entered."""
    if first == 1:
        return births[next(head.segments).run]
    segment = next(
        (each for each in head.segments if each.first_seq < first <= each.last_seq + 1), None
    )
    before = await events.hash_at(conn, segment.run, first - 1) if segment else None
    if before is None:
        raise ChainBroken(first - 1, "the event before the first one to check is missing")
    return before


def _entered(head: Head, births: dict[int, bytes], previous: bytes, seq: int) -> bytes:
    """The hash before event `seq`, bound to the forks that begin there."""
    if not head.lineage:
        return previous
    _, *forks = head.segments
    for segment in forks:
        if segment.first_seq == seq:
            previous = chain.fork_hash(previous, births[segment.run])
    return previous


async def _whole(
    conn: Connection, event: RecordedEvent | None, offloading: Offloading
) -> RecordedEvent | None:
    """The event with its payload."""
    try:
        return next(iter(await offloading.load_events([event], conn))) if event else None
    except PayloadLost:
        return event  # without it, which its hash does not fit


def _next(previous: bytes, seq: int, found: RecordedEvent | None) -> bytes:
    """The hash after an event, which must be the stored one."""
    if found is None or found.seq != seq:
        raise ChainBroken(seq, "the event is missing")
    body = chain.event_hash(found.event)
    if chain.link_hash(previous, seq, found.recorded_at, body) != found.hash:
        raise ChainBroken(
            seq, "the event's fields, its place or what came before it differ from its hash"
        )
    return found.hash
