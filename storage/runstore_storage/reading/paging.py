"""A page of a run's events, up to its head's last seq."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.contract.events import EventFilter, EventPage, RecordedEvent
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.database.connection import Connection
from runstore_storage.sql import archived_events, events
from runstore_storage.sql.heads import Head


async def event_page(
    conn: Connection,
    head: Head,
    from_seq: int,
    *,
    limit: int,
    where: EventFilter,
    max_bytes: int = PAGE_BYTES,
) -> EventPage:
    """Selected events from `from_seq` on, up to the head's last seq.

    Those events were committed with the head or before it, so they are read without a gap. Raise
    `EventsArchived` where some that the page would have are archived, if only since the head was
    read.
    """
    first = max(from_seq, 1)
    found: Sequence[RecordedEvent] = ()
    is_cut = False
    for segment in head.segments:
        if is_cut or segment.last_seq < max(first, segment.first_seq):
            continue
        some, is_cut = await events.page(
            conn,
            segment.run,
            from_seq=max(first, segment.first_seq),
            to_seq=segment.last_seq,
            limit=limit - len(found),
            max_bytes=max_bytes,
            where=where,
        )
        if not some:
            await archived_events.refuse_if_archived(
                conn, segment.run, max(first, segment.first_seq)
            )
        found = [*found, *some] if found else some
    next_from_seq = found[-1].seq + 1 if is_cut else max(first, head.last_seq + 1)
    return EventPage(found, next_from_seq, head.last_seq, head.is_completed, head.outcome)
