"""Workers take turns at a duty, survive failures, and give it up when they stop."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from runstore_server.relay.pacing import LITTLE, Pace
from runstore_server.relay.worker import DutyWorker
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.signals import Signal
from runstore_storage.postgres import PostgresStore


class Work:
    """Counts steps by their holder."""

    def __init__(self, feed: object, name: str) -> None:
        self.feed = feed
        self.name = name
        self.holders: list[str] = []
        self.stepped = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, holder: str) -> int | None:
        self.stepped.set()
        if self.failure:
            failure, self.failure = self.failure, None
            raise failure
        self.holders.append(holder)
        return 0

    async def one_more(self) -> None:
        self.stepped.clear()
        async with asyncio.timeout(60):
            await self.stepped.wait()


@pytest.fixture
def duty() -> str:
    return f"test-{uuid4().hex[:8]}"


@pytest.fixture
async def workers(store: PostgresStore, duty: str) -> AsyncIterator[list[tuple[DutyWorker, Work]]]:
    made = []
    for _ in range(2):
        work = Work(store.feed, duty)
        made.append((DutyWorker(store.feed, duty, work, Signal(), poll_seconds=0.05), work))
    yield made
    for worker, _ in made:
        await worker.stop()


async def test_one_worker_leads_and_the_next_takes_over_when_it_stops(
    workers: list[tuple[DutyWorker, Work]],
) -> None:
    (first, its), (second, others) = workers
    first.start()
    await its.one_more()
    second.start()
    await its.one_more()
    assert (first.is_leading, second.is_leading, others.holders) == (True, False, [])

    await first.stop()
    await others.one_more()

    assert (first.is_leading, second.is_leading) == (False, True)
    assert len({*its.holders}) == len({*others.holders}) == 1
    assert {*its.holders} != {*others.holders}


@pytest.mark.parametrize("failure", [StorageUnavailable(), RuntimeError("a defect")])
async def test_a_step_that_fails_is_tried_again(
    workers: list[tuple[DutyWorker, Work]], failure: Exception
) -> None:
    worker, work = workers[0]
    work.failure = failure
    worker.start()

    await work.one_more()
    await work.one_more()

    assert worker.is_leading


async def test_a_duty_that_fails_here_is_left_to_others(
    workers: list[tuple[DutyWorker, Work]], store: PostgresStore, duty: str
) -> None:
    tried = asyncio.Event()

    async def fails(_: str) -> int | None:
        tried.set()
        raise RuntimeError("a defect")

    failing = DutyWorker(store.feed, duty, fails, Signal(), poll_seconds=0.05)
    failing.start()
    await asyncio.wait_for(tried.wait(), 60)
    second, work = workers[0]
    second.start()

    await work.one_more()
    await failing.stop()

    assert second.is_leading


async def test_a_worker_that_lost_its_duty_stops_working(
    workers: list[tuple[DutyWorker, Work]], store: PostgresStore, duty: str
) -> None:
    worker, work = workers[0]
    worker.start()
    await work.one_more()
    await store.feed.release_duty(duty, work.holders[0])
    assert await store.feed.hold_duty(duty, "thief") == 0

    async with asyncio.timeout(60):
        while worker.is_leading:
            assert await store.feed.hold_duty(duty, "thief") == 0
            await asyncio.sleep(0.05)
    done = len(work.holders)
    await store.feed.release_duty(duty, "thief")
    await work.one_more()

    assert worker.is_leading
    assert len(work.holders) >= done


@pytest.mark.parametrize(("done", "is_paused"), [(LITTLE, True), (LITTLE + 1, False)])
async def test_a_worker_that_did_little_pauses_until_someone_waits_for_it(
    store: PostgresStore, duty: str, *, done: int, is_paused: bool
) -> None:
    wakes, wanted, steps = Signal(), Signal(), Signal()

    async def step(_holder: str) -> int:
        await asyncio.sleep(0)
        steps.wake()
        return done

    worker = DutyWorker(
        store.feed, duty, step, wakes, poll_seconds=60, pace=Pace(0.0, 60.0, wanted, Signal())
    )
    worker.start()
    try:
        await steps.wait(0, 60)
        first = steps.mark
        wakes.wake()
        assert await steps.wait(first, 0.2) is not is_paused
        wanted.wake()
        assert await steps.wait(first, 60)
    finally:
        await worker.stop()
