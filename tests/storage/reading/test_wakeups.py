"""Wake-ups between processes: what is sent, what is heard, and what is made up for.

The connection is scripted, so that runs grow and notices come at the moments that matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import pytest
from conftest import make_store
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event, EventPage
from runstore_storage.contract.feed import RELAY
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import ScopedKey
from runstore_storage.postgres import PostgresStore
from runstore_storage.reading import wakeups as wakeups_module
from runstore_storage.reading.tails import EMPTY_PAGE, Tails, digest
from runstore_storage.reading.wakeups import DIGESTS_PER_NOTIFY, Wakeups
from runstore_storage.sql import feed
from scopes import tail_of

ONE, TWO = RunKey("p", "one"), RunKey("p", "two")
Heard = Callable[[object, int, str, object], None]


class Line:
    """A connection that notes what it is given to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, set[str]]] = []
        self.while_sending: Callable[[], None] = lambda: None
        self.hears: Heard | None = None
        self.listens = asyncio.Event()
        self.is_closing: Callable[[object], None] = lambda _: None
        self._sent = asyncio.Event()

    async def execute(self, _: str, channel: str = "", text: str = "") -> None:
        if channel:
            sender, _, names = text.partition(":")
            self.sent.append((sender, set(names.split(","))))
            self.while_sending()
            self._sent.set()

    async def add_listener(self, _: str, heard: Heard) -> None:
        self.hears = heard
        asyncio.get_running_loop().call_soon(self.listens.set)

    def hear(self, text: str) -> None:
        assert self.hears
        self.hears(None, 0, "channel", text)

    def add_termination_listener(self, closing: Callable[[object], None]) -> None:
        self.is_closing = closing

    async def close(self, **_: object) -> None:
        pass

    def is_closed(self) -> bool:
        return False

    def get_settings(self) -> object:
        return object()

    async def names(self, count: int) -> list[set[str]]:
        """What was sent, once that many notices were."""
        async with asyncio.timeout(60):
            while len(self.sent) < count:
                self._sent.clear()
                await self._sent.wait()
        return [names for _, names in self.sent]


