"""Live tails: wake-ups within and between processes, and the poll that makes up for lost ones."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from conftest import make_store
from runstore_storage.contract.events import Event, EventFilter, EventPage
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore
from runstore_storage.reading.tails import WINDOW_EVENTS, RunTail

EVERYTHING = EventFilter()


@pytest.fixture
async def other(database_url: str, db_schema: str):
    """A second process's store, whose poll is too slow to help."""
    opened = make_store(database_url, db_schema, poll_interval=3600)
    async with opened.open_tail(RunKey("nobody", "nothing")) as tail:
        mark = tail.mark  # the listener wakes every tail once it listens
        await tail.wait(mark, 10)
    yield opened
    await opened.close()


async def drain(tail: RunTail, from_seq: int, upto: int) -> list[int]:
    seqs: list[int] = []
    while True:
        mark = tail.mark
        page = await tail.read(from_seq, limit=100, where=EVERYTHING)
        seqs += [event.seq for event in page.events]
        from_seq = page.next_from_seq
        if from_seq > upto:
            return seqs
        if page.reaches_end:
            assert await tail.wait(mark, 10), "the tail was not woken"


async def test_a_commit_here_wakes_a_tail_there(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    async with other.open_tail(key) as tail:
        reading = asyncio.create_task(drain(tail, 1, 50))

        for _ in range(50):
            await store.append_events(key, [Event("tick")])

        assert await reading == list(range(1, 51))


async def test_the_poll_finds_what_no_wake_up_announced(
    store: PostgresStore, database_url: str, db_schema: str, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    deaf = make_store(database_url, db_schema, poll_interval=0.1)
    await deaf._wakeups.close()
    try:
        async with deaf.open_tail(key) as tail:
            reading = asyncio.create_task(drain(tail, 1, 3))
            await store.append_events(key, [Event("a"), Event("b"), Event("c")])

            assert await reading == [1, 2, 3]
    finally:
        await deaf.close()


@pytest.fixture
async def reads(store: PostgresStore) -> AsyncIterator[list[int]]:
    """The first seqs that tails asked the database for."""
    found: list[int] = []
    read_events = store._tails._read_events

    async def counted(key: RunKey, from_seq: int, limit: int, where: EventFilter) -> EventPage:
        found.append(from_seq)
        return await read_events(key, from_seq, limit, where)

    store._tails._read_events = counted
    yield found
    store._tails._read_events = read_events


async def test_streams_of_a_run_share_its_reads(
    store: PostgresStore, other: PostgresStore, project: str, reads: list[int]
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    async with store.open_tail(key) as tail:
        await tail.read(1, limit=1, where=EVERYTHING)
        readers = [asyncio.create_task(drain(tail, 1, 10)) for _ in range(100)]
        await asyncio.sleep(0)
        await other.append_events(key, [Event("tick") for _ in range(10)])

        assert await asyncio.gather(*readers) == [list(range(1, 11))] * 100
    assert len(reads) < 10


async def test_events_committed_by_this_process_need_not_be_read(
    store: PostgresStore, other: PostgresStore, project: str, reads: list[int]
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    async with store.open_tail(key) as tail:
        await tail.read(1, limit=1, where=EVERYTHING)
        reads.clear()
        for _ in range(20):
            await store.append_events(key, [Event("tick"), Event("tock")])
            await tail.read(41, limit=1, where=EVERYTHING)
        reads_before = list(reads)
        await other.append_events(key, [Event("theirs")])
        await store.append_events(key, [Event("ours")])

        assert await drain(tail, 1, 42) == list(range(1, 43))
        page = await tail.read(1, limit=100, where=EVERYTHING)
    assert reads_before == []
    assert page.events == (await store.read_events(key, 1, limit=100)).events
    assert page.last_seq == 42


async def test_a_tail_holds_a_bounded_window_and_still_reads_everything(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    async with store.open_tail(key) as tail:
        await tail.read(1, limit=1, where=EVERYTHING)
        for _ in range(3):
            await store.append_events(key, [Event("tick") for _ in range(1000)])
            await tail.read(3001, limit=1, where=EVERYTHING)

        assert len(tail._window) <= WINDOW_EVENTS
        assert await drain(tail, 1, 3000) == list(range(1, 3001))


async def test_a_filtered_read_of_the_window_equals_one_of_the_table(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    where = EventFilter(types=("a",), tags=("x",))
    async with store.open_tail(key) as tail:
        await tail.read(1, limit=1, where=where)
        await store.append_events(
            key, [Event("ab"[n % 2], tags=("x", "y")[: n % 3]) for n in range(60)]
        )

        live = await tail.read(1, limit=100, where=where)

    assert live.events == (await store.read_events(key, 1, limit=100, where=where)).events
    assert len(live.events) == 20


async def test_a_tail_may_be_opened_before_its_run(store: PostgresStore, project: str) -> None:
    key = RunKey(project, "later")
    async with store.open_tail(key) as tail:
        mark = tail.mark
        page = await tail.read(1, limit=1, where=EVERYTHING)
        assert (page.last_seq, page.events) == (0, ())

        await store.save_run(NewRun(project, "later"))
        await store.append_events(key, [Event("a")])

        assert await tail.wait(mark, 10)
        assert await drain(tail, 1, 1) == [1]


async def test_a_tail_sees_the_end_of_its_run(store: PostgresStore, project: str) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    async with store.open_tail(key) as tail:
        await tail.read(1, limit=1, where=EVERYTHING)
        await store.complete_run(key, Completion(Outcome.FAILED))

        page = await tail.read(1, limit=1, where=EVERYTHING)

    assert (page.is_completed, page.outcome) == (True, Outcome.FAILED)


async def test_an_unused_tail_is_gone(store: PostgresStore, project: str) -> None:
    key = RunKey(project, "run")
    async with store.open_tail(key) as one, store.open_tail(key) as two:
        assert one is two

    assert key not in store._tails._open


@pytest.mark.timeout(20)
async def test_a_reader_that_arrives_as_a_stale_refresh_ends_does_not_block_the_loop() -> None:
    reading, answer = asyncio.Event(), asyncio.Event()

    async def read_events(*_: object) -> EventPage:
        reading.set()
        await answer.wait()
        return EventPage((), 1, 0, is_completed=False, outcome=Outcome.UNSPECIFIED)

    tail = RunTail(RunKey("nobody", "nothing"), read_events)
    first = asyncio.create_task(tail.read(1, limit=1, where=EVERYTHING))
    await reading.wait()
    tail.wake()  # what is being read is old already
    answer.set()  # the refresh ends in the loop's next turn, and in the same turn another reads
    second = asyncio.create_task(tail.read(1, limit=1, where=EVERYTHING))

    pages = await asyncio.gather(first, second)

    assert [page.last_seq for page in pages] == [0, 0]


async def test_a_reader_sees_the_end_that_another_is_reading() -> None:
    key, asked, answer = RunKey("project", "run"), asyncio.Event(), asyncio.Event()
    ends = [
        EventPage((), 1, 0, is_completed=False, outcome=Outcome.UNSPECIFIED),
        EventPage((), 1, 0, is_completed=True, outcome=Outcome.SUCCEEDED),
    ]

    async def read_events(*arguments: object) -> EventPage:
        if len(ends) == 1:
            asked.set()
            await answer.wait()
        return ends.pop(0)

    tail = RunTail(key, read_events)
    await tail.read(1, limit=1, where=EVERYTHING)
    tail.wake()
    first = asyncio.create_task(tail.read(1, limit=1, where=EVERYTHING))
    await asked.wait()

    # Its mark says that it knows the end, so nothing wakes it for that again.
    second = asyncio.create_task(tail.read(1, limit=1, where=EVERYTHING))
    await asyncio.sleep(0)
    answer.set()

    assert [(await each).is_completed for each in (first, second)] == [True, True]
