"""From the past into the present of one run: the loop behind every stream of events.

It holds one page and is asked for the next item when the one before was sent, so a slow client
slows itself and nobody else. What an item looks like on the wire is the caller's concern.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from enum import Enum, auto

from runstore_storage.contract.events import EVERY_EVENT, EventFilter, EventPage, EventStore
from runstore_storage.contract.heads import RunKey

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.validation.bounds import MAX_INT64

BATCH_EVENTS = 256


class Mark(Enum):
    """What an item of a stream says."""

    EVENTS = auto()
    CAUGHT_UP = auto()  # all there was has been yielded; what follows is live
    HEARTBEAT = auto()  # nothing was yielded for a while
    END_OF_RUN = auto()  # the run is complete and all of it has been yielded


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to tell the client.

    Only EVENTS has events. `page.next_from_seq` is where a client that was told this goes on.
    """

    mark: Mark
    page: EventPage


@dataclass(frozen=True, slots=True)
class Following:
    """What a client wants to see; without `follow` no more than there is now."""

    key: RunKey
    heartbeat_seconds: float
    from_seq: int = 1
    where: EventFilter = EVERY_EVENT
    follow: bool = True
    wait_for_run: bool = False


async def follow(
    store: EventStore, lifecycle: Lifecycle, wanted: Following
) -> AsyncGenerator[Item, None]:
    """Yield items until the run's end, or the current one for who does not follow.

    An unknown run raises `RunNotFound` unless it is waited for, a server that goes down
    `ServerDraining` after the events it has read. Close the iterator to leave the run's tail.
    """
    if not wanted.wait_for_run:
        # Refuses an unknown run, reads no event.
        await store.read_events(wanted.key, MAX_INT64, limit=1)
    from_seq, is_live, sent_at = max(wanted.from_seq, 1), False, time.monotonic()
    async with store.open_tail(wanted.key) as tail:
        while True:
            mark = tail.mark  # before reading: what commits after it ends the wait below
            page = await tail.read(from_seq, limit=BATCH_EVENTS, where=wanted.where)
            from_seq = page.next_from_seq
            if page.events:
                # Given away: a client that is slow to read costs its message, not the page too.
                given = [Item(Mark.EVENTS, page)]
                page = replace(page, events=())
                yield given.pop()
                sent_at = time.monotonic()
            lifecycle.check()
            if not page.reaches_end:
                is_live = False
                continue
            if page.is_completed:
                yield Item(Mark.END_OF_RUN, page)
                return
            if not is_live:
                yield Item(Mark.CAUGHT_UP, page)
                is_live, sent_at = True, time.monotonic()
            if not wanted.follow:
                return
            # Silence is judged before change: events that are not selected break no silence.
            while (left := sent_at + wanted.heartbeat_seconds - time.monotonic()) <= 0 or (
                not await tail.wait(mark, left)
            ):
                yield Item(Mark.HEARTBEAT, page)
                sent_at = time.monotonic()
