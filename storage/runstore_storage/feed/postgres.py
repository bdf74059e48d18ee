"""The feed on Postgres. The contract is `FeedStore`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from runstore_storage.contract.errors import ConsumerNotFound, PositionAhead, StorageUnavailable
from runstore_storage.contract.feed import (
    EVERY_ENTRY,
    EVERY_PROJECT,
    NO_LAG,
    RELAY,
    REMOVALS,
    RETENTION,
    STORED_BYTES,
    USAGE_COUNTS,
    Consumer,
    DeadLetter,
    Duty,
    FeedEntry,
    FeedFilter,
    FeedPage,
    Lag,
    sink_duty,
)
from runstore_storage.contract.pages import Page
from runstore_storage.contract.signals import Signal
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.failures import translated
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.feed.paging import feed_page, load_entries
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.wakeups import Wakeups
from runstore_storage.sql import (
    archived_events,
    consumers,
    dead_letters,
    duties,
    feed,
    outbox,
    removals,
    stored_bytes,
    usage_counts,
)

_log = logging.getLogger(__name__)


# Of duties whose position is not of the feed.
_LAGS = {RELAY: outbox.lag, REMOVALS: removals.lag}


class PostgresFeed:
    """Shares the connections and wake-ups of the store that makes it.

    Work under a duty may be cancelled at any time: its next holder repeats what did not commit.
    """

    def __init__(
        self,
        engine: Database,
        wakeups: Wakeups,
        offloading: Offloading,
        in_flight: WritesInFlight,
        *,
        poll_interval: float,
    ) -> None:
        self._engine = engine
        self._offloading = offloading
        self._wakeups = wakeups
        self._in_flight = in_flight
        self._poll_interval = poll_interval
        self.counted = Signal()
        """Wakes when this process has counted usage."""
        self.wanted = Signal()
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        self._polling.cancel()
        with suppress(asyncio.CancelledError):
            await self._polling

    @property
    def committed(self) -> Signal:
        return self._wakeups.committed

    @property
    def published(self) -> Signal:
        return self._wakeups.published

    async def hold_duty(self, name: str, holder: str) -> int | None:
        async with reading(self._engine) as conn:
            return await duties.take(conn, name, holder)

    async def advance_duty(self, name: str, holder: str, position: int) -> int | None:
        async with writing(self._engine) as conn:
            return await duties.advance(conn, name, holder, position)

    async def release_duty(self, name: str, holder: str) -> None:
        async with writing(self._engine) as conn:
            await duties.release(conn, name, holder)

    async def list_duties(self) -> tuple[Duty, ...]:
        async with reading(self._engine) as conn:
            return await duties.every(conn)

    async def publish(self, holder: str) -> int | None:
        async with translated(), self._engine.connect() as conn:
            published = await feed.publish(conn, holder)
        if published:
            self._wakeups.announce_published()
        return published

    async def lag(self, duty: str) -> Lag:
        if duty == RETENTION:
            return NO_LAG
        async with reading(self._engine) as conn:
            find = _LAGS.get(duty)
            return await (find(conn) if find else duties.lag(conn, duty))

    async def drain(self) -> None:
        async with reading(self._engine) as conn:
            newest = await outbox.last_id(conn)
        self.wanted.wake()
        while True:
            mark = self.published.mark
            async with reading(self._engine) as conn:
                if not await outbox.holds_up_to(conn, newest):
                    return
            await self.published.wait(mark, self._poll_interval)

    async def read_feed(
        self,
        project: str,
        from_position: int,
        *,
        limit: int,
        where: FeedFilter = EVERY_ENTRY,
        allow_gaps: bool = False,
    ) -> FeedPage:
        return await self._read(
            project, from_position, limit, where, for_duty=False, allow_gaps=allow_gaps
        )

    async def read_for_duty(
        self,
        project: str,
        from_position: int,
        *,
        limit: int,
        where: FeedFilter = EVERY_ENTRY,
    ) -> FeedPage:
        return await self._read(project, from_position, limit, where, for_duty=True)

    async def _read(
        self,
        project: str,
        from_position: int,
        limit: int,
        where: FeedFilter,
        *,
        for_duty: bool,
        allow_gaps: bool = False,
    ) -> FeedPage:
        async with reading(self._engine) as conn:
            page = await feed_page(
                conn,
                project,
                from_position,
                limit=limit,
                where=where,
                for_duty=for_duty,
                allow_gaps=allow_gaps,
            )
        entries = await load_entries(self._offloading, page.entries, for_duty=for_duty)
        return replace(page, entries=entries)

    async def read_entry(self, position: int) -> FeedEntry | None:
        page = await self.read_for_duty(EVERY_PROJECT, position, limit=1)
        found = next(iter(page.entries), None)
        return found if found and found.position == position else None

    async def commit_position(self, project: str, name: str, position: int) -> Consumer:
        return await self._set_position(project, name, position, may_go_back=False)

    async def reset_consumer(self, project: str, name: str, position: int) -> Consumer:
        return await self._set_position(project, name, position, may_go_back=True)

    @finish_despite_cancellation
    async def _set_position(
        self, project: str, name: str, position: int, *, may_go_back: bool
    ) -> Consumer:
        async with writing(self._engine) as conn:
            last_position = await feed.last_position_of(conn, project)
            if position > last_position:
                found = await consumers.get(conn, project, name)
                if found is None or position > found.position:
                    raise PositionAhead(position, last_position)
            await consumers.commit(conn, project, name, position, may_go_back=may_go_back)
        return await self.get_consumer(project, name)

    async def get_consumer(self, project: str, name: str) -> Consumer:
        async with reading(self._engine) as conn:
            found = await consumers.get(conn, project, name)
        if found is None:
            raise ConsumerNotFound(project, name)
        return found

    async def list_consumers(
        self, project: str, *, limit: int, after: str | None
    ) -> Page[Consumer, str]:
        async with reading(self._engine) as conn:
            found = await consumers.page(conn, project, limit=limit + 1, after=after or "")
        return Page.of(found, limit, lambda consumer: consumer.name)

    async def count_usage(self, holder: str) -> int | None:
        async with translated(), self._engine.connect() as conn:
            counted = await usage_counts.add(conn, holder)
        if counted:
            self.counted.wake()
        return counted

    async def forget_usage(self, holder: str) -> None:
        async with writing(self._engine) as conn:
            await duties.restart(conn, USAGE_COUNTS, holder)
            # Of a run with more events it is not known which of them were counted.
            await archived_events.refuse_if_growing(conn)
            await usage_counts.forget(conn)

    async def sum_stored(self, holder: str) -> int | None:
        async with writing(self._engine) as conn:
            return await stored_bytes.add(conn, holder)

    async def forget_stored(self, holder: str) -> None:
        async with writing(self._engine) as conn:
            await duties.restart(conn, STORED_BYTES, holder)
            await stored_bytes.forget(conn)

    async def bury(self, holder: str, letters: Sequence[DeadLetter]) -> int | None:
        sink = letters[0].sink
        async with writing(self._engine) as conn:
            position = await duties.fence(conn, sink_duty(sink), holder)
            if position is not None:
                await dead_letters.insert(conn, sink, letters)
            return position

    async def list_dead_letters(
        self, sink: str, *, limit: int, after: int
    ) -> tuple[DeadLetter, ...]:
        async with reading(self._engine) as conn:
            return await dead_letters.page(conn, sink, limit=limit, after=after)

    @finish_despite_cancellation
    async def remove_dead_letter(self, letter_id: int) -> bool:
        async with writing(self._engine) as conn:
            return await dead_letters.remove(conn, letter_id)

    async def _poll(self) -> None:
        """Make up for lost wake-ups: wake the feed's followers if its end has moved."""
        seen = 0
        while True:
            await asyncio.sleep(self._poll_interval)
            try:
                async with reading(self._engine) as conn:
                    last_position = await feed.last_position(conn)
            except StorageUnavailable:
                _log.warning("the feed cannot be polled while the database is unavailable")
                continue
            except Exception:
                _log.exception("the feed cannot be polled")
                continue
            if last_position != seen:
                seen = last_position
                self.published.wake()
