"""Streams read and wait so that nothing falls in between, and promise only what they have read.

Here a run or the feed grows while a read is under way, whose answer is the one from before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from entries import START, entry
from runstore_server.edge.errors import ServerDraining
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Unread
from runstore_server.http.streams.events import EventEncoder
from runstore_server.http.streams.feed import FeedEncoder
from runstore_server.streams import feed as feed_stream
from runstore_server.streams import following
from runstore_server.streams.feed import Live, Silence
from runstore_server.streams.following import Following, Item, Progress, follow
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.events import (
    Event,
    EventFilter,
    EventPage,
    RecordedEvent,
)
from runstore_storage.contract.feed import EVERY_ENTRY, FeedPage
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.signals import Signal
from runstore_storage.reading.tails import EMPTY_PAGE

KEY = RunKey("acme", "run")
SECONDS = 4.75
"""How long each read takes on a `Clock`."""
NEVER = 3600.0
"""A heartbeat that no test waits for."""
UNREAD = Unread(1 << 30)


def recorded(seq: int, kind: str = "tick") -> RecordedEvent:
    return RecordedEvent(seq, START, bytes(32), Event(kind, event_id=f"e{seq}"))


class Run:
    """A store with one run, and its tail; `during_read` happens before a read returns."""

    def __init__(self, *events: RecordedEvent) -> None:
        self.events = list(events)
        self.outcome = Outcome.UNSPECIFIED
        self.exists = True
        self.during_read: Callable[[], None] = lambda: None
        self._grown = Signal()
        self.wait = self._grown.wait

    @property
    def mark(self) -> int:
        return self._grown.mark

    def grow(self, count: int = 1) -> None:
        """Commit events elsewhere, which wakes the tail."""
        last = len(self.events)
        self.events += [recorded(last + number) for number in range(1, count + 1)]
        self._grown.wake()

    def has(self, from_seq: int) -> bool:
        return True

    async def read(
        self, from_seq: int, *, limit: int, where: EventFilter, read_archive: bool = False
    ) -> EventPage:
        if not self.exists:
            self.during_read()
            return EMPTY_PAGE
        chosen = [
            each for each in self.events if each.seq >= from_seq and where.matches(each.event)
        ]
        page, last = chosen[:limit], len(self.events)
        found = EventPage(
            tuple(page),
            page[-1].seq + 1 if len(chosen) > limit else max(from_seq, last + 1),
            last,
            is_completed=self.outcome is not Outcome.UNSPECIFIED,
            outcome=self.outcome,
        )
        self.during_read()
        return found

    async def read_events(self, key: RunKey, from_seq: int, *, limit: int) -> EventPage:
        if not self.exists:
            raise RunNotFound(key)
        return EMPTY_PAGE

    @asynccontextmanager
    async def open_tail(self, _: RunKey) -> AsyncIterator[Run]:
        yield self

    def follow(self, lifecycle: Lifecycle | None = None, **wanted: Any) -> AsyncGenerator[Item]:
        asked = Following(**{"key": KEY, "heartbeat_seconds": NEVER, **wanted})
        return follow(self, lifecycle or Lifecycle(), asked, UNREAD.room("client"))  # type: ignore[arg-type]


class Clock:
    """Stands still, but for what `passes`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self) -> None:
        self.now += SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(feed_stream, "time", stopped)
    monkeypatch.setattr(following, "time", stopped)
    return stopped


def once(act: Callable[[], None]) -> Callable[[], None]:
    """Act at the first call."""
    left = [act]
    return lambda: left.pop()() if left else None


def shown(item: Item) -> list[int] | str:
    return [event.seq for event in item.page.events] or item.progress.name


async def soon(items: AsyncGenerator[Any], count: int) -> list[Any]:
    """The next items, none of which waits for a heartbeat."""
    async with asyncio.timeout(60):
        return [await anext(items) for _ in range(count)]


async def test_an_event_committed_while_the_end_is_read_is_not_waited_for() -> None:
    run = Run(recorded(1))
    items = run.follow()
    first = await soon(items, 2)

    run.grow()
    run.during_read = once(run.grow)

    assert [shown(item) for item in [*first, *await soon(items, 2)]] == [
        [1],
        "CAUGHT_UP",
        [2],
        [3],
    ]


async def test_an_event_committed_during_the_very_first_read_is_not_waited_for() -> None:
    run = Run()
    items = run.follow(wait_for_run=True)
    run.during_read = once(run.grow)

    assert [shown(item) for item in await soon(items, 2)] == ["CAUGHT_UP", [1]]


async def test_a_run_saved_while_it_is_looked_for_is_not_waited_for() -> None:
    run = Run()
    run.exists = False

    def save() -> None:
        run.exists = True
        run.grow()

    run.during_read = once(save)

    items = run.follow(wait_for_run=True)

    assert [shown(item) for item in await soon(items, 2)] == ["CAUGHT_UP", [1]]


