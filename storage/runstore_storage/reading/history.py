"""Pages of a run's events wherever they are: in rows, or in its archive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from runstore_storage.archived.events import ArchivedEvents
from runstore_storage.contract.errors import ArchiveInvalid, EventsArchived
from runstore_storage.contract.events import EVERY_EVENT, EventFilter, EventPage
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.database.engine import Database, reading
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.paging import event_page
from runstore_storage.sql import archive_states, heads
from runstore_storage.sql.archive_states import Place
from runstore_storage.sql.heads import Head

ReadPage = Callable[[Head, int, int], Awaitable[EventPage]]
"""Reads a page of a history that ends with a head: from a seq on, so many events."""


class History:
    """Reads archives as they are now, whatever was archived or restored since a head was read.

    No connection is held while the object store is waited for.
    """

    def __init__(self, engine: Database, offloading: Offloading, archived: ArchivedEvents) -> None:
        self._engine = engine
        self._offloading = offloading
        self.archived = archived

    def reader(self, key: RunKey) -> ReadPage:
        """Reads pages of a run; of events in rows without what is stored outside these."""

        async def read(end: Head, from_seq: int, limit: int) -> EventPage:
            return await self._page(key, from_seq, limit, EVERY_EVENT, end)

        return read

    async def page(
        self,
        key: RunKey,
        from_seq: int,
        *,
        limit: int,
        where: EventFilter = EVERY_EVENT,
        end: Head | None = None,
    ) -> EventPage:
        """As `event_page`, with the payloads; of the run as `end` says it was, or as it is."""
        page = await self._page(key, from_seq, limit, where, end)
        return await self._offloading.load_page(page)

    async def _page(
        self, key: RunKey, from_seq: int, limit: int, where: EventFilter, end: Head | None
    ) -> EventPage:
        before: tuple[int, Place | None] | None = None
        while True:
            async with reading(self._engine) as conn:
                head = await heads.get(conn, key)
                place = None
                if head.archived_through >= max(from_seq, 1):
                    place = await archive_states.current(conn, head.run)
            try:
                if place:
                    return await self._archived(place, end or head, from_seq, limit, where)
                async with reading(self._engine) as conn:
                    return await event_page(conn, end or head, from_seq, limit=limit, where=where)
            except (ArchiveInvalid, EventsArchived):
                # It was archived since; or its files went, as it was restored or archived anew.
                if before == (head.archived_through, place):
                    raise
                before = head.archived_through, place

    async def _archived(
        self, place: Place, head: Head, from_seq: int, limit: int, where: EventFilter
    ) -> EventPage:
        first = max(from_seq, 1)
        found, size, is_cut = await self.archived.page(
            place,
            first,
            min(place.last_seq, head.last_seq),
            limit=limit,
            max_bytes=PAGE_BYTES,
            where=where,
        )
        page = EventPage(
            tuple(found),
            found[-1].seq + 1 if is_cut else head.last_seq + 1,
            *(head.last_seq, head.is_completed, head.outcome),
        )
        if is_cut or head.last_seq <= place.last_seq:
            return page
        async with reading(self._engine) as conn:
            rest = await event_page(
                conn,
                head,
                max(first, place.last_seq + 1),
                limit=limit - len(found),
                where=where,
                max_bytes=PAGE_BYTES - size,
            )
        return replace(rest, events=(*found, *rest.events))
