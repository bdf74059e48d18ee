"""Recomputing a run's hash chain from its stored fields."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from runstore_storage import chain
from runstore_storage.offloading import Offloading, PayloadLost
from runstore_storage.records import EventFilter, RecordedEvent, Run, Verification
from runstore_storage.sql import events
from runstore_storage.sql.heads import Head

PAGE_EVENTS = 1000


class ChainBroken(Exception):
    def __init__(self, seq: int, problem: str) -> None:
        self.seq = seq
        self.problem = problem


async def verify(
    conn: AsyncConnection,
    run: Run,
    head: Head,
    *,
    from_seq: int,
    max_events: int,
    page_bytes: int,
    offloading: Offloading,
) -> Verification:
    """Check events from `from_seq` on, at most `max_events` of them, against `head`."""
    first = max(from_seq, 1)
    last = min(head.last_seq, first + max_events - 1) if max_events else head.last_seq
    chain_end, checked = b"", 0
    try:
        chain_end = await _start(conn, run, head, first)
        while first + checked <= last:
            page, _ = await events.page(
                conn,
                head.run,
                from_seq=first + checked,
                to_seq=last,
                limit=PAGE_EVENTS,
                max_bytes=page_bytes,
                where=EventFilter(),
            )
            for place, event in enumerate(page or [None], first + checked):
                chain_end = _next(chain_end, place, await _whole(conn, event, offloading))
            checked += len(page)
        if last == head.last_seq and chain_end != head.last_hash:
            raise ChainBroken(last, "the last event is not the one the run's head names")
    except ChainBroken as found:
        return Verification(checked, head.last_seq, chain_end, found.problem, found.seq, 0)
    return Verification(
        checked, head.last_seq, chain_end, "", 0, last + 1 if last < head.last_seq else 0
    )


async def _start(conn: AsyncConnection, run: Run, head: Head, first: int) -> bytes:
    """The hash before the first event to check."""
    if first == 1:
        return chain.birth_hash(run.born)
    before = await events.hash_at(conn, head.run, first - 1) if first - 1 <= head.last_seq else None
    if before is None:
        raise ChainBroken(first - 1, "the event before the first one to check is missing")
    return before


async def _whole(
    conn: AsyncConnection, event: RecordedEvent | None, offloading: Offloading
) -> RecordedEvent | None:
    """The event with its payload."""
    try:
        return next(iter(await offloading.filled([event], conn))) if event else None
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
