"""Following the feed: from a position up to the newest entry, then live.

The loop holds one page and awaits each send, like the one for the events of a run.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from runstore_storage.contract.feed import FeedEntry, FeedFilter, FeedStore

from runstore_server.edge.lifecycle import Lifecycle

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
    heartbeat_seconds: float,
) -> AsyncGenerator[FeedItem, None]:
    """Yield batches of entries and progress until the server drains, which raises."""
    next_position, is_live, sent_at = max(from_position, 1), False, time.monotonic()
    while True:
        mark = (
            feed.published.mark
        )  # before reading, so that an entry published after the read ends the wait
        page = await feed.read_feed(project, next_position, limit=BATCH_ENTRIES, where=where)
        next_position = page.next_position
        if page.entries:
            yield page.entries
            sent_at = time.monotonic()
        lifecycle.check()
        if not page.reaches_end:
            is_live = is_live and not page.entries
        elif not is_live:
            yield Live(next_position - 1)
            is_live, sent_at = True, time.monotonic()
        left = sent_at + heartbeat_seconds - time.monotonic()
        if left <= 0 or (page.reaches_end and not await feed.published.wait(mark, left)):
            yield Silence(next_position - 1)
            sent_at = time.monotonic()
