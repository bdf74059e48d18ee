"""Work under a duty is stopped before each of its statements, and another process takes it over.

Whichever of the two commits, every event is published, counted and indexed once. Work that is held
up and goes on later records nothing under a duty that it has lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from conftest import make_store
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.feed import (
    RELAY,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
    DeadLetter,
    sink_duty,
)
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect
from runstore_storage.database.statements import Statement
from runstore_storage.postgres import PostgresStore

ME, OTHER = "me", "other"
HOOK = "hook"
REACHED = {ME: 1, OTHER: 2}
"""How far each of the two has delivered to the sink; there it gives up."""


@dataclass(frozen=True)
class Work:
    """One kind of work under a duty, in so many statements; BEGIN and COMMIT are not counted."""

    duty: str
    step: Callable[[PostgresStore, str], Awaitable[int | None]]
    statements: int


async def bury(store: PostgresStore, holder: str) -> int | None:
    return await store.feed.bury(holder, [DeadLetter(HOOK, REACHED[holder], 1, "refused")])


async def advance(store: PostgresStore, holder: str) -> int | None:
    return await store.feed.advance_duty(sink_duty(HOOK), holder, REACHED[holder])


PUBLISH = Work(RELAY, lambda store, holder: store.feed.publish(holder), 1)
COUNT = Work(USAGE_COUNTS, lambda store, holder: store.feed.count_usage(holder), 1)
SUM = Work(STORED_BYTES, lambda store, holder: store.feed.sum_stored(holder), 4)
INDEX = Work(SEARCH, lambda store, holder: store.search.index_text(holder), 4)
BURY = Work(sink_duty(HOOK), bury, 2)
ADVANCE = Work(sink_duty(HOOK), advance, 1)

FORGET: Mapping[Work, Callable[[PostgresStore, str], Coroutine[None, None, None]]] = {
    COUNT: lambda store, holder: store.feed.forget_usage(holder),
    SUM: lambda store, holder: store.feed.forget_stored(holder),
    INDEX: lambda store, holder: store.search.forget_text(holder),
}
"""What a holder that begins anew does first."""


def places(*of: Work) -> Iterator[tuple[Work, int]]:
    """Every statement of some kinds of work."""
    for work in of or (PUBLISH, COUNT, SUM, INDEX, BURY, ADVANCE):
        yield from ((work, number) for number in range(work.statements))


@contextmanager
def before_each_statement(act: Callable[[int], Awaitable[None]]) -> Iterator[list[str]]:
    """Await `act` with its number before each statement of the task that enters this."""
    task, execute = asyncio.current_task(), Connection.execute
    seen: list[str] = []

    async def observed(self: Connection, statement: Statement, *values: object) -> object:
        if asyncio.current_task() is task:
            seen.append(statement.sql)
            await act(len(seen) - 1)
        return await execute(self, statement, *values)  # type: ignore[arg-type]

    Connection.execute = observed  # type: ignore[assignment, method-assign]
    try:
        yield seen
    finally:
        Connection.execute = execute  # type: ignore[method-assign]


@dataclass
class Taking:
    """What another process does while one is held up, and whether it was done by then."""

    other: asyncio.Task[None]
    is_over: bool


@contextmanager
def held_up(
    number: int, other: Callable[[], Coroutine[None, None, None]], conn: asyncpg.Connection
) -> Iterator[Taking]:
    """Let another process work before a statement, until it is done or waits for this one."""
    taking = Taking(asyncio.create_task(asyncio.sleep(0)), is_over=False)

    async def let_the_other(at: int) -> None:
        if at == number:
            taking.other = asyncio.create_task(other())
            await is_over_or_waits(taking.other, conn)
            taking.is_over = taking.other.done()

    with before_each_statement(let_the_other) as seen:
        yield taking
    assert len(seen) > number


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step leaves something to do, so that it matters how far it says that it has come."""
    for limit in (
        "sql.feed.PUBLISHED_RANGES",
        "sql.usage_counts.COUNTED_RANGES",
        "sql.stored_bytes.COUNTED_RANGES",
        "search.postgres.INDEXED_ENTRIES",
    ):
        monkeypatch.setattr(f"runstore_storage.{limit}", 4)


@pytest.fixture
async def other(database_url: str, own_schema: str) -> AsyncIterator[PostgresStore]:
    """The store of another process on the same schema."""
    opened = make_store(database_url, own_schema)
    yield opened
    await opened.close()


