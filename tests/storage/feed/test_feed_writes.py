"""What a write to the feed sets off, and that it is finished once it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import asyncpg
import pytest
from conftest import make_store
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import (
    RELAY,
    SEARCH,
    USAGE_COUNTS,
    DeadLetter,
    FeedPoint,
    sink_duty,
)
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect
from runstore_storage.feed import waiting
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import duties, feed


async def given_entry(store: PostgresStore) -> None:
    key = (await store.save_run(NewRun("p", "run"))).run.key
    await store.append_events(key, [Event("x")])
    await store.feed.hold_duty(RELAY, "me")


async def test_publishing_wakes_followers_and_finding_nothing_does_not(
    database_url: str, own_schema: str
) -> None:
    store = make_store(database_url, own_schema, poll_interval=3600)
    try:
        assert await store.feed.published.wait(0, 20), "connecting wakes followers"
        await given_entry(store)
        marks = [store.feed.published.mark]
        for _ in range(2):
            await store.feed.publish("me")
            marks.append(store.feed.published.mark)

        assert marks == [marks[0], marks[0] + 1, marks[0] + 1]
    finally:
        await store.close()


async def test_counting_and_indexing_wake_those_who_wait_for_them(own: PostgresStore) -> None:
    await given_entry(own)
    await own.feed.publish("me")
    await own.feed.hold_duty(USAGE_COUNTS, "me")
    await own.feed.hold_duty(SEARCH, "me")
    counted, indexed = own.feed.counted, own.search._indexed
    before = (counted.mark, indexed.mark)

    done = await own.feed.count_usage("me"), await own.search.index_text("me")

    assert done == (1, 1)
    assert (counted.mark, indexed.mark) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("duty", [RELAY, USAGE_COUNTS, SEARCH])
async def test_nothing_wakes_before_the_commit(
    own: PostgresStore, database_url: str, own_schema: str, duty: str
) -> None:
    step, woken = {
        RELAY: (own.feed.publish, own.feed.published),
        USAGE_COUNTS: (own.feed.count_usage, own.feed.counted),
        SEARCH: (own.search.index_text, own.search._indexed),
    }[duty]
    beside = await connect(database_url, schema=own_schema, name="test")
    try:
        assert await own.feed.published.wait(0, 20), "connecting wakes followers"
        await given_entry(own)
        if duty != RELAY:
            await own.feed.publish("me")
            await own.feed.hold_duty(duty, "me")
        await beside.execute(HELD_UP_AT_COMMIT)
        before = woken.mark
        async with beside.transaction():
            await beside.execute("LOCK TABLE gate")
            working = asyncio.create_task(step("me"))
            await until_blocked(beside)
            assert woken.mark == before

        assert await working == 1
        assert woken.mark > before
    finally:
        await beside.close()


HELD_UP_AT_COMMIT = """
    CREATE TABLE gate ();
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN LOCK TABLE gate IN SHARE MODE; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER held_up AFTER UPDATE ON duties DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
"""
"""Lets a transaction that moves a duty commit once it can lock `gate`."""
WAITS_AT_GATE = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted)"
)


async def until_blocked(conn: asyncpg.Connection) -> None:
    """Return when a commit waits at the gate."""
    async with asyncio.timeout(60):
        while not await conn.fetchval(WAITS_AT_GATE):
            pass


async def test_what_is_counted_while_a_waiter_looks_is_not_waited_for(
    own: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAIT_POLL_SECONDS", 3600)
    await given_entry(own)
    await own.feed.publish("me")
    await own.feed.hold_duty(USAGE_COUNTS, "me")
    look = duties.position_of

    async def count_after_looking(conn: Connection, name: str) -> int:
        found = await look(conn, name)
        await own.feed.count_usage("me")
        return found

    monkeypatch.setattr(duties, "position_of", count_after_looking)

    async with asyncio.timeout(60):
        await own.statistics.wait_counted(FeedPoint(1), 3600)


async def test_a_waiter_looks_again_when_it_is_woken_and_no_sooner(
    own: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAIT_POLL_SECONDS", 3600)
    await given_entry(own)
    await own.feed.publish("me")
    await own.feed.hold_duty(USAGE_COUNTS, "me")
    look, looks = duties.position_of, asyncio.Semaphore(0)

    async def look_and_say(conn: Connection, name: str) -> int:
        looks.release()
        return await look(conn, name)

    monkeypatch.setattr(duties, "position_of", look_and_say)
    async with asyncio.timeout(20):
        waiter = asyncio.create_task(own.statistics.wait_counted(FeedPoint(1), 3600))
        await looks.acquire()
        for _ in range(3):  # long enough for another look
            await own.feed.list_duties()
        assert looks.locked()
        await own.feed.count_usage("me")
        await waiter


@pytest.mark.parametrize("failure", [None, StorageUnavailable(), RuntimeError("a defect")])
async def test_followers_learn_of_an_entry_whose_wake_up_was_lost(
    database_url: str,
    own_schema: str,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None,
) -> None:
    store = make_store(database_url, own_schema, poll_interval=0.01)
    look, failures = feed.last_position, [failure] if failure else []

    async def fail_first(conn: Connection) -> int:
        if failures:
            raise failures.pop()
        return await look(conn)

    try:
        assert await store.feed.published.wait(0, 20), "connecting wakes followers"
        mark = store.feed.published.mark
        monkeypatch.setattr(store._wakeups, "announce_published", lambda: None)
        monkeypatch.setattr(feed, "last_position", fail_first)
        await given_entry(store)
        assert await store.feed.publish("me") == 1

        assert await store.feed.published.wait(mark, 20)
        assert failures == []
    finally:
        await store.close()


async def test_a_write_that_has_begun_is_finished_without_its_caller(own: PostgresStore) -> None:
    await given_entry(own)
    await own.feed.publish("me")
    await own.feed.hold_duty(sink_duty("hook"), "me")
    await own.feed.bury("me", [DeadLetter("hook", 1, 3, "500")])
    (letter,) = await own.feed.list_dead_letters("hook", limit=9, after=0)

    await _abandoned(own, own.feed.commit_position("p", "committed", 1))
    await _abandoned(own, own.feed.reset_consumer("p", "reset", 1))
    await _abandoned(own, own.feed.remove_dead_letter(letter.id))

    consumers = (await own.feed.list_consumers("p", limit=9, after=None)).items
    assert [(each.name, each.position) for each in consumers] == [("committed", 1), ("reset", 1)]
    assert await own.feed.list_dead_letters("hook", limit=9, after=0) == ()


async def _abandoned(store: PostgresStore, write: Coroutine[object, object, object]) -> None:
    """Begin a write, cancel its caller, and wait until nothing is in flight."""
    caller = asyncio.create_task(write)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await store._in_flight.landed()
    assert caller.cancelled()
