"""Following a run: its past events, and then live ones. The loop behind every stream of events.

It holds one page, and the next item is taken from it when the one before has been sent, so a slow
client slows down only itself. What an item looks like on the wire is the caller's concern.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from runstore_storage.contract.events import EVERY_EVENT, EventFilter, EventPage, EventStore
from runstore_storage.contract.heads import RunKey

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Room
from runstore_server.streams.sizes import page_bytes
from runstore_server.validation.bounds import MAX_INT64

BATCH_EVENTS = 256


class Progress(Enum):
    """How far a stream has got with an item."""

    EVENTS = auto()  # the events of the item's page
    CAUGHT_UP = auto()  # every event there was has been yielded; later ones are live
    HEARTBEAT = auto()  # nothing was yielded for a while
    END_OF_RUN = auto()  # the run is complete and all of it has been yielded


@dataclass(frozen=True, slots=True)
class Item:
    """One message to the client.

    Only EVENTS has events. A client that got this item resumes at `page.next_from_seq`.
    """

    progress: Progress
    page: EventPage


@dataclass(frozen=True, slots=True)
class Following:
    """What a client wants to see; without `follow`, only what there is now."""

    key: RunKey
    heartbeat_seconds: float
    from_seq: int = 1
    where: EventFilter = EVERY_EVENT
    follow: bool = True
    wait_for_run: bool = False
    read_archive: bool = False


async def follow(
    store: EventStore, lifecycle: Lifecycle, wanted: Following, room: Room
) -> AsyncGenerator[Item, None]:
    """Yield items until the end of the run, or without `follow` until its current end.

    An unknown run raises `RunNotFound` unless it is waited for. A draining server raises
    `ServerDraining` after the events it has read. Events count as sent when the next item is asked
    for; `Overloaded` is raised if there is no `room` for them. Close the iterator to release the
    run's tail.
    """
    if not wanted.wait_for_run:
        # Raises if the run is unknown, and reads no event.
        await store.read_events(wanted.key, MAX_INT64, limit=1)
    from_seq, is_live, sent_at = max(wanted.from_seq, 1), False, time.monotonic()
    async with room, store.open_tail(wanted.key) as tail:
        while True:
            mark = tail.mark  # before reading, so that a later commit ends the wait below
            read = partial(
                tail.read,
                from_seq,
                limit=BATCH_EVENTS,
                where=wanted.where,
                read_archive=wanted.read_archive,
            )
            page = await room.page(read, page_bytes, is_in_memory=tail.has(from_seq))
            from_seq = page.next_from_seq
            if page.events:
                # No reference is kept: a slow client holds its message in memory, not the page.
                given = [Item(Progress.EVENTS, page)]
                page = replace(page, events=())
                yield given.pop()
                room.sent()
                sent_at = time.monotonic()
            lifecycle.check()
            if not page.reaches_end:
                is_live = False
                continue
            if page.is_completed:
                yield Item(Progress.END_OF_RUN, page)
                return
            if not is_live:
                yield Item(Progress.CAUGHT_UP, page)
                is_live, sent_at = True, time.monotonic()
            if not wanted.follow:
                return
            # The heartbeat is checked first: events that are not selected do not postpone it.
            while (left := sent_at + wanted.heartbeat_seconds - time.monotonic()) <= 0 or (
                not await tail.wait(mark, left)
            ):
                yield Item(Progress.HEARTBEAT, page)
                sent_at = time.monotonic()