class OneLine:
    """The connections of a store that has no other."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def open(self, _: str) -> Line:
        return self._line

    def used(self, _: object) -> AbstractContextManager[None]:
        return nullcontext()


async def nothing(*_: object) -> EventPage:
    return EMPTY_PAGE


async def no_heads(_: object) -> Mapping[ScopedKey, tuple[int, bool]]:
    return {}


@asynccontextmanager
async def connected(line: Line) -> AsyncIterator[tuple[Wakeups, Tails]]:
    tails = Tails(nothing, no_heads, poll_interval=3600)
    wakeups = Wakeups(OneLine(line), tails, schema="schema")  # type: ignore[arg-type]  # scripted
    try:
        yield wakeups, tails
    finally:
        await wakeups.close()
        await tails.close()


@asynccontextmanager
async def listening(line: Line) -> AsyncIterator[tuple[Wakeups, Tails]]:
    async with connected(line) as (wakeups, tails):
        async with asyncio.timeout(60):
            await line.listens.wait()
        yield wakeups, tails


async def test_a_check_of_the_connection_waits_for_a_notice_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wakeups_module, "CHECK_SECONDS", 0)

    class Busy(Line):
        """As the driver: refuses a statement while another is under way."""

        executing = 0
        overlaps = 0

        async def execute(self, statement: str, channel: str = "", text: str = "") -> None:
            self.executing += 1
            self.overlaps += self.executing > 1
            for _ in range(20):
                await asyncio.sleep(0)
            await super().execute(statement, channel, text)
            self.executing -= 1

    line = Busy()
    async with listening(line) as (wakeups, _):
        wakeups.announce([ONE])

        assert await line.names(1) == [{digest(ONE)}]
    assert not line.overlaps


async def test_runs_that_grow_together_share_a_notice() -> None:
    line = Line()
    async with listening(line) as (wakeups, _):
        wakeups.announce([ONE])
        wakeups.announce_appended({TWO: []})
        wakeups.announce_published()

        (names,) = await line.names(1)

    assert names == {digest(ONE), digest(TWO), "feed"}


async def test_a_run_that_grows_while_a_notice_is_sent_is_in_the_next() -> None:
    line = Line()
    async with listening(line) as (wakeups, _):

        def grow() -> None:
            line.while_sending = lambda: None
            wakeups.announce([TWO])

        line.while_sending = grow
        wakeups.announce([ONE])

        assert await line.names(2) == [{digest(ONE)}, {digest(TWO)}]


async def test_many_runs_are_named_in_several_notices() -> None:
    line, keys = Line(), [RunKey("p", f"run-{n}") for n in range(2 * DIGESTS_PER_NOTIFY + 1)]
    async with listening(line) as (wakeups, _):
        wakeups.announce(keys)

        names = await line.names(3)

    assert [len(each) for each in names] == [DIGESTS_PER_NOTIFY, DIGESTS_PER_NOTIFY, 1]
    assert set.union(*names) == {digest(key) for key in keys}


async def test_a_notice_of_another_process_wakes_its_runs_and_the_relay() -> None:
    line = Line()
    async with (
        listening(line) as (wakeups, tails),
        tail_of(tails, ONE) as one,
        tail_of(tails, TWO) as two,
    ):
        before = (one.mark, two.mark, wakeups.committed.mark, wakeups.published.mark)

        line.hear(f"other:{digest(ONE)},{'0' * 16}")

        after = (one.mark, two.mark, wakeups.committed.mark, wakeups.published.mark)
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 0, 1, 0]


async def test_a_notice_of_the_feed_wakes_its_followers_and_nothing_else() -> None:
    line = Line()
    async with listening(line) as (wakeups, tails), tail_of(tails, ONE) as one:
        before = (one.mark, wakeups.committed.mark, wakeups.published.mark)

        line.hear("other:feed")

        after = (one.mark, wakeups.committed.mark, wakeups.published.mark)
    assert [new - old for old, new in zip(before, after, strict=True)] == [0, 0, 1]


async def test_a_process_does_not_hear_itself() -> None:
    line = Line()
    async with listening(line) as (wakeups, tails), tail_of(tails, ONE) as one:
        wakeups.announce([ONE])
        await line.names(1)
        before = one.mark

        line.hear(f"{line.sent[0][0]}:{digest(ONE)}")

        assert one.mark == before


async def test_everything_is_woken_once_notices_can_be_heard_again() -> None:
    line = Line()
    async with connected(line) as (wakeups, tails), tail_of(tails, ONE) as one:
        signals = (one, wakeups.committed, wakeups.published)
        before = [each.mark for each in signals]

        async with asyncio.timeout(60):
            await line.listens.wait()

        assert [each.mark for each in signals] == [mark + 1 for mark in before]


@pytest.fixture
async def deaf(database_url: str, own_schema: str) -> AsyncIterator[PostgresStore]:
    """A store that hears no notice, and polls."""
    opened = make_store(database_url, own_schema, poll_interval=0.05)
    await opened._wakeups.close()
    yield opened
    await opened.close()


async def test_the_poll_wakes_followers_of_the_feed_that_no_notice_woke(
    own: PostgresStore, deaf: PostgresStore
) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.feed.hold_duty(RELAY, "me")
    for _ in range(2):
        mark = deaf.feed.published.mark
        await own.append_events(key, [Event("x")])
        await own.feed.publish("me")

        assert await deaf.feed.published.wait(mark, 60)


@pytest.mark.parametrize("failure", [StorageUnavailable(), RuntimeError("a defect")])
async def test_a_poll_of_the_feed_that_fails_is_followed_by_another(
    own: PostgresStore,
    deaf: PostgresStore,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures, have_failed = 0, asyncio.Event()

    async def last_position(_: object) -> int:
        nonlocal failures
        failures += 1
        if failures == 5:  # more often than there are stores
            have_failed.set()
        raise failure

    with monkeypatch.context() as failing:
        failing.setattr(feed, "last_position", last_position)
        async with asyncio.timeout(60):
            await have_failed.wait()
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.feed.hold_duty(RELAY, "me")
    await own.append_events(key, [Event("x")])
    mark = deaf.feed.published.mark
    await own.feed.publish("me")

    assert await deaf.feed.published.wait(mark, 60)


async def test_a_drain_is_not_kept_waiting_by_what_is_published_while_it_looks(
    database_url: str, own_schema: str
) -> None:
    store = make_store(database_url, own_schema, poll_interval=3600)
    try:
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.append_events(key, [Event("x")])
        await store.feed.hold_duty(RELAY, "me")
        signal = store.feed.published
        wait = signal.wait

        async def publish_first(mark: int, seconds: float) -> bool:
            await store.feed.publish("me")  # after the look, before the wait
            return await wait(mark, seconds)

        signal.wait = publish_first  # type: ignore[method-assign]
        async with asyncio.timeout(60):
            await store.feed.drain()

        assert (await store.feed.lag(RELAY)).events == 0
    finally:
        await store.close()
