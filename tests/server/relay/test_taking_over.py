"""Delivery is stopped at each of its steps, and a worker loses its duty in the middle of its work.

The feed is a small model here, which notices a position that is beyond what was delivered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from entries import entry
from runstore_server.relay.delivery import Delivery
from runstore_server.relay.worker import DutyWorker
from runstore_server.settings import Settings
from runstore_server.sinks.backoff import Backoff
from runstore_server.sinks.run_queues import deliver_in_run_queues
from runstore_server.sinks.sink import Undelivered
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import DeadLetter, FeedEntry, FeedPage, sink_duty
from runstore_storage.contract.signals import Signal

ME, OTHER = "me", "other"
PAGE = 3
LOST, FAILS_ONCE, FAILS_OFTEN, REFUSED = 3, 2, 5, 7
ENTRIES = tuple(
    replace(entry(position, run_id="ab"[position % 2]), is_payload_lost=position == LOST)
    for position in range(1, 9)
)


async def nothing() -> None:
    pass


class Feed:
    """One duty and what is recorded under it; `before_call` is awaited before each call."""

    def __init__(self) -> None:
        self.published = Signal()
        self.position = 0
        self.holder = ""
        self.letters: list[DeadLetter] = []
        self.taken: list[FeedEntry] = []
        self.before_call: Callable[[], Awaitable[None]] = nothing

    async def hold_duty(self, _: str, holder: str) -> int | None:
        await self.before_call()
        if self.holder not in {"", holder}:
            return None
        self.holder = holder
        return self.position

    async def release_duty(self, _: str, holder: str) -> None:
        await self.before_call()
        if self.holder == holder:
            self.holder = ""

    async def read_for_duty(
        self, project: str, from_position: int, *, limit: int, **_: object
    ) -> FeedPage:
        await self.before_call()
        found = tuple(each for each in ENTRIES if each.position >= from_position)[:PAGE]
        last = ENTRIES[-1].position
        return FeedPage(found, found[-1].position + 1 if found else last + 1, last)

    async def bury(self, holder: str, letters: Sequence[DeadLetter]) -> int | None:
        await self.before_call()
        if self.holder != holder:
            return None
        known = {each.position for each in self.letters}
        self.letters += [each for each in letters if each.position not in known]
        return self.position

    async def advance_duty(self, _: str, holder: str, position: int) -> int | None:
        await self.before_call()
        if self.holder != holder:
            return None
        done = {each.position for each in self.taken} | {each.position for each in self.letters}
        skipped = {each.position for each in ENTRIES if each.position <= position} - done
        assert skipped == set(), "a position beyond what was delivered"
        self.position = position
        return position


class Receiver:
    """A sink whose receiver takes most entries at once."""

    name = "out"
    max_attempts = 3

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.attempts: list[int] = []

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        return await deliver_in_run_queues(entries, self._attempt, concurrency=2)

    async def _attempt(self, each: FeedEntry) -> None:
        self.attempts.append(each.position)
        if each.position == REFUSED:
            raise Undelivered("refused", is_final=True)
        if each.position == FAILS_ONCE and self.attempts.count(FAILS_ONCE) == 1:
            raise Undelivered("busy")
        if each.position == FAILS_OFTEN:
            raise Undelivered("broken")
        self._feed.taken.append(each)

    async def close(self) -> None:
        pass


def delivering(feed: Feed) -> Delivery:
    (settings,) = Settings.model_validate(
        {"sinks": [{"name": "out", "kind": "webhook", "url": "http://localhost"}]}
    ).sinks
    delivery = Delivery(feed, settings, Receiver(feed), Counter())  # type: ignore[arg-type]
    delivery._backoff = Backoff(first=0.0)
    return delivery


async def finish(feed: Feed, holder: str) -> None:
    delivery = delivering(feed)
    while done := await delivery.step(holder):
        assert done > 0
    assert done == 0


def prove_all_delivered(feed: Feed) -> None:
    """Everything was delivered, in its run's order, or given up, once."""
    taken = list(dict.fromkeys(each.position for each in feed.taken))
    assert sorted(each.position for each in feed.letters) == [LOST, FAILS_OFTEN, REFUSED]
    assert sorted(taken) == [1, 2, 4, 6, 8]
    for run in (0, 1):
        of_run = [position for position in taken if position % 2 == run]
        assert of_run == sorted(of_run)
    assert feed.position == ENTRIES[-1].position


async def calls_of_a_delivery() -> int:
    feed, count = Feed(), 0

    async def counted() -> None:
        nonlocal count
        count += 1

    feed.before_call = counted
    await finish(feed, ME)
    prove_all_delivered(feed)
    return count


