"""A page of the feed: the entries that a filter selects, and how far the reader got."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from runstore_storage.contract.feed import EVERY_ENTRY, FeedEntry, FeedFilter, FeedPage
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.database.connection import Connection
from runstore_storage.payloads.offloading import Offloading, PayloadLost
from runstore_storage.sql import archive_states, archived_events, feed
from runstore_storage.sql.columns import OffloadedPayload
from runstore_storage.sql.feed import FeedRange

# How many events a page with a filter looks at before it reports how far it got.
SCANNED_EVENTS = 10_000

_log = logging.getLogger(__name__)


async def feed_page(
    conn: Connection,
    project: str,
    from_position: int,
    *,
    limit: int,
    where: FeedFilter,
    for_duty: bool,
    allow_gaps: bool = False,
) -> FeedPage:
    """Selected entries from `from_position` on, large payloads not loaded; see `feed.ranges`.

    A page ends before the first archived entry, and raises `EventsArchived` where it would begin
    with one, unless gaps are allowed. A duty passes over them.
    """
    first = max(from_position, 1)
    found, last_position = await feed.ranges(conn, project, first, for_duty=for_duty)
    chosen = _clipped(found, first, limit if where == EVERY_ENTRY else SCANNED_EVENTS)
    entries: Sequence[FeedEntry] = ()
    is_cut = False
    if chosen:
        entries, is_cut = await feed.entries(
            conn,
            chosen,
            where,
            limit=limit,
            max_bytes=PAGE_BYTES,
            for_duty=for_duty,
        )
    if is_cut:
        next_position = entries[-1].position + 1
    elif len(found) == feed.PAGE_RANGES or (found and chosen[-1] != found[-1]):
        next_position = chosen[-1].last_position + 1
    else:
        next_position = max(first, last_position + 1)
    if not (for_duty or allow_gaps):
        # What is not archived now was not when the entries were read: none of them is missing.
        gap = await _first_gap(conn, chosen)
        if gap and gap.position < next_position:
            entries = [each for each in entries if each.position < gap.position]
            if not entries:
                await _refuse(conn, project, gap)
            next_position = gap.position
    return FeedPage(tuple(entries), next_position, last_position)


class _Gap(NamedTuple):
    """An archived entry: an event of a run."""

    position: int
    run: int
    seq: int


async def _first_gap(conn: Connection, of: Sequence[FeedRange]) -> _Gap | None:
    """The first archived entry of some ranges."""
    through = await archived_events.through(conn, {each.run for each in of}) if of else {}
    for each in of:
        if each.first_seq <= through.get(each.run, 0):
            return _Gap(each.before + each.first_seq, each.run, each.first_seq)
    return None


async def _refuse(conn: Connection, project: str, gap: _Gap) -> None:
    """Raise `EventsArchived`, unless the run was restored meanwhile: the page is empty then."""
    position = await archive_states.first_complete_position(conn, project)
    await archived_events.refuse_if_archived(conn, gap.run, gap.seq, first_position=position)


def _clipped(found: Sequence[FeedRange], first: int, budget: int) -> list[FeedRange]:
    """The ranges from position `first` on, up to and including the one that uses up the budget."""
    chosen: list[FeedRange] = []
    for each in found:
        clipped = replace(each, first_seq=max(each.first_seq, first - each.before))
        chosen.append(clipped)
        budget -= clipped.last_seq - clipped.first_seq + 1
        if budget <= 0:
            break
    return chosen


async def load_entries(
    offloading: Offloading, entries: Sequence[FeedEntry], *, for_duty: bool
) -> tuple[FeedEntry, ...]:
    """The entries with their offloaded payloads.

    A lost payload raises, but for a duty, which gets the event without it.
    """
    if not any(isinstance(entry.recorded.event.payload, OffloadedPayload) for entry in entries):
        return tuple(entries)
    try:
        loaded = await offloading.load_events(
            [entry.recorded for entry in entries], of_any_project=for_duty
        )
    except PayloadLost:
        if not for_duty:
            raise
        return tuple([await _loaded_or_lost(offloading, entry) for entry in entries])
    return tuple(
        replace(entry, recorded=recorded) for entry, recorded in zip(entries, loaded, strict=True)
    )


async def _loaded_or_lost(offloading: Offloading, entry: FeedEntry) -> FeedEntry:
    try:
        (recorded,) = await offloading.load_events([entry.recorded], of_any_project=True)
    except PayloadLost as error:
        _log.error("the payload at position %d is lost", entry.position, exc_info=error)
        event = replace(entry.recorded.event, payload=None)
        recorded = replace(entry.recorded, event=event)
        return replace(entry, recorded=recorded, is_payload_lost=True)
    return replace(entry, recorded=recorded)