async def test_a_run_completed_while_its_end_is_read_ends_the_stream() -> None:
    run = Run(recorded(1))
    items = run.follow()
    await soon(items, 2)

    def complete() -> None:
        run.outcome = Outcome.SUCCEEDED
        run.grow()

    run.during_read = once(complete)
    run.grow()

    assert [shown(item) for item in await soon(items, 3)] == [[2], [3], "END_OF_RUN"]


async def test_a_heartbeat_promises_only_what_was_read() -> None:
    run = Run(recorded(1), recorded(2))
    items = run.follow(heartbeat_seconds=0.0)
    await soon(items, 2)

    run.events.append(recorded(3))  # no wake-up yet
    (silence,) = await soon(items, 1)

    assert (silence.progress, silence.page.last_seq) == (Progress.HEARTBEAT, 2)
    assert silence.page.next_from_seq == 3
    await items.aclose()


async def test_a_heartbeat_comes_when_its_time_is_up_whatever_is_not_selected(
    clock: Clock,
) -> None:
    run = Run()

    def grow_slowly() -> None:
        clock.passes()
        run.grow()

    run.during_read = grow_slowly

    items = run.follow(where=EventFilter(types=("other",)), heartbeat_seconds=2 * SECONDS + 0.5)

    seen = [(shown(item), item.page.last_seq) for item in await soon(items, 3)]
    assert seen == [("CAUGHT_UP", 0), ("HEARTBEAT", 3), ("HEARTBEAT", 6)]
    await items.aclose()


async def test_a_stream_that_is_behind_neither_beats_nor_is_caught_up() -> None:
    run = Run(*(recorded(seq) for seq in range(1, 601)))
    items = run.follow(heartbeat_seconds=0.0)

    found = [shown(item) for item in await soon(items, 4)]

    assert found == [
        list(range(1, 257)),
        list(range(257, 513)),
        list(range(513, 601)),
        "CAUGHT_UP",
    ]
    await items.aclose()


async def test_a_stream_that_fell_behind_says_when_it_has_caught_up_again() -> None:
    run = Run(recorded(1))
    items = run.follow()
    await soon(items, 2)

    run.grow(300)

    found = [shown(item) for item in await soon(items, 3)]
    assert found == [list(range(2, 258)), list(range(258, 302)), "CAUGHT_UP"]


async def test_events_that_are_not_selected_move_the_place_to_resume_at() -> None:
    run = Run(recorded(1), recorded(2, "other"))

    items = run.follow(where=EventFilter(types=("tick",)), heartbeat_seconds=0.0)

    places = [(shown(item), item.page.next_from_seq) for item in await soon(items, 3)]
    assert places == [([1], 3), ("CAUGHT_UP", 3), ("HEARTBEAT", 3)]
    await items.aclose()


@pytest.mark.parametrize("follows", [True, False])
async def test_a_draining_server_hands_over_what_it_has_read_first(follows: bool) -> None:
    lifecycle, run = Lifecycle(), Run(recorded(1))
    run.during_read = once(lifecycle.draining.set)
    items = run.follow(lifecycle, follow=follows)

    (batch,) = await soon(items, 1)

    assert shown(batch) == [1]
    with pytest.raises(ServerDraining):
        await anext(items)


async def test_an_unknown_run_is_refused_before_its_tail_is_opened() -> None:
    run = Run()
    run.exists = False

    with pytest.raises(RunNotFound):
        await anext(run.follow())


