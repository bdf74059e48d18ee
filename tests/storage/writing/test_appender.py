"""Appends that Postgres rolls back in favour of others are tried again."""

from __future__ import annotations

import asyncpg
import pytest
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.statements import statement
from runstore_storage.postgres import PostgresStore
from runstore_storage.writing.appender import MAX_ATTEMPTS


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
            await conn.execute(statement(each))


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