@pytest.fixture
async def beside(database_url: str, own_schema: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await connect(database_url, schema=own_schema, name="test")
    yield conn
    await conn.close()


async def given(store: PostgresStore, work: Work) -> None:
    """Commit events, publish them if that is not the work, and hold the duty at its beginning."""
    for run_id in (uuid4().hex, uuid4().hex):
        key = (await store.save_run(NewRun("p", run_id, plan=Payload("{}")))).run.key
        for turn in range(3):
            event = Event("x", payload=Payload('{"content":"hi"}'), usage=Usage(turn, 1, 0, 7, 0))
            await store.append_events(key, [event])
    async with store._engine.connect() as conn:
        await conn.driver.execute("UPDATE duties SET expires_at = '-infinity'")
        await conn.driver.execute("UPDATE duties SET position = 0 WHERE name LIKE 'sink %'")
        await conn.driver.execute("DELETE FROM dead_letters")
    await store.feed.hold_duty(RELAY, ME)
    if work is not PUBLISH:
        while await store.feed.publish(ME):
            pass
        await store.feed.hold_duty(work.duty, ME)


async def take_over(store: PostgresStore, work: Work) -> None:
    """Take the duty when its lease is over, as another process does, and work."""
    async with store._engine.connect() as conn:
        await conn.driver.execute(
            "UPDATE duties SET expires_at = clock_timestamp() WHERE name = $1", work.duty
        )
    assert await store.feed.hold_duty(work.duty, OTHER) is not None
    while await work.step(store, OTHER) and work not in {BURY, ADVANCE}:
        pass


async def is_over_or_waits(task: asyncio.Task[object], conn: asyncpg.Connection) -> None:
    """Return when a task is done, or waits for a lock on a duty."""
    async with asyncio.timeout(60):
        while not task.done():
            if await conn.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks"
                " WHERE relation = 'duties'::regclass AND cardinality(pg_blocking_pids(pid)) > 0)"
            ):
                return
            await asyncio.sleep(0)


async def prove_done_once(conn: asyncpg.Connection, work: Work) -> None:
    """Compare everything that was published, and counted or indexed, with the events."""
    published = await conn.fetch(
        "SELECT last_position - last_seq + seq AS position, e.run, e.seq FROM feed f"
        " JOIN events e ON e.run = f.run AND e.seq BETWEEN f.first_seq AND f.last_seq ORDER BY 1"
    )
    events = await conn.fetch("SELECT run, seq FROM events ORDER BY run, seq")
    sums = "coalesce(sum(input_tokens), 0)::int, coalesce(sum(cost_micros), 0)::int"
    duty = await conn.fetchrow("SELECT position, holder FROM duties WHERE name = $1", work.duty)
    positions = [each["position"] for each in published]
    assert positions == list(range(1, len(events) + 1))
    assert sorted((each["run"], each["seq"]) for each in published) == list(map(tuple, events))
    assert await conn.fetchval("SELECT count(*) FROM outbox") == 0
    assert duty["holder"] in {ME, OTHER}
    if work is COUNT:
        counted = await conn.fetchrow(f"SELECT sum(events)::int, {sums} FROM usage_counts")
        assert counted == await conn.fetchrow(f"SELECT count(*)::int, {sums} FROM events")
    if work is SUM:
        summed = await conn.fetchval("SELECT sum(bytes)::int FROM stored_bytes")
        plans = await conn.fetchval("SELECT sum(length(plan_json::text))::int FROM runs")
        payloads = await conn.fetchval("SELECT sum(payload_bytes)::int FROM events")
        assert summed == plans + payloads
    if work is INDEX:
        indexed = await conn.fetch("SELECT position FROM search_rows ORDER BY 1")
        assert [each["position"] for each in indexed] == positions
    if work in {PUBLISH, COUNT, SUM, INDEX}:
        assert duty["position"] == positions[-1]


async def letters_and_position(store: PostgresStore) -> tuple[list[int], int]:
    """What was given up, and how far delivery has come."""
    letters = await store.feed.list_dead_letters(HOOK, limit=9, after=0)
    found = {duty.name: duty.position for duty in await store.feed.list_duties()}
    return [each.position for each in letters], found[sink_duty(HOOK)]


