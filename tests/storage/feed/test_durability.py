"""What of the feed's work waits for the disk when it commits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from runstore_storage.contract.feed import USAGE_COUNTS
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import duties

SETTING = system("SELECT current_setting('synchronous_commit')")


@pytest.fixture
async def conn(store: PostgresStore) -> AsyncIterator[Connection]:
    async with store._engine.begin() as conn:
        yield conn


async def setting(conn: Connection) -> str:
    return str((await conn.execute(SETTING)).scalar_one())


async def test_a_lease_does_not_wait_for_the_disk(conn: Connection) -> None:
    await duties.take(conn, "duty", "me")  # makes it

    await duties.take(conn, "duty", "me")

    assert await setting(conn) == "off"


async def test_a_duty_that_starts_again_waits_for_the_disk(conn: Connection) -> None:
    for holder in ("me", "other"):
        await duties.restart(conn, USAGE_COUNTS, holder)

    assert await setting(conn) == "on"
    assert await duties.fence(conn, USAGE_COUNTS, "other") == 0


async def test_a_connection_waits_for_the_disk_again_after_a_lease(store: PostgresStore) -> None:
    async with store._engine.connect() as conn:
        for _ in range(2):
            await duties.take(conn, "duty", "me")

        assert await setting(conn) == "on"
