"""What becomes of appends that Postgres rolls back, and of those that wait as a store closes."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from conftest import make_store
from runstore_storage.contract.events import AppendResult, Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.writing.appender import MAX_ATTEMPTS
from storage.contract.waiting import locked, queued


@pytest.fixture
async def key(own: PostgresStore) -> RunKey:
    """A run whose head is not remembered, so that its appends are decided under locks."""
    return (await own.save_run(NewRun("p", "run"))).run.key


async def roll_back(store: PostgresStore, times: int, sqlstate: str) -> None:
    """Have Postgres refuse the next transactions that write heads, as one of two in a deadlock."""
    async with store._engine.begin() as conn:
        for each in (
            "CREATE SEQUENCE tries",  # which no rollback undoes
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('tries') <= {times} THEN
                    RAISE EXCEPTION USING ERRCODE = '{sqlstate}';
                END IF;
                RETURN NULL;
            END $$
            """,
            """
            CREATE TRIGGER tr_refuse BEFORE UPDATE ON run_heads
            FOR EACH STATEMENT EXECUTE FUNCTION refuse()
            """,
        ):
            await conn.execute(system(each))


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_appends_that_are_rolled_back_are_tried_again(
    own: PostgresStore, key: RunKey, sqlstate: str
) -> None:
    await roll_back(own, MAX_ATTEMPTS - 1, sqlstate)

    (appended,) = await own.append_events(key, [Event("tick")])

    assert appended.seq == 1
    assert len((await own.read_events(key, 1, limit=9)).events) == 1


async def test_an_append_that_is_rolled_back_each_time_fails_and_stores_nothing(
    own: PostgresStore, key: RunKey
) -> None:
    await roll_back(own, MAX_ATTEMPTS, "40001")

    with pytest.raises(asyncpg.SerializationError):
        await own.append_events(key, [Event("tick")])
    (appended,) = await own.append_events(key, [Event("tock")])

    assert appended.seq == 1


async def test_what_is_no_rollback_is_not_tried_again(own: PostgresStore, key: RunKey) -> None:
    await roll_back(own, 1, "22000")

    with pytest.raises(asyncpg.DataError):
        await own.append_events(key, [Event("tick")])


async def test_a_store_that_closes_answers_the_appends_that_wait(
    store: PostgresStore, project: str, database_url: str, db_schema: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    closes = make_store(database_url, db_schema)

    def append() -> asyncio.Task[AppendResult]:
        return asyncio.create_task(closes.append_events(key, [Event("tick")]))

    async with locked(store, key):
        appending = [append()]
        await queued(store, 1)
        appending += [append(), append()]  # for the next commit
        closing = asyncio.create_task(closes.close())
        await store.get_run(key)  # and let it close what it does not wait for
    await closing

    assert [each.done() and each.result()[0].seq for each in appending] == [1, 2, 3]