async def test_the_next_holder_does_what_a_dead_one_left(
    own: PostgresStore,
    other: PostgresStore,
    beside: asyncpg.Connection,
    subtests: pytest.Subtests,
) -> None:
    for work, number in places():
        with subtests.test(duty=work.duty, stopped_before=number):
            await given(own, work)

            async def die(at: int, number: int = number) -> None:
                if at == number:
                    raise asyncio.CancelledError

            with before_each_statement(die) as seen, pytest.raises(asyncio.CancelledError):
                await work.step(own, ME)
            await take_over(other, work)

            assert len(seen) == number + 1
            await prove_done_once(beside, work)
            if work is BURY:
                assert await letters_and_position(own) == ([REACHED[OTHER]], 0)
            if work is ADVANCE:
                assert await letters_and_position(own) == ([], REACHED[OTHER])


async def test_a_holder_that_is_held_up_records_nothing_once_it_is_replaced(
    own: PostgresStore,
    other: PostgresStore,
    beside: asyncpg.Connection,
    subtests: pytest.Subtests,
) -> None:
    for work, number in places():
        with subtests.test(duty=work.duty, held_up_before=number):
            await given(own, work)
            with held_up(number, lambda work=work: take_over(other, work), beside) as taking:
                done = await work.step(own, ME)
            await taking.other

            # It either lost the duty, or keeps it until it has recorded everything.
            assert (done is None) == taking.is_over
            await prove_done_once(beside, work)
            if work is BURY:
                mine = [] if taking.is_over else [REACHED[ME]]
                assert await letters_and_position(own) == ([*mine, REACHED[OTHER]], 0)
            if work is ADVANCE:
                assert await letters_and_position(own) == ([], REACHED[OTHER])


async def test_a_holder_that_gets_its_duty_back_repeats_nothing(
    own: PostgresStore,
    other: PostgresStore,
    beside: asyncpg.Connection,
    subtests: pytest.Subtests,
) -> None:
    async def come_and_go(work: Work) -> None:
        await take_over(other, work)
        await other.feed.release_duty(work.duty, OTHER)
        await other.feed.hold_duty(work.duty, ME)

    for work, number in places(PUBLISH, COUNT, SUM, INDEX):
        with subtests.test(duty=work.duty, held_up_before=number):
            await given(own, work)
            with held_up(number, lambda work=work: come_and_go(work), beside) as taking:
                await work.step(own, ME)
            await taking.other

            await prove_done_once(beside, work)


async def test_what_is_forgotten_in_the_middle_of_a_step_is_done_again_once(
    own: PostgresStore,
    other: PostgresStore,
    beside: asyncpg.Connection,
    subtests: pytest.Subtests,
) -> None:
    async def step(work: Work) -> None:
        await work.step(own, ME)

    async def forget(work: Work) -> None:
        await FORGET[work](other, OTHER)

    # One statement takes the duty and sets it back, the other forgets.
    cases = [(forget, step, work, number) for work in FORGET for number in range(2)]
    cases += [(step, forget, work, number) for work, number in places(*FORGET)]
    for first, meanwhile, work, number in cases:
        with subtests.test(duty=work.duty, held_up=first.__name__, before=number):
            await given(own, work)
            with held_up(number, partial(meanwhile, work), beside) as taking:
                await first(work)
            await taking.other
            while await work.step(other, OTHER):
                pass

            await prove_done_once(beside, work)


async def test_nobody_gives_up_a_duty_that_another_process_holds(own: PostgresStore) -> None:
    await own.feed.hold_duty(RELAY, ME)

    await own.feed.release_duty(RELAY, OTHER)

    assert await own.feed.hold_duty(RELAY, OTHER) is None
    (duty,) = await own.feed.list_duties()
    assert duty.holder == ME


async def test_publishing_waits_for_a_take_over_that_is_about_to_commit(
    own: PostgresStore, beside: asyncpg.Connection
) -> None:
    await given(own, PUBLISH)
    async with own._engine.connect() as conn, conn.driver.transaction():
        await conn.driver.execute("UPDATE duties SET holder = $1", OTHER)
        publishing = asyncio.create_task(own.feed.publish(ME))
        await is_over_or_waits(publishing, beside)
        assert not publishing.done()

    assert await publishing is None
    assert (await own.feed.lag(RELAY)).events == 6