def at_call(number: int, act: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Act before the call with that number, and before no other."""
    left = number

    async def count() -> None:
        nonlocal left
        left -= 1
        if left == -1:
            await act()

    return count


async def test_the_next_process_delivers_what_a_dead_one_did_not() -> None:
    async def die() -> None:
        raise asyncio.CancelledError

    for number in range(await calls_of_a_delivery()):
        feed = Feed()
        feed.before_call = at_call(number, die)
        with pytest.raises(asyncio.CancelledError):
            await finish(feed, ME)
        feed.holder = ""  # its lease is over

        await finish(feed, OTHER)

        prove_all_delivered(feed)


async def test_a_process_that_lost_its_sink_records_nothing_more_and_stops() -> None:
    calls = await calls_of_a_delivery()
    for number in range(calls):
        feed = Feed()

        async def take_over(feed: Feed = feed) -> None:
            feed.holder = ""  # the lease is over
            await finish(feed, OTHER)

        feed.before_call = at_call(number, take_over)
        delivery = delivering(feed)
        while done := await delivery.step(ME):
            pass

        # Only a look that finds nothing more, the last call, does not tell.
        assert (done is None) == (number < calls - 1)
        assert await delivery.step(ME) is None
        assert feed.holder == OTHER
        prove_all_delivered(feed)


async def test_the_position_stops_before_the_first_entry_that_is_not_delivered() -> None:
    feed = Feed()
    reached: list[int] = []
    advance = feed.advance_duty

    async def noted(name: str, holder: str, position: int) -> int | None:
        reached.append(position)
        return await advance(name, holder, position)

    feed.advance_duty = noted  # type: ignore[method-assign]
    assert await delivering(feed).step(ME) == PAGE

    assert reached == [1, PAGE]


async def test_a_delivery_that_nothing_disturbs_reads_and_sends_each_entry_once() -> None:
    feed = Feed()
    read, begun = feed.read_for_duty, list[int]()

    async def noted(project: str, from_position: int, **how: object) -> FeedPage:
        begun.append(from_position)
        return await read(project, from_position, **how)  # type: ignore[arg-type]

    feed.read_for_duty = noted  # type: ignore[assignment, method-assign]
    await finish(feed, ME)

    assert begun == [1, 1 + PAGE, 1 + 2 * PAGE, 9]
    assert [each.position for each in feed.taken] == [1, 2, 4, 6, 8]


async def test_attempts_are_counted_for_each_entry_until_it_is_given_up() -> None:
    feed = Feed()

    await finish(feed, ME)

    found = {each.position: (each.attempts, each.error) for each in feed.letters}
    assert found == {
        LOST: (0, "the payload is lost"),
        FAILS_OFTEN: (3, "broken"),
        REFUSED: (1, "refused"),
    }


class Asking(Receiver):
    """A receiver that at first asks for a pause, a longer one with each entry."""

    async def _attempt(self, each: FeedEntry) -> None:
        self.attempts.append(each.position)
        if self.attempts.count(each.position) == 1:
            raise Undelivered("busy", retry_after=each.position / 8)
        self._feed.taken.append(each)


async def test_the_longest_pause_that_was_asked_for_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("runstore_server.relay.delivery.asyncio", SimpleNamespace(sleep=sleep))
    feed = Feed()
    delivery = delivering(feed)
    delivery._sink = Asking(feed)

    assert await delivery.step(ME) == PAGE

    assert len(slept) == 1
    assert 2 / 8 <= slept[0] <= 2 / 8 * 1.1


class Unreachable(Receiver):
    """A receiver that nothing can be sent to at first."""

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        self.attempts.append(entries[0].position)
        if len(self.attempts) > 3:
            self._feed.taken += entries
            return [None] * len(entries)
        asked = {2: 0.4}.get(len(self.attempts))
        return [Undelivered("down", is_attempted=False, retry_after=asked) for _ in entries]


async def test_a_receiver_that_cannot_be_reached_is_tried_less_and_less_often() -> None:
    feed = Feed()
    delivery = delivering(feed)
    delivery._sink = Unreachable(feed)
    waits: list[float] = []
    delivery._backoff = NotedBackoff(waits)  # type: ignore[assignment]

    assert await delivery.step(ME) == PAGE

    assert waits == [1.0, 2.4, 3.0]
    assert [each.position for each in feed.letters] == [LOST]


class NotedBackoff:
    """Notes a second for each attempt, and what was asked for; waits for none of it."""

    def __init__(self, noted: list[float]) -> None:
        self._noted = noted

    def wait(self, attempts: int, *, retry_after: float | None = None) -> float:
        self._noted.append(attempts + (retry_after or 0.0))
        return 0.0


@pytest.fixture
async def feed() -> Feed:
    return Feed()


@pytest.fixture
async def started() -> AsyncIterator[list[DutyWorker]]:
    made: list[DutyWorker] = []
    yield made
    for worker in made:
        await worker.stop()


@pytest.fixture(autouse=True)
def renew_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstore_server.relay.worker.RENEW_SECONDS", 0.01)
    monkeypatch.setattr("runstore_server.relay.worker.RETRY_SECONDS", 0.01)


def start(
    feed: Feed,
    step: Callable[[str], Awaitable[int | None]],
    started: list[DutyWorker],
    **more: object,
) -> DutyWorker:
    worker = DutyWorker(
        feed,  # type: ignore[arg-type]
        sink_duty("out"),
        step,
        feed.published,
        **{"poll_seconds": 3600.0, **more},  # type: ignore[arg-type]
    )
    worker.start()
    started.append(worker)
    return worker


async def test_a_step_is_cut_short_when_its_duty_is_lost(
    feed: Feed, started: list[DutyWorker]
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: str) -> int | None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    worker = start(feed, hang, started)
    async with asyncio.timeout(60):
        await began.wait()
        feed.holder = OTHER
        await ended.wait()
        await asyncio.sleep(0)

    assert not worker.is_leading
    assert feed.holder == OTHER


async def test_a_step_that_finds_its_duty_lost_is_the_last(
    feed: Feed, started: list[DutyWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_server.relay.worker.RENEW_SECONDS", 3600.0)
    steps: list[int | None] = [1, 2, None]
    holders: list[str] = []
    is_asked_again = asyncio.Event()

    async def step(holder: str) -> int | None:
        holders.append(holder)
        done = steps.pop(0)
        if done is None:
            feed.holder = OTHER
            feed.before_call = asked_again
        return done

    async def asked_again() -> None:
        is_asked_again.set()

    worker = start(feed, step, started)
    async with asyncio.timeout(60):
        await is_asked_again.wait()

    assert not worker.is_leading
    assert (worker.done, steps, len(set(holders))) == (3, [], 1)
    assert feed.holder == OTHER


async def test_what_comes_during_a_step_that_finds_nothing_is_done_at_once(
    feed: Feed, started: list[DutyWorker]
) -> None:
    twice = asyncio.Event()
    steps = 0

    async def step(_: str) -> int | None:
        nonlocal steps
        steps += 1
        if steps == 1:
            feed.published.wake()  # an entry that this step has not seen
        else:
            twice.set()
        return 0

    start(feed, step, started)

    async with asyncio.timeout(60):
        await twice.wait()


@pytest.mark.parametrize("failure", [StorageUnavailable(), RuntimeError("a defect")])
async def test_a_step_that_fails_gives_up_no_duty_of_another_process(
    feed: Feed, started: list[DutyWorker], failure: Exception
) -> None:
    is_asked_again = asyncio.Event()

    async def asked_again() -> None:
        is_asked_again.set()

    async def step(_: str) -> int | None:
        feed.holder = OTHER  # the lease was over
        feed.before_call = asked_again
        raise failure

    worker = start(feed, step, started)
    async with asyncio.timeout(60):
        await is_asked_again.wait()

    assert not worker.is_leading
    assert feed.holder == OTHER


async def test_a_worker_that_stops_in_the_middle_of_a_step_gives_its_duty_up(feed: Feed) -> None:
    began = asyncio.Event()

    async def hang(_: str) -> int | None:
        began.set()
        await asyncio.Event().wait()
        return 0

    worker = start(feed, hang, [])
    async with asyncio.timeout(60):
        await began.wait()
        await worker.stop()

    assert feed.holder == ""
    assert not worker.is_leading


async def test_a_duty_is_given_up_after_the_last_of_its_step(feed: Feed) -> None:
    began = asyncio.Event()
    done: list[str] = []
    release = feed.release_duty

    async def step(_: str) -> int | None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(9):
                await asyncio.sleep(0)
            done.append("step ended")
        return 0

    async def noted(name: str, holder: str) -> None:
        done.append("released")
        await release(name, holder)

    feed.release_duty = noted  # type: ignore[method-assign]
    worker = start(feed, step, [])
    async with asyncio.timeout(60):
        await began.wait()
        await worker.stop()

    assert done == ["step ended", "released"]


async def test_a_worker_that_stops_leaves_the_duty_of_another_process(feed: Feed) -> None:
    feed.holder = OTHER
    worker = start(feed, lambda _: asyncio.sleep(0, 0), [])

    await worker.stop()

    assert feed.holder == OTHER
