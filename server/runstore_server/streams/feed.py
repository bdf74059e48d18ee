"""Following the feed: from a position up to the newest entry, then live.

The loop holds one page and awaits each send, like the one for the events of a run.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial

from runstore_storage.contract.feed import FeedEntry, FeedFilter, FeedPage, FeedStore

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Room
from runstore_server.streams.sizes import entries_bytes

BATCH_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class Live:
    """Every selected entry up to `position` has been yielded; later ones are live."""

    position: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was yielded for a while; every selected entry up to `position` was yielded before."""

    position: int


FeedItem = tuple[FeedEntry, ...] | Live | Silence


async def follow(
    feed: FeedStore,
    lifecycle: Lifecycle,
    project: str,
    from_position: int,
    *,
    where: FeedFilter,
    allow_gaps: bool = False,
    heartbeat_seconds: float,
    room: Room,
) -> AsyncGenerator[FeedItem, None]:
    """Yield batches of entries and progress until the server drains, which raises.

    A batch counts as sent when the next item is asked for; `Overloaded` is raised if there is no
    `room` for one.
    """
    next_position, is_live, sent_at = max(from_position, 1), False, time.monotonic()
    async with room:
        while True:
            mark = (
                feed.published.mark
            )  # before reading, so that an entry published after the read ends the wait
            read = partial(
                feed.read_feed,
                project,
                next_position,
                limit=BATCH_ENTRIES,
                where=where,
                allow_gaps=allow_gaps,
            )
            page = await room.page(read, _size)
            next_position = page.next_position
            if has_entries := bool(page.entries):
                # No reference is kept: a slow client holds its message in memory, not the page.
                given = [page.entries]
                page = replace(page, entries=())
                yield given.pop()
                room.sent()
                sent_at = time.monotonic()
            lifecycle.check()
            if not page.reaches_end:
                is_live = is_live and not has_entries
            elif not is_live:
                yield Live(next_position - 1)
                is_live, sent_at = True, time.monotonic()
            left = sent_at + heartbeat_seconds - time.monotonic()
            if left <= 0 or (page.reaches_end and not await feed.published.wait(mark, left)):
                yield Silence(next_position - 1)
                sent_at = time.monotonic()


def _size(page: FeedPage) -> int:
    return entries_bytes(page.entries)
