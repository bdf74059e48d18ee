"""The pool of connections, and the check that tests return them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from conftest import make_store
from database import all_returned
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database import engine
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.failures import is_unavailable, translated
from runstore_storage.database.opening import UnusableDatabase, connect


async def test_a_single_connection_that_is_kept_is_a_leak(
    database_url: str, db_schema: str
) -> None:
    database = Database(Connections(database_url, schema=db_schema), pool_size=2)
    try:
        async with database.connect():
            assert not await all_returned(database, within=0.1)

        assert await all_returned(database)
    finally:
        await database.dispose()


@pytest.fixture
async def database(database_url: str, db_schema: str) -> AsyncIterator[Database]:
    opened = Database(Connections(database_url, schema=db_schema), pool_size=2)
    yield opened
    await opened.dispose()


async def test_a_wrong_number_of_arguments_is_a_defect(database: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError) as caught:
        async with reading(database) as conn:
            await conn.driver.fetch("SELECT $1::int", 1, 2)

    assert not is_unavailable(caught.value)


async def test_a_connection_that_is_used_twice_at_a_time_is_a_defect(database: Database) -> None:
    async def use_twice() -> None:
        async with reading(database) as conn:
            await asyncio.gather(conn.driver.fetch("SELECT 1"), conn.driver.fetch("SELECT 2"))

    with pytest.raises(asyncpg.InterfaceError):
        await use_twice()


async def test_a_value_that_cannot_be_sent_is_a_defect(database: Database) -> None:
    with pytest.raises(Exception, match="invalid input for query argument") as caught:
        async with reading(database) as conn:
            await conn.driver.fetch("SELECT $1::int", "text")

    assert not isinstance(caught.value, StorageUnavailable)


async def test_a_connection_that_is_used_after_it_was_returned_is_a_defect(
    database: Database,
) -> None:
    async with reading(database) as conn:
        pass

    with pytest.raises(asyncpg.InterfaceError):
        async with translated():
            await conn.driver.fetch("SELECT 1")


async def test_a_connection_that_the_server_closed_is_an_outage(database: Database) -> None:
    async def lose() -> None:
        async with writing(database) as conn:
            conn.driver.terminate()
            await conn.driver.fetch("SELECT 1")

    with pytest.raises(StorageUnavailable):
        await lose()


async def test_a_pool_without_a_free_connection_is_an_outage(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(database), reading(database):
        monkeypatch.setattr(engine, "LOCK_SECONDS", 0.1)
        with pytest.raises(StorageUnavailable):
            async with reading(database):
                pass


async def test_a_pool_that_is_closed_is_an_outage(database_url: str, db_schema: str) -> None:
    closed = Database(Connections(database_url, schema=db_schema), pool_size=2)
    async with reading(closed):
        pass
    await closed.dispose()

    with pytest.raises(StorageUnavailable):
        async with reading(closed):
            pass


async def test_what_was_never_used_closes_and_closes_again(
    database_url: str, db_schema: str
) -> None:
    store = make_store(database_url, db_schema)
    for unused in (store._engine.dispose, store.close, store.close):
        await unused()


async def test_what_waits_for_a_database_that_is_abandoned_is_an_outage(
    database_url: str, db_schema: str
) -> None:
    connections = Connections(database_url, schema=db_schema)
    database = Database(connections, pool_size=2)

    async def sleep_long() -> None:
        async with reading(database) as conn:
            asyncio.get_running_loop().call_later(0.1, connections.abandon)
            await conn.driver.fetch("SELECT pg_sleep(60)")

    async def read() -> None:
        async with reading(database) as conn:
            await conn.driver.fetch("SELECT 1")

    try:
        with pytest.raises(StorageUnavailable):
            await sleep_long()
        with pytest.raises(StorageUnavailable):
            await read()
    finally:
        await database.dispose()


async def test_a_url_that_is_none_is_told_in_a_sentence() -> None:
    for url in ("mysql://somewhere/x", "postgresql://host:port/x"):
        with pytest.raises(UnusableDatabase, match="the URL of the database cannot be used"):
            await connect(url, schema="runstore", name="test")


async def test_a_store_that_was_never_used_can_be_closed(database_url: str, db_schema: str) -> None:
    store = make_store(database_url, db_schema)

    await store.close()

    with pytest.raises(StorageUnavailable):
        await store.check()


async def test_only_the_first_connection_of_a_process_asks_which_types_there_are(
    database_url: str, db_schema: str
) -> None:
    asked = "SELECT $1::bigint[], $2::timestamptz[], array(SELECT ($3::bytea, 1))"
    values = ([1, 2], [datetime(2026, 1, 1, tzinfo=UTC)], b"x")
    sent: list[str] = []

    for _ in range(2):
        conn = await connect(database_url, schema=db_schema, name="test")
        sent.clear()
        conn.add_query_logger(lambda query: sent.append(query.query))
        row = await conn.fetchrow(asked, *values)
        await conn.close()

    assert row
    assert tuple(row) == ([1, 2], values[1], [(b"x", 1)])
    assert sent == [asked]