class Feed:
    """A feed whose pages are scripted; what a page comes with happens before it is returned."""

    def __init__(self) -> None:
        self.published = Signal()
        self.asked: list[int] = []
        self._pages: list[tuple[FeedPage, Callable[[], object]]] = []

    def answers(
        self,
        *positions: int,
        next_position: int,
        last_position: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        found = tuple(entry(position) for position in positions)
        self._pages.append((FeedPage(found, next_position, last_position), meanwhile))

    async def read_feed(self, project: str, from_position: int, **_: object) -> FeedPage:
        self.asked.append(from_position)
        page, meanwhile = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
        meanwhile()
        return page

    def follow(
        self,
        lifecycle: Lifecycle | None = None,
        *,
        from_position: int = 0,
        heartbeat_seconds: float = NEVER,
    ) -> AsyncGenerator[feed_stream.FeedItem]:
        return feed_stream.follow(
            self,  # type: ignore[arg-type]
            lifecycle or Lifecycle(),
            "acme",
            from_position,
            where=EVERY_ENTRY,
            heartbeat_seconds=heartbeat_seconds,
            room=UNREAD.room("client"),
        )


def positions(item: feed_stream.FeedItem) -> list[int] | Live | Silence:
    return item if isinstance(item, Live | Silence) else [each.position for each in item]


async def test_an_entry_published_while_the_end_is_read_is_not_waited_for() -> None:
    feed = Feed()
    feed.answers(next_position=1, last_position=0, meanwhile=feed.published.wake)
    feed.answers(1, next_position=2, last_position=1, meanwhile=feed.published.wake)
    feed.answers(2, next_position=3, last_position=2)

    found = await soon(feed.follow(), 3)

    assert [positions(item) for item in found] == [Live(0), [1], [2]]
    assert feed.asked == [1, 1, 2]


async def test_a_silence_promises_only_what_was_scanned() -> None:
    feed = Feed()
    feed.answers(next_position=100, last_position=1000)
    feed.answers(next_position=200, last_position=1000)
    feed.answers(250, next_position=300, last_position=1000)

    items = feed.follow(heartbeat_seconds=0.0)

    found = [positions(item) for item in await soon(items, 4)]
    assert found == [Silence(99), Silence(199), [250], Silence(299)]
    assert feed.asked == [1, 100, 200]
    await items.aclose()


async def test_a_silence_comes_when_its_time_is_up_since_the_last_item(clock: Clock) -> None:
    feed = Feed()
    for number in range(1, 9):
        entries = [number * 100 - 1] if number == 5 else []
        feed.answers(
            *entries, next_position=number * 100, last_position=1000, meanwhile=clock.passes
        )

    items = feed.follow(heartbeat_seconds=2 * SECONDS + 0.5)

    found = [positions(item) for item in await soon(items, 3)]
    assert found == [Silence(299), [499], Silence(799)]
    await items.aclose()


async def test_a_page_that_does_not_reach_the_end_is_followed_by_the_next_at_once() -> None:
    feed = Feed()
    feed.answers(1, next_position=2, last_position=3)
    feed.answers(2, next_position=3, last_position=3)
    feed.answers(3, next_position=4, last_position=3)

    found = await soon(feed.follow(from_position=1), 4)

    assert [positions(item) for item in found] == [[1], [2], [3], Live(3)]


async def test_a_follower_that_fell_behind_is_live_again_when_it_has_caught_up() -> None:
    feed = Feed()
    feed.answers(next_position=1, last_position=0, meanwhile=feed.published.wake)
    feed.answers(1, next_position=2, last_position=3)
    feed.answers(2, 3, next_position=4, last_position=3)

    found = await soon(feed.follow(), 4)

    assert [positions(item) for item in found] == [Live(0), [1], [2, 3], Live(3)]


async def test_a_follower_that_only_skipped_entries_stays_live() -> None:
    feed = Feed()
    feed.answers(next_position=1, last_position=0, meanwhile=feed.published.wake)
    feed.answers(next_position=10, last_position=20)
    feed.answers(15, next_position=21, last_position=20)

    found = await soon(feed.follow(), 2)

    assert [positions(item) for item in found] == [Live(0), [15]]


async def test_a_draining_server_hands_over_the_entries_it_has_read_first() -> None:
    feed, lifecycle = Feed(), Lifecycle()
    feed.answers(1, next_position=2, last_position=1, meanwhile=lifecycle.draining.set)
    items = feed.follow(lifecycle)

    (batch,) = await soon(items, 1)

    assert positions(batch) == [1]
    with pytest.raises(ServerDraining):
        await anext(items)


def ids(text: str) -> list[str]:
    return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]


def page(*seqs: int, next_from_seq: int, last_seq: int = 9) -> EventPage:
    events = tuple(recorded(seq) for seq in seqs)
    return EventPage(
        events, next_from_seq, last_seq, is_completed=False, outcome=Outcome.UNSPECIFIED
    )


@pytest.mark.parametrize("progress", [Progress.CAUGHT_UP, Progress.HEARTBEAT])
def test_an_id_says_how_far_the_run_was_read_and_not_where_it_ends(progress: Progress) -> None:
    encoder = EventEncoder(from_seq=3)

    texts = [
        encoder.text(Item(Progress.EVENTS, page(3, 4, next_from_seq=7))),
        encoder.text(Item(progress, page(next_from_seq=7))),
        encoder.text(Item(progress, page(next_from_seq=7))),
    ]

    assert [ids(text) for text in texts] == [["3", "4"], ["6"], []]
    assert encoder.draining() == 'event: draining\ndata: {"next_from_seq":7}\n\n'


def test_a_reader_that_waits_for_a_later_seq_gets_no_id() -> None:
    encoder = EventEncoder(from_seq=12)

    text = encoder.text(Item(Progress.HEARTBEAT, page(next_from_seq=12)))

    assert ids(text) == []
    assert text.startswith(": heartbeat 9\n")


@pytest.mark.parametrize("kind", [Live, Silence])
def test_an_id_says_how_far_the_feed_was_read(kind: type[Live] | type[Silence]) -> None:
    encoder = FeedEncoder(from_position=3)

    texts = [
        encoder.text((entry(3), entry(5))),
        encoder.text(kind(8)),
        encoder.text(kind(8)),
    ]

    assert [ids(text) for text in texts] == [["3", "5"], ["8"], []]
    assert encoder.draining() == 'event: draining\ndata: {"next_position":9}\n\n'
