"""Live tails: wake-ups within and between processes, and the poll that makes up for lost ones."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime

import pytest
from conftest import make_store
from runstore_storage.contract.errors import RunNotFound, StorageUnavailable
from runstore_storage.contract.events import Event, EventFilter, EventPage, RecordedEvent
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.scope import ScopedKey, own
from runstore_storage.contract.snapshots import Snapshot, SnapshotReason
from runstore_storage.postgres import PostgresStore
from runstore_storage.reading import tails as tails_module
from runstore_storage.reading import windows
from runstore_storage.reading.tails import WINDOW_EVENTS, RunTail, Tails
from scopes import tail_of

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


WRITES: dict[str, tuple[Callable[[PostgresStore, RunKey], Awaitable[object]], bool]] = {
    "an append": (lambda store, key: store.append_events(key, [Event("x")]), True),
    "a step": (lambda store, key: store.put_snapshot(key, Snapshot(), events=[Event("x")]), True),
    "a pause": (
        lambda store, key: store.put_snapshot(key, Snapshot(reason=SnapshotReason.PAUSE)),
        True,
    ),
    "a snapshot": (lambda store, key: store.put_snapshot(key, Snapshot()), False),
    "a resume": (lambda store, key: resume(store, key, "new"), True),
    "a repeated resume": (lambda store, key: resume(store, key, "known"), False),
    "its end": (lambda store, key: store.complete_run(key, Completion(Outcome.FAILED)), True),
    "its birth": (lambda store, key: store.save_run(NewRun(key.project, "later")), True),
    "its birth as a fork": (
        lambda store, key: store.fork_run(NewFork(RunKey(key.project, "run"), 0, "later")),
        True,
    ),
    "a repeated birth": (lambda store, key: store.save_run(NewRun(key.project, "run")), False),
}


async def resume(store: PostgresStore, key: RunKey, request_id: str) -> object:
    return await store.resume_run(key, namespace="", request_id=request_id, actor="", limit=1)


@pytest.mark.parametrize("what", WRITES)
async def test_a_run_that_grew_has_woken_its_tail_when_the_write_is_answered(
    other: PostgresStore, project: str, what: str
) -> None:
    write, grows = WRITES[what]
    key = (await other.save_run(NewRun(project, "run"))).run.key
    await resume(other, key, "known")
    followed = RunKey(project, "later") if "birth" in what and grows else key

    async with other.open_tail(followed) as tail:
        mark = tail.mark
        await write(other, key)
        woken = tail.mark != mark

    assert woken is grows


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


@contextmanager
def counted_reads(store: PostgresStore) -> Iterator[list[int]]:
    """The first seqs that tails ask the database for."""
    found: list[int] = []
    read_events = store._tails._read_events

    async def counted(
        key: RunKey, from_seq: int, limit: int, where: EventFilter, read_archive: bool
    ) -> EventPage:
        found.append(from_seq)
        return await read_events(key, from_seq, limit, where, read_archive)

    store._tails._read_events = counted
    yield found
    store._tails._read_events = read_events


@pytest.fixture
def reads(store: PostgresStore) -> Iterator[list[int]]:
    with counted_reads(store) as found:
        yield found


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
    assert len(reads) < 50


async def test_events_committed_by_this_process_need_not_be_read(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    # `other` is this process here: a poll may see a commit before its process has been told of it.
    key = (await other.save_run(NewRun(project, "run"))).run.key
    with counted_reads(other) as reads:
        async with other.open_tail(key) as tail:
            await tail.read(1, limit=1, where=EVERYTHING)
            reads.clear()
            for _ in range(20):
                await other.append_events(key, [Event("tick"), Event("tock")])
                await tail.read(41, limit=1, where=EVERYTHING)
            reads_before = list(reads)
            await store.append_events(key, [Event("theirs")])
            await other.append_events(key, [Event("ours")])

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


@pytest.mark.timeout(60)
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


async def no_heads(keys: Collection[ScopedKey]) -> Mapping[ScopedKey, tuple[int, bool]]:
    return {}


class Scripted:
    """A run that a tail reads; `during_read` happens before a read returns its answer."""

    def __init__(self, *seqs: int) -> None:
        self.events = [recorded(seq) for seq in seqs]
        self.reads: list[int] = []
        self.during_read: list[Callable[[], None]] = []

    async def __call__(
        self, key: RunKey, from_seq: int, limit: int, where: EventFilter, read_archive: bool
    ) -> EventPage:
        self.reads.append(from_seq)
        last = self.events[-1].seq if self.events else 0
        found = tuple(each for each in self.events if each.seq >= from_seq)[:limit]
        page = EventPage(
            found,
            found[-1].seq + 1 if found else max(from_seq, last + 1),
            last,
            is_completed=False,
            outcome=Outcome.UNSPECIFIED,
        )
        await asyncio.sleep(0)
        if self.during_read:
            self.during_read.pop(0)()
        return page


def recorded(seq: int, size: int = 0) -> RecordedEvent:
    payload = Payload(bytes(size)) if size else None
    return RecordedEvent(
        seq, datetime(2026, 1, 1, tzinfo=UTC), bytes(32), Event("x", payload=payload)
    )


async def seqs_from(tail: RunTail, from_seq: int) -> list[int]:
    async with asyncio.timeout(60):
        page = await tail.read(from_seq, limit=100, where=EVERYTHING)
    return [event.seq for event in page.events]


async def test_what_grows_while_the_end_is_read_is_in_the_answer() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    assert await seqs_from(tail, 2) == []

    def grow() -> None:
        run.events.append(recorded(3))
        tail.wake()

    run.events.append(recorded(2))
    tail.wake()
    run.during_read = [grow]

    assert await seqs_from(tail, 2) == [2, 3]


async def test_what_is_committed_here_while_the_end_is_read_is_read_again() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)

    def commit() -> None:
        run.events.append(recorded(3))
        tail.push([recorded(3)])

    run.events.append(recorded(2))
    tail.wake()
    run.during_read = [commit]

    assert await seqs_from(tail, 2) == [2, 3]


@pytest.mark.parametrize("pushed", [[4], [2, 3]])
async def test_a_push_that_leaves_a_gap_or_repeats_is_read_instead(pushed: list[int]) -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)
    tail.push([recorded(2)])
    mark = tail.mark
    run.events = [recorded(seq) for seq in range(1, 5)]

    tail.push([recorded(seq) for seq in pushed])

    assert tail.mark != mark
    assert await seqs_from(tail, 2) == [2, 3, 4]


async def test_a_push_that_follows_on_wakes_its_readers_and_is_not_read() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)
    mark, reads = tail.mark, list(run.reads)

    tail.push([recorded(2), recorded(3)])

    assert tail.mark != mark
    assert await seqs_from(tail, 2) == [2, 3]
    assert await seqs_from(tail, 3) == [3]
    assert await seqs_from(tail, 4) == []
    assert run.reads == reads


async def test_a_push_to_a_tail_that_was_never_read_is_read() -> None:
    run = Scripted(1, 2)
    tail = RunTail(RunKey("p", "run"), run)

    tail.push([recorded(2)])

    assert await seqs_from(tail, 1) == [1, 2]


async def test_a_refresh_that_fails_leaves_the_tail_to_be_read_again() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)

    def fail() -> None:
        raise StorageUnavailable

    run.events.append(recorded(2))
    tail.wake()
    run.during_read = [fail]

    with pytest.raises(StorageUnavailable):
        await seqs_from(tail, 2)
    assert await seqs_from(tail, 2) == [2]


async def test_a_run_that_is_gone_is_an_empty_page_and_found_when_it_is_back() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)

    def vanish() -> None:
        raise RunNotFound(tail.key)

    tail.wake()
    run.during_read = [vanish]
    page = await tail.read(5, limit=1, where=EVERYTHING)
    tail.wake()

    assert (page.events, page.next_from_seq, page.last_seq) == ((), 5, 0)
    assert await seqs_from(tail, 1) == [1]


@pytest.mark.parametrize("failure", [StorageUnavailable(), RuntimeError("a defect")])
async def test_a_poll_that_fails_is_followed_by_another(failure: Exception) -> None:
    run, key = Scripted(1), RunKey("p", "run")
    failures = [failure]

    async def last_seqs(
        keys: Collection[ScopedKey],
    ) -> Mapping[ScopedKey, tuple[int, bool]]:
        if failures:
            raise failures.pop()
        return dict.fromkeys(keys, (2, False))

    tails = Tails(run, last_seqs, poll_interval=0.01)
    try:
        async with tail_of(tails, key) as tail:
            await seqs_from(tail, 2)

            assert await tail.wait(tail.mark, 20)
    finally:
        await tails.close()


async def test_a_poll_wakes_only_the_tails_whose_runs_have_changed() -> None:
    run, same, ended = Scripted(1), RunKey("p", "same"), RunKey("p", "ended")

    async def last_seqs(_: Collection[ScopedKey]) -> Mapping[ScopedKey, tuple[int, bool]]:
        changed = {same: False, ended: True, RunKey("p", "closed"): False}
        return {own(key): (1, is_over) for key, is_over in changed.items()}

    tails = Tails(run, last_seqs, poll_interval=3600)
    try:
        async with tail_of(tails, same) as one, tail_of(tails, ended) as other:
            await seqs_from(one, 2)
            await seqs_from(other, 2)
            marks = (one.mark, other.mark)

            await tails._compare()

            assert (one.mark, other.mark) == (marks[0], marks[1] + 1)
    finally:
        await tails.close()


async def test_a_tail_holds_few_large_events_and_at_least_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tails_module, "WINDOW_BYTES", 100)
    monkeypatch.setattr(tails_module, "EVENT_BYTES", 0)
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)
    held = []
    for seq, size in enumerate((50, 50, 0, 1, 101, 0), 2):
        tail.push([recorded(seq, size)])
        held.append([each.seq for each in tail._window])

    assert held == [[2], [2, 3], [2, 3, 4], [3, 4, 5], [6], [7]]


async def test_all_tails_together_hold_a_bounded_window_and_still_read_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "ALL_WINDOWS_BYTES", 100)
    monkeypatch.setattr(tails_module, "EVENT_BYTES", 0)
    run = Scripted(1)
    run.events += [recorded(2, 60)]
    tails = Tails(run, no_heads, poll_interval=3600)
    keys = [RunKey("p", f"run {number}") for number in range(3)]
    try:
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(tail_of(tails, key)) for key in keys]
            for tail in opened:
                await seqs_from(tail, 3)
            for key in keys[:2]:
                tails.push(key, [recorded(3, 60)])
            run.events += [recorded(3, 60)]

            assert [len(tail._window) for tail in opened] == [0, 1, 0]
            assert [await seqs_from(tail, 2) for tail in opened[:2]] == [[2, 3]] * 2
            reads = len(run.reads)
            assert await seqs_from(opened[1], 3) == [3]
            assert len(run.reads) == reads
        assert tails._windows._sum == 0
    finally:
        await tails.close()


async def test_what_is_committed_here_and_being_read_is_shown_once() -> None:
    run = Scripted(1)
    tail = RunTail(RunKey("p", "run"), run)
    await seqs_from(tail, 2)

    run.events.append(recorded(2))
    tail.wake()
    run.during_read = [lambda: tail.push([recorded(2)])]

    assert await seqs_from(tail, 2) == [2]
