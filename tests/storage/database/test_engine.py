"""The pool of connections, and the check that tests return them."""

from __future__ import annotations

from database import all_returned
from runstore_storage.database.engine import Database


async def test_a_single_connection_that_is_kept_is_a_leak(
    database_url: str, db_schema: str
) -> None:
    database = Database(database_url, schema=db_schema, pool_size=2)
    try:
        async with database.connect():
            assert not await all_returned(database, within=0.1)

        assert await all_returned(database)
    finally:
        await database.dispose()
