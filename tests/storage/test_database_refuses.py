"""What the code must never do, the database refuses as well."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from runstore_storage.contract.events import Event
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql.partitions import RUNS_PER_PARTITION


@pytest.fixture
async def conn(database_url: str, db_schema: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_url, schema=db_schema, name="test")
    yield opened
    await opened.close()


@pytest.mark.parametrize("table", ["runs", "events", "events_0", "outputs"])
async def test_truncation_is_refused(
    store: PostgresStore, conn: asyncpg.Connection, project: str, table: str
) -> None:
    await store.save_run(NewRun(project, "run"))

    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.FeatureNotSupportedError)):
        await conn.execute(f"TRUNCATE {table} CASCADE")


async def test_partitions_are_made_before_their_first_run(
    store: PostgresStore, conn: asyncpg.Connection, project: str
) -> None:
    await conn.execute(
        "SELECT setval(pg_get_serial_sequence('runs', 'run'), $1)", 3 * RUNS_PER_PARTITION - 1
    )

    key = (await store.save_run(NewRun(project, "beyond"))).run.key
    await store.append_events(key, [Event("a")])

    rows = await conn.fetch("SELECT tableoid::regclass::text AS partition FROM events")
    assert f"events_{3 * RUNS_PER_PARTITION}" in {row["partition"] for row in rows}
